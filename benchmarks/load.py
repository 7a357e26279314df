"""Ask a server again and again, and say how long the answers took.

    python -m benchmarks.load PORT SECONDS METHOD PATH [CONTENT-TYPE BODY-FILE]

Two requests are on their way at any time, so that the worker never waits for the client; each has a
connection of its own, as a sync worker of gunicorn has it. Plain sockets, so that the client costs
little. Prints JSON: requests, seconds, p50 (milliseconds from the connection to the last byte).
"""

from __future__ import annotations

import json
import socket
import statistics
import sys
import time
from collections import deque
from collections.abc import Sequence
from pathlib import Path

IN_FLIGHT = 2


def main(argv: Sequence[str]) -> int:
    """Ask, and print the figures."""
    port, seconds, method, path, *rest = argv
    body = Path(rest[1]).read_bytes() if rest else b""
    lines = [f"{method} {path} HTTP/1.1", "Host: localhost", "Connection: close"]
    if rest:
        lines += [f"Content-Type: {rest[0]}", f"Content-Length: {len(body)}"]
    request = "\r\n".join([*lines, "", ""]).encode() + body
    took: list[float] = []
    waiting = deque(send(int(port), request) for _ in range(IN_FLIGHT))
    begin = time.perf_counter()
    while time.perf_counter() < begin + float(seconds):
        took.append(receive(*waiting.popleft()))
        waiting.append(send(int(port), request))
    whole = time.perf_counter() - begin
    for connection, start in waiting:
        receive(connection, start)
    print(
        json.dumps({"requests": len(took), "seconds": whole, "p50": 1000 * statistics.median(took)})
    )
    return 0


def send(port: int, request: bytes) -> tuple[socket.socket, float]:
    """Send one request over a new connection; with the time when that began."""
    start = time.perf_counter()
    connection = socket.create_connection(("127.0.0.1", port), timeout=60)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connection.sendall(request)
    return connection, start


def receive(connection: socket.socket, start: float) -> float:
    """Read the whole answer, which must be a good one; the seconds since the start."""
    with connection:
        answer = connection.recv(65536)
        if not answer.startswith(b"HTTP/1.1 200 "):
            raise SystemExit(f"a bad answer: {answer[:300]!r}")
        while connection.recv(1 << 20):
            pass
    return time.perf_counter() - start


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
