"""Serves one Pulumi program to the engine that started this process; prints the port it serves on.

The engine starts a language host as `pulumi-language-python [options] ENGINE_ADDRESS` in the program's
folder. The serving itself is the SDK's own, as its Automation API does it for inline programs.
"""

from __future__ import annotations

import os
import runpy
import signal
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any, cast

import grpc
from pulumi.automation import _server  # pyright: ignore[reportPrivateUsage]  # the SDK has no public one
from pulumi.runtime.proto import language_pb2_grpc

MESSAGE_LIMIT = 400 << 20  # bytes; what the engine itself accepts
PROGRAM = "__main__.py"


def run_program() -> None:
    """Run the program of the current folder as `python __main__.py` would."""
    folder = os.getcwd()
    if folder not in sys.path:
        sys.path.insert(0, folder)
    runpy.run_path(os.path.join(folder, PROGRAM), run_name="__main__")


def main() -> None:
    """Serve until the engine ends this process."""
    limits = [(f"grpc.max_{way}_message_length", MESSAGE_LIMIT) for way in ("receive", "send")]
    server = grpc.server(ThreadPoolExecutor(max_workers=4), options=limits)
    host = cast("Any", _server.LanguageServer(run_program))
    language_pb2_grpc.add_LanguageRuntimeServicer_to_server(host, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    print(port, flush=True)
    ended = threading.Event()
    for name in (signal.SIGINT, signal.SIGTERM):
        signal.signal(name, lambda _signal, _frame: ended.set())
    # An engine that was killed asks for nothing any more, and cannot say so.
    engine = os.getppid()
    while not ended.wait(1.0) and os.getppid() == engine:
        pass
    os._exit(0)


if __name__ == "__main__":
    main()
