"""`gunicorn wsgi:app` serves the project that ATTRITION_CONFIG names."""

from __future__ import annotations

import http.client
import json
import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.conftest import REPOSITORY, Project
from tests.releases import deploy
from tests.test_app import QUIET


@pytest.fixture
def port(project: Project) -> Iterator[int]:
    """A gunicorn on a port of its own, started from a folder that is not the project's."""
    deploy(project)
    process = subprocess.Popen(
        [sys.executable, "-m", "gunicorn", "--bind", "127.0.0.1:0", "--workers", "1",
         "--chdir", REPOSITORY, "wsgi:app"],
        cwd="/", env=os.environ | {"ATTRITION_CONFIG": str(project.config_path)},
        stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stderr is not None
    line = next(line for line in process.stderr if "Listening at" in line)
    yield int(line.rpartition(":")[2].split()[0].strip())
    process.terminate()
    process.communicate(timeout=30)


def test_gunicorn_serves_predictions(port: int) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    body = json.dumps({"records": [QUIET]})
    connection.request("POST", "/prediction", body, {"Content-Type": "application/json"})
    response = connection.getresponse()
    answer = json.loads(response.read())
    connection.close()
    assert response.status == 200
    assert answer["predictions"] == [1]


def test_settings_that_are_wrong_stop_the_server_with_a_word(project: Project) -> None:
    project.config_path.write_text('{"nonsense": 1}')
    done = subprocess.run([sys.executable, "-c", "import wsgi"], cwd=REPOSITORY, check=False,
                          env=os.environ | {"ATTRITION_CONFIG": str(project.config_path)},
                          capture_output=True, text=True)  # fmt: skip
    assert done.returncode != 0
    assert "unknown key 'nonsense'" in done.stderr
