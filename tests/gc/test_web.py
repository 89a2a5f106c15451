"""The two small servers: who is answered, who is not, and that they are never in the way of pruning."""

from __future__ import annotations

import http.client
import socket
import threading
from collections.abc import Iterator

import pytest

from pruner.observe.web import TEXT, Answer, Route, Server, listen
from tests.gc.observed import until
from tests.gc.realregistry import free_port


def hello() -> Answer:
    return Answer(b"hello\n", TEXT)


def broken() -> Answer:
    raise RuntimeError("a secret of the inside")


class Gate:
    """A page that is not answered until the gate is opened; `inside` is who has asked for it."""

    def __init__(self) -> None:
        self.inside = threading.Semaphore(0)
        self.opened = threading.Event()

    def wait(self) -> Answer:
        self.inside.release()
        assert self.opened.wait(30)
        return hello()


ROUTES: dict[str, Route] = {"/": hello, "/broken": broken}


@pytest.fixture
def page() -> Iterator[Server]:
    server = listen(free_port(), ROUTES, "the page", own_machine_only=True)
    assert server is not None
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def metrics() -> Iterator[Server]:
    server = listen(free_port(), ROUTES, "metrics", own_machine_only=False)
    assert server is not None
    yield server
    server.shutdown()
    server.server_close()


def ask(
    server: Server, path: str = "/", host: str | None = None, method: str = "GET", to: str = "127.0.0.1"
) -> tuple[int, bytes, http.client.HTTPMessage]:
    connection = http.client.HTTPConnection(to, server.port, timeout=10)
    connection.request(method, path, headers={"Host": host} if host is not None else {})
    answer = connection.getresponse()
    content = answer.read()
    connection.close()
    return answer.status, content, answer.headers


@pytest.mark.parametrize("host", ["localhost:8080", "127.0.0.1:8080", "[::1]:8080", "LOCALHOST", "127.0.0.1"])
def test_the_page_is_answered_under_the_names_of_ones_own_machine(page: Server, host: str) -> None:
    assert ask(page, host=host)[:2] == (200, b"hello\n")


@pytest.mark.parametrize(
    "host",
    ["attacker.example", "localhost.attacker.example", "10.0.0.5:8080", "", "127.0.0.1.nip.io", "[::1].x"],
)
def test_a_foreign_name_is_refused(page: Server, host: str) -> None:
    status, content, _ = ask(page, host=host)
    assert status == 421
    assert b"hello" not in content


def test_the_page_listens_on_loopback_alone(page: Server) -> None:
    assert page.server_address[0] == "127.0.0.1"


def test_metrics_are_answered_under_any_name_and_on_both_families(metrics: Server) -> None:
    assert ask(metrics, host="10.0.0.5:9090")[0] == 200
    if metrics.address_family == socket.AF_INET6:
        assert ask(metrics, to="::1")[0] == 200


def test_nothing_but_reading_is_answered(page: Server) -> None:
    assert ask(page, "/etc/passwd")[0] == 404
    assert ask(page, "/?query=1")[0] == 200
    for method in ("POST", "PUT", "DELETE", "OPTIONS"):
        assert ask(page, method=method)[0] == 501
    status, content, headers = ask(page, method="HEAD")
    assert (status, content, headers["Content-Length"]) == (200, b"", "6")
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert "Python" not in headers["Server"]


def test_what_cannot_be_answered_says_nothing_of_the_inside(
    page: Server, caplog: pytest.LogCaptureFixture
) -> None:
    status, content, _ = ask(page, "/broken")
    assert status == 500
    assert b"secret" not in content
    assert "a secret of the inside" in caplog.text, "the log is for who runs it"
    assert ask(page)[0] == 200


def test_who_comes_when_there_are_too_many_is_turned_away_and_later_answered() -> None:
    gate = Gate()
    server = listen(free_port(), {**ROUTES, "/slow": gate.wait}, "the page", own_machine_only=True)
    assert server is not None
    waiting = [http.client.HTTPConnection("127.0.0.1", server.port, timeout=30) for _ in range(16)]
    for connection in waiting:
        connection.request("GET", "/slow")
        assert gate.inside.acquire(timeout=30)
    with pytest.raises((http.client.HTTPException, OSError)):
        ask(server)
    gate.opened.set()
    assert [connection.getresponse().status for connection in waiting] == [200] * 16
    for connection in waiting:
        connection.close()
    until(lambda: _answers(server), "there is room again", 30)
    server.shutdown()
    server.server_close()


def _answers(server: Server) -> bool:
    try:
        return ask(server)[0] == 200
    except (http.client.HTTPException, OSError):
        return False


def test_a_port_that_is_taken_is_told_and_nothing_else_happens(caplog: pytest.LogCaptureFixture) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = int(taken.getsockname()[1])
        assert listen(port, ROUTES, "the page", own_machine_only=True) is None
    assert f"the page cannot be served on port {port}" in caplog.text
    assert "pruning goes on" in caplog.text


def test_without_a_port_nothing_listens() -> None:
    assert listen(0, ROUTES, "the page", own_machine_only=True) is None
