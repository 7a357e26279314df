"""Ask a server again and again, and say how long the answers took.

    python -m benchmarks.load PORT SECONDS METHOD PATH [CONTENT-TYPE BODY-FILE]

Two requests are on their way at any time, so that the worker never waits for the client, each over
a connection that is kept as long as the server keeps it. Plain sockets, so that the client costs
little. Prints JSON: requests, seconds, p50 and p99 (milliseconds from the first byte to the last).
"""

from __future__ import annotations

import json
import re
import socket
import statistics
import sys
import time
from collections.abc import Sequence
from pathlib import Path

IN_FLIGHT = 2
_LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)
_CLOSES = re.compile(rb"connection: *close", re.IGNORECASE)


class Connection:
    """Sends one request again and again."""

    def __init__(self, port: int, request: bytes) -> None:
        self._port, self._request = port, request
        self._socket: socket.socket | None = None
        self._began = 0.0

    def send(self) -> None:
        """Send the request, over a new connection where the last one was closed."""
        self._began = time.perf_counter()
        if self._socket is None:
            self._socket = socket.create_connection(("127.0.0.1", self._port), timeout=60)
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket.sendall(self._request)

    def receive(self) -> float:
        """Read the whole answer, which must be a good one; the seconds since it was asked for."""
        assert self._socket is not None
        answer = self._socket.recv(65536)
        while b"\r\n\r\n" not in answer:
            answer += self._more()
        head, _, body = answer.partition(b"\r\n\r\n")
        length = _LENGTH.search(head)
        if not head.startswith(b"HTTP/1.1 200 ") or length is None:
            raise SystemExit(f"a bad answer: {answer[:300]!r}")
        left = int(length[1]) - len(body)
        while left:
            left -= len(self._more())
        if _CLOSES.search(head):
            self._socket.close()
            self._socket = None
        return time.perf_counter() - self._began

    def _more(self) -> bytes:
        assert self._socket is not None
        piece = self._socket.recv(1 << 20)
        if not piece:
            raise SystemExit("an answer broke off")
        return piece


def main(argv: Sequence[str]) -> int:
    """Ask, and print the figures."""
    port, seconds, method, path, *rest = argv
    body = Path(rest[1]).read_bytes() if rest else b""
    lines = [f"{method} {path} HTTP/1.1", "Host: localhost"]
    if rest:
        lines += [f"Content-Type: {rest[0]}", f"Content-Length: {len(body)}"]
    request = "\r\n".join([*lines, "", ""]).encode() + body
    connections = [Connection(int(port), request) for _ in range(IN_FLIGHT)]
    for connection in connections:
        connection.send()
    took: list[float] = []
    begin = time.perf_counter()
    while time.perf_counter() < begin + float(seconds):
        connection = connections[len(took) % IN_FLIGHT]
        took.append(connection.receive())
        connection.send()
    whole = time.perf_counter() - begin
    p99 = sorted(took)[len(took) * 99 // 100]
    figures = {"p50": 1000 * statistics.median(took), "p99": 1000 * p99}
    print(json.dumps({"requests": len(took), "seconds": whole} | figures))
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
