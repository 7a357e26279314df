"""Ask a server again and again, and say how long the answers took.

    python -m benchmarks.load PORT SECONDS METHOD PATH [CONTENT-TYPE BODY-FILE]

One request after the other, each over a connection of its own, as a sync worker of gunicorn has it;
plain sockets, so that the client costs little. Prints JSON: requests, seconds, p50 (milliseconds).
"""

from __future__ import annotations

import json
import socket
import statistics
import sys
import time
from collections.abc import Sequence
from pathlib import Path


def main(argv: Sequence[str]) -> int:
    """Ask, and print the figures."""
    port, seconds, method, path, *rest = argv
    body = Path(rest[1]).read_bytes() if rest else b""
    lines = [f"{method} {path} HTTP/1.1", "Host: localhost", "Connection: close"]
    if rest:
        lines += [f"Content-Type: {rest[0]}", f"Content-Length: {len(body)}"]
    request = "\r\n".join([*lines, "", ""]).encode() + body
    took: list[float] = []
    begin = time.perf_counter()
    while (start := time.perf_counter()) < begin + float(seconds):
        ask(int(port), request)
        took.append(time.perf_counter() - start)
    whole = time.perf_counter() - begin
    print(json.dumps({"requests": len(took), "seconds": whole,
                      "p50": 1000 * statistics.median(took)}))  # fmt: skip
    return 0


def ask(port: int, request: bytes) -> None:
    """Send one request and read its whole answer, which must be a good one."""
    with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.sendall(request)
        start = connection.recv(65536)
        if not start.startswith(b"HTTP/1.1 200 "):
            raise SystemExit(f"a bad answer: {start[:300]!r}")
        while connection.recv(1 << 20):
            pass


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
