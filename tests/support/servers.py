"""Real servers on free ports of this machine, for tests over HTTP."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import socket
import socketserver
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.conftest import REPOSITORY, Project


@contextmanager
def gunicorn(
    project: Project, *options: str, application: str = "wsgi:app", **environment: str
) -> Iterator[int]:
    """`gunicorn wsgi:app` with the configuration file, started from another folder; its port."""
    process = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "gunicorn",
            "--chdir",
            REPOSITORY,
            "--config",
            REPOSITORY / "gunicorn.conf.py",
            "--bind",
            "127.0.0.1:0",
            *options,
            application,
        ],
        cwd="/",
        env=os.environ | {"ATTRITION_CONFIG": str(project.config_path)} | environment,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    told: list[str] = []
    try:
        for line in process.stderr:
            told.append(line)
            if "Listening at" in line:
                break
        else:
            raise AssertionError("".join(told))
        port = int(line.split("Listening at:")[1].split("(")[0].strip().rpartition(":")[2])
        reader = threading.Thread(target=told.extend, args=(process.stderr,))
        reader.start()
        yield port
    finally:
        process.terminate()
        process.wait(60)
        reader.join()
        process.stderr.close()


@contextmanager
def forwarder(port: int) -> Iterator[int]:
    """A plain TCP forwarder to a server here, such as ssh -R and socat are; its own port.

    It passes bytes on, and says nothing about whom they come from.
    """

    class Forward(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            with socket.create_connection(("127.0.0.1", port), timeout=60) as server:
                there = threading.Thread(target=_pass_on, args=(self.request, server))
                there.start()
                _pass_on(server, self.request)
                there.join()

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Forward) as forwarding:
        thread = threading.Thread(target=forwarding.serve_forever)
        thread.start()
        try:
            yield forwarding.server_address[1]
        finally:
            forwarding.shutdown()
            thread.join()


def _pass_on(source: socket.socket, target: socket.socket) -> None:
    """Pass on what comes, until there is no more."""
    try:
        while data := source.recv(65_536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
    except OSError:  # the other side hung up
        pass


def raw(port: int, request: bytes) -> bytes:
    """The answer to the bytes of a request; a server that has heard enough may hang up on it."""
    with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
        with contextlib.suppress(ConnectionError):
            connection.sendall(request)
        answer = b""
        with contextlib.suppress(ConnectionError):
            while data := connection.recv(65_536):
                answer += data
    return answer


def ask(
    port: int, path: str, body: Any = None, **headers: str
) -> tuple[int, http.client.HTTPMessage, bytes]:
    """Ask a server on this machine; a body is sent as JSON, bytes as they are."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        if body is None:
            connection.request("GET", path, headers=headers)
        else:
            data = body if isinstance(body, bytes) else json.dumps(body).encode()
            connection.request("POST", path, data, {"Content-Type": "application/json", **headers})
        response = connection.getresponse()
        return response.status, response.headers, response.read()
    finally:
        connection.close()
