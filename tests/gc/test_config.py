"""The registry's configuration as the pruner understands it, without a registry at hand."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pruner.errors import ConfigError
from pruner.registry import config
from pruner.registry.config import HttpConfig, RegistryConfig
from pruner.registry.redisconfig import RedisConfig

PLAIN = "version: 0.1\nstorage: {filesystem: {rootdirectory: /data}}\nhttp: {addr: ':5000'}\n"


def parse(text: str, **environ: str) -> RegistryConfig:
    return config.parse(text.encode(), "config.yml", environ)


def test_the_least_configuration_has_the_registrys_defaults() -> None:
    read = parse("version: 0.1\nstorage: filesystem\n")
    assert (read.driver, read.root, read.cache, read.redis) == (
        "filesystem",
        "/var/lib/registry",
        "none",
        None,
    )
    assert (read.readonly, read.proxy, read.auth) == (False, None, False)
    assert read.http == HttpConfig("tcp", "", 0, "", "/", False, "", "", False, False, 0.0, "")


def test_the_configuration_that_version_2_ships_is_understood() -> None:
    read = parse("""
version: 0.1
log: {fields: {service: registry}}
storage:
  cache: {blobdescriptor: inmemory}
  filesystem: {rootdirectory: /var/lib/registry}
http:
  addr: :5000
  headers: {X-Content-Type-Options: [nosniff]}
health: {storagedriver: {enabled: true, interval: 10s, threshold: 3}}
""")
    assert (read.root, read.cache, read.http.port) == ("/var/lib/registry", "inmemory", 5000)


def test_the_configuration_that_version_3_ships_is_understood() -> None:
    read = parse("""
version: 0.1
storage:
  delete: {enabled: true}
  cache: {blobdescriptor: inmemory}
  filesystem: {rootdirectory: /var/lib/registry}
  tag: {concurrencylimit: 8}
http:
  addr: :5000
  debug: {addr: ":5001", prometheus: {enabled: true, path: /metrics}}
""")
    assert (read.cache, read.http.debug_addr) == ("inmemory", ":5001")


@pytest.mark.parametrize(
    ("cache", "expected"),
    [
        ("{blobdescriptor: inmemory}", "inmemory"),
        ("{layerinfo: inmemory}", "inmemory"),
        ("{layerinfo: inmemory, blobdescriptor: }", "none"),
        ("{blobdescriptor: InMemory}", "none"),
        ("{blobdescriptor: memcached}", "none"),
        ("{}", "none"),
        ("", "none"),
    ],
)
def test_a_cache_is_what_the_registry_takes_for_one(cache: str, expected: str) -> None:
    assert parse(f"version: 0.1\nstorage:\n  filesystem:\n  cache: {cache}\n").cache == expected


def test_redis_of_version_2() -> None:
    read = parse(
        PLAIN + "redis: {addr: 'redis:6379', password: hush, db: 2}\n",
        REGISTRY_STORAGE_CACHE="{blobdescriptor: redis}",
    )
    assert read.redis == RedisConfig(addresses=(("redis", 6379),), password="hush", db=2)
    assert not RedisConfig(()).tls
    assert "hush" not in repr(read)


def test_redis_of_version_3() -> None:
    read = parse(
        PLAIN + "redis: {addrs: ['[::1]:1', 'b:2'], username: u, mastername: m, tls: {rootcas: [/ca.crt]}}\n",
        REGISTRY_STORAGE_CACHE="{blobdescriptor: redis}",
        REGISTRY_REDIS_PASSWORD="hush",
        REGISTRY_REDIS_OPTIONS_DB="3",
        REGISTRY_REDIS_SENTINELPASSWORD="quiet",
    )
    assert read.redis == RedisConfig(
        addresses=(("::1", 1), ("b", 2)),
        username="u",
        password="hush",
        db=3,
        master="m",
        sentinel_password="quiet",
        root_cas=("/ca.crt",),
    )
    assert RedisConfig((), root_cas=("/ca.crt",)).tls
    assert "quiet" not in repr(read)


def test_http_in_all_its_settings() -> None:
    read = parse("""
version: 0.1
storage: filesystem
http:
  addr: "[::1]:5443"
  prefix: /hub/
  draintimeout: 1m30.5s
  tls: {certificate: /c, key: /k, clientcas: [/ca]}
auth: {htpasswd: {realm: r, path: /p}}
proxy: {remoteurl: https://registry.example}
""")
    assert read.http == HttpConfig("tcp", "::1", 5443, "", "/hub/", True, "/c", "/k", False, True, 90.5, "")
    assert (read.auth, read.proxy) == (True, "https://registry.example")


def test_a_unix_socket_and_letsencrypt() -> None:
    http = parse("version: 0.1\nstorage: filesystem\nhttp: {net: unix, addr: /run/r.sock}\n").http
    assert (http.net, http.path, http.port, http.tls) == ("unix", "/run/r.sock", 0, False)
    http = parse(
        "version: 0.1\nstorage: filesystem\nhttp: {addr: ':https', tls: {letsencrypt: {cachefile: /le}}}\n"
    ).http
    assert (http.port, http.tls, http.letsencrypt) == (443, True, True)


def test_a_client_certificate_that_is_only_requested_is_not_needed() -> None:
    read = parse(PLAIN, REGISTRY_HTTP_TLS="{certificate: c, clientcas: [a], clientauth: request-client-cert}")
    assert not read.http.client_certificates


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.3, "300ms"), (7200, "2h"), (60, "60s"), (0, "0"), (1e-6, "1us"), (5e-8, "50"), (1.5, "+1.5s")],
)
def test_durations_are_gos(seconds: float, text: str) -> None:
    assert parse(PLAIN, REGISTRY_HTTP_DRAINTIMEOUT=text).http.drain_timeout == pytest.approx(seconds)


@pytest.mark.parametrize("auth", ["{none: {}}", "None", "{}"])
def test_no_authorization(auth: str) -> None:
    assert not parse(PLAIN, REGISTRY_AUTH=auth).auth


@pytest.mark.parametrize(
    ("environ", "root"),
    [
        ({"REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY": "/other"}, "/other"),
        ({"REGISTRY_STORAGE_FILESYSTEM": "{rootdirectory: /whole}"}, "/whole"),
        ({"REGISTRY_STORAGE": "filesystem"}, "/var/lib/registry"),
        ({"REGISTRY_STORAGE": "filesystem", "REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY": "/both"}, "/both"),
        ({"REGISTRY_STORAGE_filesystem_ROOTDIRECTORY": "/case"}, "/case"),
        ({"REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY_X": "/deeper"}, "/data"),
        ({"registry_STORAGE_FILESYSTEM_ROOTDIRECTORY": "/case"}, "/data"),
        (
            {
                "REGISTRY_PORT": "tcp://10.0.0.1:5000",
                "REGISTRY_PORT_5000_TCP": "x",
                "REGISTRY_SERVICE_HOST": "y",
            },
            "/data",
        ),
        ({"REGISTRY_": "x", "REGISTRY__": "y", "REGISTRY_LOG_LEVEL": "debug"}, "/data"),
    ],
)
def test_variables_replace_the_root(environ: dict[str, str], root: str) -> None:
    assert parse(PLAIN, **environ).root == root


def test_a_variable_without_a_value_empties_what_it_names() -> None:
    assert parse(PLAIN, REGISTRY_HTTP_ADDR="").http.port == 0
    with pytest.raises(ConfigError, match="must be an absolute path"):
        parse(PLAIN, REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY="")


@pytest.mark.parametrize(
    "environ",
    [
        {"REGISTRY_STORAGE_MAINTENANCE": "{readonly: {enabled: true}}"},
        {"REGISTRY_STORAGE_MAINTENANCE_READONLY": "{enabled: y}"},
    ],
)
def test_variables_that_make_the_registry_read_only(environ: dict[str, str]) -> None:
    assert parse(PLAIN, **environ).readonly


def test_a_variable_cannot_reach_into_a_map_that_the_file_nests() -> None:
    text = "version: 0.1\nstorage: {filesystem: , maintenance: {readonly: {enabled: true}}}\n"
    assert parse(text, REGISTRY_STORAGE_MAINTENANCE_READONLY_ENABLED="false").readonly


def test_a_variable_that_would_stop_the_registry_is_refused() -> None:
    with pytest.raises(ConfigError, match="YAML value of REGISTRY_STORAGE_MAINTENANCE_READONLY"):
        parse(PLAIN, REGISTRY_STORAGE_MAINTENANCE_READONLY_ENABLED="true")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "version is ''"),
        ("version: 0.2\nstorage: filesystem\n", "version is '0.2'"),
        ("version: 0.1\n", "no driver"),
        ("version: 0.1\nstorage:\n  delete: {enabled: true}\n", "no driver"),
        ("version: 0.1\nstorage: {filesystem: , s3: }\n", "line 2: storage names filesystem and s3"),
        ("version: 0.1\nstorage: gcs\n", "gcs is not supported by this pruner"),
        ("version: 0.1\nstorage: s3\n", r"storage\.s3\.bucket: it is not set"),
        ("version: 0.1\nstorage: {s3: {bucket: b}}\n", r"storage\.s3\.region: it is not set"),
        (
            "version: 0.1\nstorage: {s3: {bucket: b, region: r, accesskey: k}}\n",
            r"storage\.s3\.secretkey: it is not set, and the other half of the key is",
        ),
        ("version: 0.1\nstorage: {s3: {bucket: b, region: r, v4auth: false}}\n", "version 4 only"),
        (
            "version: 0.1\nstorage: {s3: {bucket: b, region: r, encrypt: maybe}}\n",
            r"storage\.s3\.encrypt: it must be true or false, and is 'maybe'",
        ),
        (
            "version: 0.1\nstorage: {s3: {bucket: b, region: r, multipartcopychunksize: -1}}\n",
            r"multipartcopychunksize: it must be a number of bytes, and is -1",
        ),
        ("version: 0.1\nstorage: {gcs: {bucket: b}}\n", "gcs is not supported"),
        ("version: 0.1\nstorage: {inmemory: }\n", "inmemory is not supported"),
        ("version: 0.1\nstorage: {ipfs: }\n", "'ipfs' is not a storage driver"),
        ("version: 0.1\nstorage: [filesystem]\n", "line 2: storage must be a mapping"),
        ("version: 0.1\nstorage: {filesystem: /data}\n", "line 2: storage.filesystem must be a mapping"),
        ("version: 0.1\nstorage: {filesystem: {rootdirectory: data}}\n", "must be an absolute path"),
        ("version: 0.1\nstorage: {filesystem: {rootdirectory: }}\n", "must be an absolute path"),
        (
            "version: 0.1\nstorage: filesystem\nhttp:\n  addr: [5000]\n",
            "line 4: http.addr must be a single value",
        ),
        ("version: 0.1\nstorage: filesystem\nhttp: {addr: 5000}\n", "http.addr is '5000'"),
        ("version: 0.1\nstorage: filesystem\nhttp: {addr: '::1:99'}\n", "http.addr is '::1:99'"),
        ("version: 0.1\nstorage: filesystem\nhttp: {addr: ':70000'}\n", "http.addr is ':70000'"),
        ("version: 0.1\nstorage: filesystem\nhttp: {addr: ':nope'}\n", "http.addr is ':nope'"),
        ("version: 0.1\nstorage: filesystem\nhttp: {net: udp}\n", "http.net is 'udp'"),
        (
            "version: 0.1\nstorage: filesystem\nhttp: {draintimeout: soon}\n",
            "line 3: http.draintimeout is 'soon'",
        ),
        (
            "version: 0.1\nstorage: filesystem\nredis: {db: one}\n",
            "redis.db is 'one' and must be a whole number",
        ),
        (
            "version: 0.1\nstorage: filesystem\nhttp: {tls: {clientcas: a}}\n",
            "http.tls.clientcas must be a list",
        ),
        (
            "version: 0.1\nstorage: {filesystem: , cache: {blobdescriptor: redis}}\n",
            "neither redis.addr nor redis.addrs",
        ),
        (
            "version: 0.1\nstorage: {filesystem: , cache: {blobdescriptor: redis}}\n"
            "redis: {addr: 'a:1', addrs: ['b:1']}\n",
            r"depends on the registry's version \(version 3.1: b:1, .*; version 2: a:1, database 0\)",
        ),
        (
            "version: 0.1\nstorage: {filesystem: , maintenance: {readonly: true}}\n",
            "readonly must be a mapping",
        ),
        (
            "version: 0.1\nstorage: {filesystem: , maintenance: {readonly: {enabled: 'true'}}}\n",
            "must be true or false",
        ),
        ("version: 0.1\nstorage:\n\tfilesystem:\n", "config.yml, line 3: this is not valid YAML"),
        ("version: 0.1\nstorage: {filesystem: {rootdirectory: *gone}}\n", "line 2: this is not valid YAML"),
        ("- version: 0.1\n", "line 1: the configuration must be a mapping"),
        ("version: 0.1\nstorage: {filesystem: {? [a] : b}}\n", "line 2: "),
        (
            "version: 0.1\nstorage: {filesystem: {rootdirectory: !odd x}}\n",
            "line 2: this value cannot be read",
        ),
    ],
)
def test_what_the_registry_refuses_is_refused_with_a_sentence(text: str, sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence) as refusal:
        parse(text)
    assert "config.yml" in str(refusal.value)


@pytest.mark.parametrize(
    ("environ", "sentence"),
    [
        ({"REGISTRY_STORAGE": "azure"}, "azure is not supported"),
        ({"REGISTRY_STORAGE_S3_BUCKET": "b"}, "storage names filesystem and s3"),
        ({"REGISTRY_STORAGE_FILESYSTEM": "/data"}, "the variable REGISTRY_STORAGE_FILESYSTEM, line 1"),
        ({"REGISTRY_HTTP": "{addr: "}, "the variable REGISTRY_HTTP.*: this is not valid YAML"),
        (
            {"REGISTRY_REDIS_ADDRS_1": "a:1", "REGISTRY_STORAGE_CACHE": "{blobdescriptor: redis}"},
            "REGISTRY_REDIS_ADDRS_1 has no list element 1",
        ),
        (
            {"REGISTRY_REDIS_ADDRS_0": "a:1", "REGISTRY_STORAGE_CACHE_BLOBDESCRIPTOR": "redis"},
            "redis.addrs is ''",
        ),
    ],
)
def test_a_wrong_variable_is_named(environ: dict[str, str], sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        parse(PLAIN, **environ)


def test_a_bucket_is_found_as_the_driver_finds_it() -> None:
    config = parse(
        "version: 0.1\nstorage: {s3aws: {bucket: b, regionendpoint: 'minio:9000', secure: false,"
        " rootdirectory: /a/b/, forcepathstyle: 'true', accesskey: k, secretkey: hidden}}\n",
        REGISTRY_STORAGE_S3AWS_REGION="r",
    )
    assert config.s3 is not None
    assert (config.root, config.s3.root, config.s3.region) == ("s3://b/a/b", "a/b", "r")
    assert (config.s3.endpoint, config.s3.path_style) == ("http://minio:9000", True)
    assert "hidden" not in repr(config)


def test_item_2_what_3_0_does_not_know_makes_the_place_uncertain() -> None:
    """3.0 finds the inlined options by their struct's name alone, which 3.1 obeys too."""
    cached = (
        "version: 0.1\nstorage: {filesystem: {rootdirectory: /data}, cache: {blobdescriptor: redis}}\n"
        "redis: {addrs: ['a:1']}\n"
    )
    with pytest.raises(ConfigError, match=r"3\.1: b:2, database 0; version 3\.0: a:1, database 0"):
        parse(cached, REGISTRY_REDIS_ADDRS="['b:2']")
    sure = parse(cached, REGISTRY_REDIS_OPTIONS_ADDRS="['b:2']", REGISTRY_REDIS_PASSWORD="hush").redis
    assert sure == RedisConfig((("b", 2),), password="hush"), "credentials do not say where it is"


@pytest.mark.parametrize("text", ["a: " + "[" * 5000, "<<: " + "{<<: " * 3000])
def test_a_file_that_is_nested_too_deeply_is_refused(text: str) -> None:
    with pytest.raises(ConfigError):
        parse(text)


def test_merges_of_merges_do_not_fill_the_memory() -> None:
    lines = ["x0: &x0 {a: 1, b: 2}"]
    lines += [f"x{n}: &x{n} {{<<: [{', '.join([f'*x{n - 1}'] * 9)}]}}" for n in range(1, 10)]
    with pytest.raises(ConfigError, match="too large"):
        parse("\n".join([PLAIN, *lines, "<<: *x9"]))


def test_bytes_that_are_no_text_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"config.yml"):
        config.parse(b"version: 0.1\nstorage: \xff\xfe\n", "config.yml", {})


def test_the_file_is_found_where_the_registry_looks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    named, first, second = tmp_path / "named.yml", tmp_path / "first.yml", tmp_path / "second.yml"
    monkeypatch.setattr(config, "LOCATIONS", (str(first), str(second)))
    with pytest.raises(ConfigError, match=re.escape(f"{first} or {second}")):
        config.load(None, {})
    second.write_text(PLAIN)
    assert config.load(None, {}).path == str(second)
    first.write_text(PLAIN)
    assert config.load(None, {}).path == str(first)
    with pytest.raises(ConfigError, match=r"named.yml cannot be read: No such file"):
        config.load(None, {"REGISTRY_CONFIGURATION_PATH": str(named)})
    named.write_text(PLAIN)
    assert config.load(None, {"REGISTRY_CONFIGURATION_PATH": str(named)}).path == str(named)
    assert config.load(str(first), {"REGISTRY_CONFIGURATION_PATH": str(named)}).path == str(first)
