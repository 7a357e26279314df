"""Real servers on free ports of this machine, for tests over HTTP."""

from __future__ import annotations

import http.client
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.conftest import REPOSITORY, Project


@contextmanager
def gunicorn(project: Project, *options: str, **environment: str) -> Iterator[int]:
    """`gunicorn wsgi:app` with the configuration file, started from another folder; its port."""
    process = subprocess.Popen(
        [sys.executable, "-m", "gunicorn", "--chdir", REPOSITORY,
         "--config", REPOSITORY / "gunicorn.conf.py", "--bind", "127.0.0.1:0", *options,
         "wsgi:app"],
        cwd="/", env=os.environ | {"ATTRITION_CONFIG": str(project.config_path)} | environment,
        stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
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
