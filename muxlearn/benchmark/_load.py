"""A server in a process of its own, and clients on loopback that keep asking it."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

__all__ = ["Answer", "ask", "example_server", "serving"]

#: Seconds until a server must be ready.
_PATIENCE = 300.0


class Answer(NamedTuple):
    """One response.

    Attributes
    ----------
    content : object
        The content of its JSON.
    status : int
    seconds : float
        From the first byte sent to the last one received.
    """

    content: Any
    status: int
    seconds: float


def example_server() -> Path:
    """Return the script of the example that serves a model.

    Raises
    ------
    FileNotFoundError
        The library is installed without its examples.
    """
    script = Path(__file__).parents[2] / "examples" / "serve_over_http.py"
    if not script.is_file():
        raise FileNotFoundError(
            "examples/serve_over_http.py is not there: run this from a checkout of the repository"
        )
    return script


@contextlib.contextmanager
def serving(arguments: Sequence[str], log: Path) -> Iterator[int]:
    """Run the example's server on a free port until the block ends.

    Parameters
    ----------
    arguments : sequence of str
        For the script.
    log : Path
        Gets what the server prints.

    Yields
    ------
    int
        The port.

    Raises
    ------
    RuntimeError
        The server ends, or is not ready in time; the message holds the end of its log.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, str(example_server()), *arguments, "--port", str(port)]
    root = str(Path(__file__).parents[2])
    paths = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))
    with log.open("wb") as file:
        # A group of its own: the server's workers end with it.
        process = subprocess.Popen(
            command,
            stdout=file,
            stderr=subprocess.STDOUT,
            env={**os.environ, "PYTHONPATH": paths},
            start_new_session=True,
        )
    try:
        end = time.monotonic() + _PATIENCE
        while not _is_ready(port):
            if process.poll() is not None or time.monotonic() > end:
                raise RuntimeError(f"the server is not ready: {log.read_text()[-2000:]}")
            time.sleep(0.1)
        yield port
    finally:
        for stop in (signal.SIGTERM, signal.SIGKILL):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, stop)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(10)


def _is_ready(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", "/health")
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()


def ask(
    port: int,
    bodies: Sequence[Any],
    n_clients: int,
    seconds: float | None = None,
    tokens: Sequence[str] | None = None,
) -> list[Answer]:
    """Send requests, each client its next one as soon as it has its answer.

    Parameters
    ----------
    port : int
        On loopback.
    bodies : sequence of object
        The bodies to send, in turn: bytes as they are, anything else as JSON.
    n_clients : int
        Requests at a time.
    seconds : float, default=None
        When to stop sending, starting anew where `bodies` end. None sends each once.
    tokens : sequence of str, default=None
        Who asks, one for each body.

    Returns
    -------
    list of Answer
        In the order in which they were sent.
    """
    named = [None] * len(bodies) if tokens is None else tokens
    requests = [_request(port, body, token) for body, token in zip(bodies, named, strict=True)]
    return asyncio.run(_ask(port, requests, n_clients, seconds))


async def _ask(
    port: int, requests: Sequence[bytes], n_clients: int, seconds: float | None
) -> list[Answer]:
    answers: dict[int, Answer] = {}
    end = None if seconds is None else time.perf_counter() + seconds
    sent = 0

    async def client() -> None:
        nonlocal sent
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            while sent < len(requests) if end is None else time.perf_counter() < end:
                number, sent = sent, sent + 1
                start = time.perf_counter()
                writer.write(requests[number % len(requests)])
                status, content = await _response(reader)
                answers[number] = Answer(content, status, time.perf_counter() - start)
        finally:
            writer.close()
            await writer.wait_closed()

    await asyncio.gather(*(client() for _ in range(n_clients)))
    return [answers[number] for number in sorted(answers)]


def _request(port: int, body: Any, token: str | None) -> bytes:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    lines = [
        "POST /predict HTTP/1.1",
        f"Host: 127.0.0.1:{port}",
        "Content-Type: application/json",
        f"Content-Length: {len(content)}",
        *([] if token is None else [f"Authorization: Bearer {token}"]),
    ]
    return "\r\n".join([*lines, "", ""]).encode() + content


async def _response(reader: asyncio.StreamReader) -> tuple[int, Any]:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
    length = next(line for line in head.split("\r\n") if line.startswith("content-length:"))
    content = await reader.readexactly(int(length.split(":")[1]))
    return int(head.split()[1]), json.loads(content)
