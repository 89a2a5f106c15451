"""Metrics: what they are called, that docs/metrics.md says the same, and what a real scrape brings."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import requests
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID
from prometheus_client.parser import text_string_to_metric_families

from pruner.clock import SystemClock
from pruner.observe import certificate
from pruner.observe.board import Now
from pruner.observe.metrics import FAMILIES, Seen, exposition
from pruner.observe.record import Record
from pruner.observe.surroundings import Surroundings, Watch
from pruner.registry import config as registry_config
from pruner.registry.config import RegistryConfig
from pruner.registry.registries import Registries
from tests.gc.images import image, layer
from tests.gc.observed import HOSTILE, NOW, Watched, a_record, scrape, surroundings, until, waiting, watched
from tests.gc.processdoubles import self_signed, server_tls
from tests.gc.realregistry import VERSIONS, free_port

DOCS = Path(__file__).parents[2] / "docs" / "metrics.md"
SEEN = Seen(a_record(), waiting(), surroundings(), period=7 * 86400.0)
Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def samples(text: str) -> Samples:
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def value(found: Samples, name: str, **labels: str) -> float:
    return found[f"registry_gc_{name}", frozenset(labels.items())]


# names


def test_the_documentation_lists_every_metric_and_no_other() -> None:
    rows = re.findall(
        r"^\| `(registry_gc_\w+)` \| (\w+) \| (.*?) \| (.*) \|$", DOCS.read_text(), re.MULTILINE
    )
    documented = {name: (kind, re.findall(r"`(\w+)`", labels), said) for name, kind, labels, said in rows}
    assert documented == {
        family.full_name: (family.kind, list(family.labels), family.help) for family in FAMILIES
    }


def test_names_follow_the_conventions() -> None:
    names = [family.full_name for family in FAMILIES]
    assert len(names) == len(set(names))
    for family in FAMILIES:
        assert re.fullmatch(r"registry_gc_[a-z]+(_[a-z]+)*", family.full_name)
        assert (family.kind == "counter") == family.full_name.endswith("_total"), family.full_name
        plain = family.full_name.removesuffix("_total")
        if "timestamp" in plain or "duration" in plain or "period" in plain:
            assert plain.endswith("_seconds")
        assert not re.search(r"_(kib|mib|kb|ms|minutes|hours|percent)(_|$)", plain), "base units only"
        assert family.help.endswith(".")


# values


def test_what_is_exposed_is_what_the_record_says() -> None:
    found = samples(exposition(SEEN).decode())
    record = SEEN.record
    snapshot = record.snapshot
    assert snapshot is not None
    assert value(found, "runs_total", result="done") == 23
    assert value(found, "runs_total", result="refused") == 1
    assert value(found, "runs_total", result="failed") == 0, "a counter is there before it counts"
    assert value(found, "last_success_timestamp_seconds") == record.totals.last_success
    assert value(found, "removed_total", kind="blob") == record.totals.removed["blob"].count
    assert value(found, "removed_bytes_total", kind="blob") == record.totals.removed["blob"].bytes
    assert value(found, "reclaimed_bytes_total") == record.totals.reclaimed_bytes
    assert value(found, "phase_duration_seconds_total", phase="wait the grace") == 23 * 3600
    assert value(found, "storage_bytes") == snapshot.bytes
    assert value(found, "storage_objects", kind="repository") == 8
    assert value(found, "trash_bytes") == snapshot.trash.bytes
    assert value(found, "reclaimable_bytes") == snapshot.reclaimable.bytes
    assert value(found, "repositories_kept_whole", reason="manifest missing") == 1
    assert value(found, "disk_available_bytes") == 168 << 30
    assert value(found, "certificate_expiry_timestamp_seconds", certificate="server") == NOW + 410 * 86400
    assert value(found, "registry_up") == 1
    assert value(found, "registry_restarts_total") == 1
    assert value(found, "hung") == 0
    assert not any("repository" in dict(labels) for _, labels in found), "only by choice"


def test_repositories_have_metrics_by_choice_whatever_they_are_called() -> None:
    found = samples(exposition(replace(SEEN, by_repository=True)).decode())
    assert value(found, "repository_tags", repository=HOSTILE) > 0
    assert value(found, "repository_bytes", repository="team/api") > value(
        found, "repository_exclusive_bytes", repository="team/api"
    )


def test_what_is_not_known_is_left_out() -> None:
    nothing = Seen(Record(), Now("starting", NOW), Surroundings(), period=60)
    found = {name.removeprefix("registry_gc_") for name, _ in samples(exposition(nothing).decode())}
    assert found == {
        "runs_total", "last_run_failed", "period_seconds", "hung", "reclaimed_bytes_total", "registry_up",
        "registry_restarts_total",
    }  # fmt: skip


def test_a_run_at_work_names_its_phase() -> None:
    now = Now("running", NOW - 90, None, "second look", NOW - 5, 12)
    found = samples(exposition(replace(SEEN, now=now)).decode())
    assert value(found, "running_phase_start_timestamp_seconds", phase="second look") == NOW - 5
    assert ("registry_gc_next_run_timestamp_seconds", frozenset[tuple[str, str]]()) not in found


# certificates


@pytest.mark.parametrize(
    "key", [ec.generate_private_key(ec.SECP256R1()), rsa.generate_private_key(65537, 2048)]
)
@pytest.mark.parametrize("years", [1, 40])  # from 2050 on another type of time is written
def test_the_end_of_a_certificate_is_read_from_its_bytes(
    key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey, years: int, tmp_path: Path
) -> None:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "registry " * 7)])
    end = datetime.now(UTC).replace(microsecond=0) + timedelta(days=365 * years)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(datetime.now(UTC) - timedelta(days=1))
        .not_valid_after(end)
        .sign(key, hashes.SHA256())
    )
    der = made.public_bytes(serialization.Encoding.DER)
    assert certificate.ends(der) == end.timestamp()
    file = tmp_path / "tls.crt"
    file.write_bytes(b"some words\n" + made.public_bytes(serialization.Encoding.PEM) * 2)
    assert certificate.ends_of_file(str(file)) == end.timestamp()
    for at in range(0, len(der), 7):
        with pytest.raises(ValueError, match="not a certificate"):
            certificate.ends(der[:at])


def test_a_file_without_a_certificate_is_told(tmp_path: Path) -> None:
    (tmp_path / "tls.crt").write_text("nothing")
    with pytest.raises(ValueError, match="no certificate"):
        certificate.ends_of_file(str(tmp_path / "tls.crt"))


# the registry


def configured(folder: Path, http: str) -> RegistryConfig:
    (folder / "config.yml").write_text(f"version: 0.1\nstorage: {{filesystem: {{}}}}\nhttp: {http}\n")
    return registry_config.load(str(folder / "config.yml"), {})


class Debug(BaseHTTPRequestHandler):
    """A registry and its debug server in one, over TLS or not, that notes what it is asked for."""

    asked: list[str]
    status = 200

    def do_GET(self) -> None:
        type(self).asked.append(self.path)
        body = b"registry_http_requests_total 3\n" if self.path == "/metrics" else b"{}"
        self.send_response(self.status)
        self.send_header("Content-Type", "text/plain; version=0.0.4")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (the name is the library's)
        pass


@pytest.fixture
def debug() -> Iterator[tuple[ThreadingHTTPServer, type[Debug]]]:
    handler = type("Noting", (Debug,), {"asked": []})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server, handler
        server.shutdown()


def watch(config: RegistryConfig, folder: Path, ca: str | None = None) -> Watch:
    clock = SystemClock()
    return Watch(config, Registries(clock), clock, root=str(folder), ca=ca)


def test_of_the_debug_port_nothing_but_metrics_is_asked_for(
    debug: tuple[ThreadingHTTPServer, type[Debug]], tmp_path: Path
) -> None:
    server, handler = debug
    config = configured(tmp_path, f"{{addr: ':1', debug: {{addr: '127.0.0.1:{server.server_port}'}}}}")
    assert watch(config, tmp_path).registry_metrics() == b"registry_http_requests_total 3\n"
    assert handler.asked == ["/metrics"]
    handler.status = 500
    assert watch(config, tmp_path).registry_metrics() == b""


def test_without_a_debug_port_there_is_nothing_to_pass_on(tmp_path: Path) -> None:
    assert watch(configured(tmp_path, "{addr: ':1'}"), tmp_path).registry_metrics() == b""
    closed = configured(tmp_path, f"{{addr: ':1', debug: {{addr: ':{free_port()}'}}}}")
    assert watch(closed, tmp_path).registry_metrics() == b""


def test_the_certificate_is_the_one_that_is_served_even_if_nobody_trusts_it(tmp_path: Path) -> None:
    identity = self_signed(tmp_path, "127.0.0.1")
    handler = type("Noting", (Debug,), {"asked": []})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.socket = server_tls(identity).wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        config = configured(
            tmp_path, f"{{addr: '127.0.0.1:{server.server_port}', tls: {{certificate: /c, key: /k}}}}"
        )
        around = watch(config, tmp_path, str(identity / "ca.crt")).look()
        server.shutdown()
    end = x509.load_pem_x509_certificate((identity / "ca.crt").read_bytes()).not_valid_after_utc.timestamp()
    assert (around.up, around.certificate, around.authority) == (True, end, end)
    assert around.disk is not None
    assert 0 < around.disk.available <= around.disk.size


def test_a_registry_that_refuses_is_down(
    debug: tuple[ThreadingHTTPServer, type[Debug]], tmp_path: Path
) -> None:
    server, handler = debug
    config = configured(tmp_path, f"{{addr: '127.0.0.1:{server.server_port}'}}")
    assert watch(config, tmp_path).look().up
    handler.status = 401
    assert watch(config, tmp_path).look().up, "it asks for a login"
    handler.status = 503
    assert watch(config, tmp_path).look().trouble == "it answers with status 503"
    nobody = configured(tmp_path, f"{{addr: '127.0.0.1:{free_port()}'}}")
    assert "refused" in watch(nobody, tmp_path).look().trouble


def test_a_registry_that_was_started_anew_is_counted(tmp_path: Path) -> None:
    config = configured(tmp_path, f"{{addr: '127.0.0.1:{free_port()}'}}")
    seen: list[tuple[int, int] | None] = [(7, 1), (7, 1), None, (9, 2), None, (9, 3)]
    clock = SystemClock()
    looking = Watch(config, Registries(clock), clock, root=None, ca=None, see=lambda: seen.pop(0))
    while seen:
        looking.tick()
    assert looking.look().restarts == 2


# a real one


@pytest.fixture(scope="module", params=VERSIONS)
def real(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    with watched(request.param, tmp_path_factory.mktemp("watched")) as found:
        yield found


def test_a_scrape_brings_the_pruners_and_the_registrys_metrics(real: Watched) -> None:
    text = scrape(real)
    found = samples(text)
    assert value(found, "registry_up") == 1
    assert value(found, "storage_objects", kind="tag") == 3
    assert value(found, "removed_total", kind="revision") == 1
    assert value(found, "disk_size_bytes") > value(found, "disk_available_bytes") > 0
    assert value(found, "repository_tags", repository="team/app") == 2
    asked = [name for name, _ in found if name == "registry_http_requests_total"]
    assert asked, "the registry's own are passed on"
    names = re.findall(r"^# TYPE (\S+)", text, re.MULTILINE)
    assert len(names) == len(set(names)), "no metric comes twice"


def test_the_liveness_and_the_page_are_served(real: Watched) -> None:
    alive = requests.get(f"http://127.0.0.1:{real.metrics_port}/healthz", timeout=10)
    assert (alive.status_code, alive.text) == (200, "ok\n")
    page = requests.get(real.page_url, timeout=10)
    assert "team/web" in page.text
    assert requests.get(f"{real.page_url}record.json", timeout=10).json()["version"] == 1


def test_a_registry_that_goes_away_and_comes_back_is_seen(real: Watched) -> None:
    real.registry.stop()
    until(lambda: value(samples(scrape(real)), "registry_up") == 0, "the registry is down")
    assert not [name for name, _ in samples(scrape(real)) if name.startswith("registry_http_")]
    real.registry.start()
    until(lambda: value(samples(scrape(real)), "registry_restarts_total") == 1, "the restart is counted")
    until(lambda: value(samples(scrape(real)), "registry_up") == 1, "it is asked again")


def test_a_run_at_work_says_which_phase_it_is_in(tmp_path: Path) -> None:
    with watched("2.8.2", tmp_path, GC_PERIOD="1s", GC_GRACE="4s") as found:
        with found.registry.client() as client:
            client.push("team/web", image([layer("again")], "again"), "1")
        until(
            lambda: 'running_phase_start_timestamp_seconds{phase="wait the grace' in scrape(found), "a phase"
        )
        page = requests.get(found.page_url, timeout=10).text
        assert "A run is at work" in page
        until(lambda: 'registry_gc_removed_total{kind="revision"}' in scrape(found), "the run's end")


def test_it_idles_small(real: Watched) -> None:
    scrape(real)
    requests.get(real.page_url, timeout=10)
    status = Path(f"/proc/{real.process.pid}/status").read_text()
    resident = int(re.findall(r"VmRSS:\s+(\d+) kB", status)[0])
    assert resident <= 45 * 1024
