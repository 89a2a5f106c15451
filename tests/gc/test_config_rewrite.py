"""The configuration rewritten to be read-only says the same in everything else."""

from __future__ import annotations

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pruner.errors import ConfigError
from pruner.registry import config
from pruner.registry.config import with_readonly


@pytest.mark.parametrize(
    "text",
    [
        "version: 0.1\nstorage: {filesystem: {rootdirectory: /data}}\nhttp: {addr: ':5000'}\n",
        "version: 0.1\nstorage: filesystem\n",
        "version: 0.1\nstorage: {filesystem: , maintenance: }\n",
        "version: 0.1\nstorage: {filesystem: , maintenance: {readonly: {enabled: false, more: 1}}}\n",
        "version: 0.1\nstorage: {filesystem: , maintenance: {uploadpurging: {age: 24h}, readonly: }}\n",
        "version: 0.1\nx: &m {upload: {}}\nstorage: {filesystem: , maintenance: *m}\nlog: {fields: *m}\n",
        "version: 0.1\nx: &m {maintenance: {uploadpurging: {age: 1h}}}\nstorage: {<<: *m, filesystem: }\n",
        'version: "0.1"\nstorage: filesystem\nlog: {fields: {a: "12:30", b: "y", c: y, d: 0x1F, e: "0o7"}}\n',
        "version: 0.1\nstorage: filesystem\nlog:\n  hooks: |\n    two\n    lines\n---\nanother: document\n",
    ],
)
def test_with_readonly_changes_that_alone(text: str) -> None:
    before = yaml.load(text.split("---")[0], yaml.SafeLoader)
    after = yaml.load(with_readonly(text.encode()), yaml.SafeLoader)
    assert config.parse(with_readonly(text.encode()), "config.yml", {}).readonly
    if isinstance(before["storage"], str):
        before["storage"] = {before["storage"]: {}}
    before["storage"]["maintenance"] = before["storage"].get("maintenance") or {}
    before["storage"]["maintenance"] = before["storage"]["maintenance"] | {
        "readonly": (before["storage"]["maintenance"].get("readonly") or {}) | {"enabled": True}
    }
    assert after == before


# How long an example takes says nothing here, and a busy machine must not fail it.
@settings(deadline=None, max_examples=50, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.recursive(
        st.text() | st.integers() | st.booleans() | st.none(), lambda inner: st.dictionaries(st.text(), inner)
    )
)
def test_with_readonly_keeps_whatever_else_stands_in_the_file(value: object) -> None:
    document = {
        "version": 0.1,
        "storage": {"filesystem": {"rootdirectory": "/data"}},
        "log": {"fields": value},
    }
    changed = yaml.load(with_readonly(yaml.safe_dump(document).encode()), yaml.SafeLoader)
    document["storage"] = {
        "filesystem": {"rootdirectory": "/data"},
        "maintenance": {"readonly": {"enabled": True}},
    }
    assert changed == document


@pytest.mark.parametrize(
    "text",
    [
        "x: &x {rootdirectory: /a}\nstorage: {filesystem: {rootdirectory: /b, <<: *x}}",
        "x: &x {filesystem: {rootdirectory: /a}}\nstorage: {filesystem: {rootdirectory: /b}, <<: *x}",
        "x: &x {storage: {filesystem: {rootdirectory: /a}}}\nstorage: filesystem\n<<: *x",
        "storage: {filesystem: {rootdirectory: /b}}\nstorage: {filesystem: {rootdirectory: /a}}",
    ],
)
def test_item_2_with_readonly_the_same_tree_is_served(text: str) -> None:
    text = f"version: 0.1\n{text}\n"
    changed = config.parse(with_readonly(text.encode()), "config.yml", {})
    assert (changed.root, changed.readonly) == ("/a", True)
    assert config.parse(text.encode(), "config.yml", {}).root == "/a"


@pytest.mark.parametrize("text", [b"", b"[]", b"version: [\n", b"a: &a\n  storage: {}\n<<: [x]\n"])
def test_with_readonly_refuses_what_is_no_configuration(text: bytes) -> None:
    with pytest.raises(ConfigError):
        with_readonly(text)
