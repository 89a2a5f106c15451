"""The JSON schema for editors: it is held, and says of a value what the program says."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any, cast

import fastjsonschema as untyped_fastjsonschema
import pytest
import yaml

from docker_registry_stack import editors
from docker_registry_stack.config import read_args
from docker_registry_stack.settings import KEYS
from tests.unit import program, test_settings
from tests.unit.test_docs import CONFIGURATION, ROWS
from tests.unit.test_package import EDITORS

fastjsonschema = cast("Any", untyped_fastjsonschema)

ACROSS = {"exposure", "storage", "registryConfig", "pod", "networkPolicy", "externalHosts", "retention"}
"""Keys of which a value may be wrong as a whole, or beside others: the program alone knows that."""

BEYOND = {
    ("namespace", "'default'"),
    ("namespace", "'kube-system'"),
    ("gcPeriod", "0"),
    ("gcPeriod", "'0'"),
    ("gcPeriod", "'0s'"),
    # Without quotes YAML takes `yes` for true, and so it comes to the program.
    ("gcProtectRunning", "True"),
}
"""Wrong values that editors are not told of."""

Check = Callable[[object], object]


@pytest.fixture(scope="module")
def check() -> Check:
    """Raises for a stack file that the kept schema does not admit."""
    return fastjsonschema.compile(json.loads(EDITORS.read_text()), use_default=False)


def admitted(check: Check, **keys: object) -> bool:
    try:
        check({"config": {f"{program.PROJECT}:{key}": value for key, value in keys.items()}})
    except fastjsonschema.JsonSchemaValueException:
        return False
    return True


def wrong_values() -> list[tuple[str, str]]:
    """Key and text of every wrong value that the tests of the settings have."""
    case = test_settings.test_a_wrong_value_names_the_key_the_value_and_what_is_accepted
    (mark,) = cast("Any", case).pytestmark
    return [(key, text) for key, text, _ in mark.args[1]]


def in_yaml(text: str) -> Iterator[object]:
    """What a text is in a stack file: itself, and what it is without quotes."""
    yield text
    with suppress(yaml.YAMLError):
        yield yaml.safe_load(text)


def test_the_schema_that_is_kept_is_made_of_the_code() -> None:
    assert EDITORS.read_text() == editors.text(), "python -m tests.unit.test_package writes it anew"


def test_the_sample_leads_to_it_and_is_admitted(check: Check) -> None:
    sample = (program.ROOT / "Pulumi.sample.yaml").read_text()
    assert sample.startswith(f"# yaml-language-server: $schema={EDITORS.name}\n")
    check(yaml.safe_load(sample))


def test_the_examples_of_the_documentation_are_admitted(check: Check) -> None:
    blocks = [yaml.safe_load(block) for block in re.findall(r"```yaml\n(.*?)```", CONFIGURATION, re.DOTALL)]
    examples = [block for block in blocks if "config" in block]
    assert len(examples) >= 3
    for example in examples:
        check(example)
        given = {key.removeprefix(f"{program.PROJECT}:"): value for key, value in example["config"].items()}
        program.read(**given)


def test_every_default_of_the_documentation_is_admitted(check: Check) -> None:
    for key, text in ROWS.items():
        value = yaml.safe_load(text)
        assert admitted(check, **{key: value}), key
        if not isinstance(value, dict | list):
            assert admitted(check, **{key: text}), f"{key} as text"


def test_a_wrong_value_of_a_plain_key_is_marked(check: Check) -> None:
    wrong = {(key, repr(value)) for key, text in wrong_values() for value in in_yaml(text)}
    let_through = {
        (key, repr(value))
        for key, text in wrong_values()
        for value in in_yaml(text)
        if admitted(check, **{key: value})
    }
    assert {each for each in let_through if each[0] not in ACROSS} == BEYOND
    assert {key for key, _ in wrong} == {key for key, _ in wrong - let_through}, (
        "of every key some are marked"
    )


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("storage", {"kind": "s4"}),
        ("storage", {"colour": 1}),
        ("storage", {"kind": "persistentVolumeClaim", "accessModes": ["Sometimes"]}),
        ("exposure", {"kind": "HostPort"}),
        ("pod", {"tolerations": [{"key": "a", "effect": "Never"}]}),
        ("pod", {"gc": {"resources": {"limits": {"cpu": "lots"}}}}),
        ("pod", {"gc": {"environment": {"A": 1}}}),
        ("retention", [{"keepLast": "many"}]),
        ("retention", [{"keep": 1}]),
        ("gcProtectRunning", "yes"),
    ],
)
def test_what_is_wrong_within_an_object_is_marked(check: Check, key: str, value: object) -> None:
    assert not admitted(check, **{key: value})


def test_an_unknown_key_is_marked_and_one_of_others_is_not(check: Check) -> None:
    assert not admitted(check, gcPeriode="7d")
    check({"config": {"kubernetes:context": "prod", "aws:region": "eu-central-1"}, "encryptionsalt": "v1:a"})
    check({"config": None})


def test_every_key_may_be_a_secret_and_says_what_it_is(check: Check) -> None:
    schema = editors.schema()
    keys = schema["properties"]["config"]["properties"]
    assert set(keys) == {f"{program.PROJECT}:{key}" for key in KEYS}
    for key, field in keys.items():
        assert field["description"], key
        assert admitted(check, **{key.partition(":")[2]: {"secure": "AAABAJ"}}), key


def test_a_default_of_the_schema_is_the_programs(check: Check) -> None:
    keys = editors.schema()["properties"]["config"]["properties"]
    given = {key: field["default"] for key, field in keys.items() if "default" in field}
    texts = {key.partition(":")[2]: json.dumps(value).strip('"') for key, value in given.items()}
    assert len(texts) > 10
    assert read_args(program.PROJECT, texts) is not None
    check({"config": given})
