"""What docs/operations.md puts around the server works as it stands: nginx, systemd, a backup."""

from __future__ import annotations

import contextlib
import getpass
import http.client
import json
import re
import shutil
import socket
import ssl
import stat
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from attrition.core import releases
from tests.conftest import REPOSITORY, Project
from tests.support.answers import QUIET
from tests.support.servers import gunicorn
from tests.support.serving_projects import serve_ready

TEXT = (REPOSITORY / "docs/operations.md").read_text(encoding="utf-8")
HOST, TOKEN = "risk.example.com", "s3cret"
NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
UNITS = dict(re.findall(r"```ini\n# /etc/systemd/system/(\S+)\n(.*?)```", TEXT, re.DOTALL))
MAIN = """
daemon off;
user {user};
pid {folder}/pid;
error_log stderr;
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    include {folder}/attrition.conf;
}}
"""


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


@contextmanager
def nginx(folder: Path, server: int) -> Iterator[int]:
    """Debian's nginx with the configuration of the document, before a server; its port."""
    (text,) = re.findall(r"```nginx\n(.*?)```", TEXT, re.DOTALL)
    port = free_port()
    for theirs, here in (
        ("listen 443 ssl", f"listen 127.0.0.1:{port} ssl"),
        ("/etc/ssl/certs/risk.example.com.pem", f"{folder}/certificate"),
        ("/etc/ssl/private/risk.example.com.key", f"{folder}/key"),
        ("127.0.0.1:8000", f"127.0.0.1:{server}"),
    ):
        assert theirs in text
        text = text.replace(theirs, here)
    (folder / "attrition.conf").write_text(text)
    (folder / "nginx.conf").write_text(MAIN.format(folder=folder, user=getpass.getuser()))
    certificate = (
        f"openssl req -x509 -newkey rsa:2048 -nodes -days 1 -subj /CN={HOST} "
        f"-addext subjectAltName=DNS:{HOST} -keyout key -out certificate"
    )
    subprocess.run(certificate.split(), cwd=folder, check=True, capture_output=True)
    assert NGINX is not None
    command: list[str] = [
        NGINX,
        "-e",
        "stderr",
        "-p",
        str(folder),
        "-c",
        str(folder / "nginx.conf"),
    ]
    process = subprocess.Popen(command)
    try:
        for _ in range(300):
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
                break
            assert process.poll() is None
            time.sleep(0.1)
        yield port
    finally:
        process.terminate()
        process.wait(60)


class ThroughNginx(http.client.HTTPSConnection):
    """A connection to the public name, which leads to this machine."""

    def connect(self) -> None:
        plain = socket.create_connection(("127.0.0.1", self.port), timeout=60)
        self.sock = self._context.wrap_socket(plain, server_hostname=HOST)  # type: ignore[attr-defined]


def ask_nginx(
    folder: Path, port: int, path: str, headers: Mapping[str, str], body: bytes | None = None
) -> tuple[int, Any]:
    """Ask over TLS, the certificate checked."""
    context = ssl.create_default_context(cafile=folder / "certificate")
    connection = ThroughNginx(HOST, port, timeout=60, context=context)
    kind = {"Content-Type": "application/json"} if body else {}
    with contextlib.closing(connection):
        connection.request("POST" if body else "GET", path, body, {**kind, **headers})
        response = connection.getresponse()
        return response.status, response.read()


@pytest.mark.skipif(NGINX is None, reason="nginx is not installed")
@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")
def test_nginx_as_the_document_has_it_passes_on_what_the_server_needs(
    project: Project, tmp_path: Path
) -> None:
    serve_ready(project)
    project.configure(trusted_hosts=[HOST], trust_this_machine=True)
    right = {"Authorization": f"Bearer {TOKEN}"}
    body = json.dumps({"records": [QUIET]}).encode()
    folder = tmp_path / "nginx"
    folder.mkdir()
    wrong = {"Authorization": "Bearer wrong"}
    with gunicorn(project, ATTRITION_API_TOKEN=TOKEN) as server, nginx(folder, server) as port:
        assert ask_nginx(folder, port, "/scoring", {})[0] == 401
        assert ask_nginx(folder, port, "/scoring", wrong)[0] == 401
        assert ask_nginx(folder, port, "/scoring", right)[0] == 200
        status, answer = ask_nginx(folder, port, "/prediction", right, body)
        assert (status, json.loads(answer)["predictions"]) == (200, [1])
        assert ask_nginx(folder, port, "/scoring", {**right, "Host": "other.example"})[0] == 400
        longest = body.ljust(16 * 2**20)
        assert ask_nginx(folder, port, "/prediction", right, longest)[0] == 200
        assert ask_nginx(folder, port, "/prediction", right, longest + b" ")[0] == 413
        text = {**right, "Content-Type": "text/plain"}
        for _ in range(5):  # the server refuses them before they have come
            assert ask_nginx(folder, port, "/prediction", wrong, longest)[0] == 401
            assert ask_nginx(folder, port, "/prediction", text, longest)[0] == 415


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")
def test_systemd_understands_the_units_of_the_document(tmp_path: Path) -> None:
    assert sorted(UNITS) == ["attrition-server.service", "attrition.service", "attrition.timer"]
    for name, text in UNITS.items():
        here = text.replace("/srv/attrition/.venv", sys.prefix)
        (tmp_path / name).write_text(here.replace("/srv/attrition", str(REPOSITORY)))
    paths = [str(tmp_path / name) for name in UNITS]
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", "--recursive-errors=no", *paths],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert str(tmp_path) not in done.stderr


@pytest.mark.skipif(shutil.which("flock") is None, reason="flock is not installed")
def test_a_project_goes_on_from_its_backup(finished_copy: Project, tmp_path: Path) -> None:
    section = TEXT[TEXT.index("## Backup") :]
    (commands,) = re.findall(r"```sh\n(.*?)```", section.split("\n## ")[0], re.DOTALL)
    backup, restore = commands.splitlines()
    restored = tmp_path / "restored"
    restored.mkdir()
    for command in (backup, restore):
        here = command.replace("/var/backups", str(tmp_path))
        here = here.replace("/srv/restored", str(restored))
        subprocess.run(here, shell=True, cwd=finished_copy.root, check=True)
    (archive,) = tmp_path.glob("*.tar.gz")
    assert stat.S_IMODE(archive.stat().st_mode) == 0o600
    copy = Project(restored)
    live = releases.live_release_id(finished_copy.config.prod_deployment_path)
    shutil.rmtree(finished_copy.root)
    assert live is not None
    said = copy.run("fullprocess.py")
    assert said.returncode == 0
    assert releases.live_release_id(copy.config.prod_deployment_path) == live
    assert len(releases.releases(copy.config.prod_deployment_path)) == 1
