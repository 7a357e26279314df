"""How gunicorn serves `wsgi:app`; `make serve` and `gunicorn wsgi:app` read this by themselves.

Environment: WEB_CONCURRENCY (workers, default 2), ATTRITION_CONFIG, ATTRITION_API_TOKEN,
             FORWARDED_ALLOW_IPS and others of gunicorn's own. Options on the command line win.
Writes       the workers' counts into a temporary folder, which goes with the server; a server that
             was killed leaves it, and a later run of the pipeline removes it.
"""

import errno
import json
import os
import shutil
import socket
import sys
import tempfile
import time
from contextlib import suppress
from http import HTTPStatus
from pathlib import Path
from socket import AF_INET, AF_INET6
from typing import Any

import gevent
from gevent.lock import Semaphore
from gunicorn.http import errors
from gunicorn.util import write_nonblock
from gunicorn.workers.ggevent import GeventWorker

_COUNTS = "PROMETHEUS_MULTIPROC_DIR"
_LONG_BODY = 2**16  # bytes
_MOST_DROPPED = 2**25  # bytes of a refused body; more than that resets the connection
_SECONDS_TO_SAY_SO = 5  # for the answer to a request that took too long
_NO_FAULT_OF_THE_CLIENT = (
    errors.ConfigurationProblem,
    errors.InvalidResponseHeader,
    errors.InvalidResponseHeaderName,
)
_FAULTS = {
    errors.ForbiddenProxyRequest: (403, "this address may not speak the proxy protocol"),
    errors.LimitRequestLine: (414, "the request line is too long"),
    errors.ExpectationFailed: (417, "expected no header Expect but 100-continue"),
    errors.LimitRequestHeaders: (431, "there are too many headers, or they are too long"),
    errors.UnsupportedTransferCoding: (501, "expected a body that comes as it is, or in chunks"),
}
_INHERITED = {"GUNICORN_FD", "LISTEN_FDS"}  # sockets of a server before, or of systemd

bind = "127.0.0.1:8000"
workers = int(os.environ.get("WEB_CONCURRENCY", "2"))
# Seconds for the whole header of a request, and for a connection between two requests.
keepalive = 10
# Seconds from the header to the last byte of the answer: a longer request is ended, and so is a
# worker that computes without a pause. A restart waits so long for what is under way.
timeout = 30
graceful_timeout = 30
# So many connections of a worker at once; others wait until one of these ends.
worker_connections = 400
# The heartbeat of the workers is a file; on a disk it could stall with the disk.
worker_tmp_dir = "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108
# It would listen under one fixed name in the user's home, for every server of that user.
control_socket_disable = True
# No header of a request names the path it is for: by default SCRIPT_NAME does, from this machine.
forwarder_headers = ""
# Longest request line (names of clients stand in it), most and longest headers.
limit_request_line = 4094
limit_request_fields = 50
limit_request_field_size = 8190


def on_starting(server: Any) -> None:
    """Name the folder to count in before a worker imports the client library, which looks once.

    Raises:
        SystemExit: the settings are wrong, another server has the port, or it cannot be had.
    """
    from attrition.core.config_parsing import load_config
    from attrition.core.errors import PipelineError
    from attrition.core.permissions import keep_private
    from attrition.core.scratch import COUNTS, hold

    named = os.environ.get("ATTRITION_CONFIG")
    try:
        load_config(Path(named) if named else None)
    except PipelineError as error:  # in a worker it would be a traceback
        sys.stderr.write(str(error).replace("--config ", "ATTRITION_CONFIG=") + "\n")
        raise SystemExit(error.exit_code) from None
    if not server.cfg.reuse_port:
        for address in server.cfg.address:
            _refuse_taken(address)
    keep_private()
    os.environ[_COUNTS] = tempfile.mkdtemp(prefix=COUNTS)
    hold(Path(os.environ[_COUNTS]))  # by the workers as well, as long as one of them is there


def _refuse_taken(address: Any) -> None:
    """Raise SystemExit, in words, where a port is taken or there is none of that number."""
    if not isinstance(address, tuple) or _INHERITED & os.environ.keys():
        return
    host, port = address[:2]
    if not 0 <= port < 2**16:
        raise SystemExit(f"there is no port {port}: expected one from 1 to {2**16 - 1}")
    for wait in (0.5, 0.5, 0.0):  # a server before may be about to leave
        obstacle = _obstacle(address)
        if obstacle == errno.EACCES:
            raise SystemExit(f"port {port} of {host} needs rights; choose one from 1024 on")
        if obstacle != errno.EADDRINUSE:
            return
        time.sleep(wait)
    others = (other for other in range(port + 1, 2**16) if _obstacle((host, other)) is None)
    free = next(others, None)
    example = "" if free is None else f", such as: make serve PORT={free}"
    raise SystemExit(
        f"port {port} of {host} is taken, perhaps by a server that runs already; "
        f"choose another{example}"
    )


def _obstacle(address: tuple[str, int]) -> int | None:
    """The number of the error that a server at this address would meet."""
    try:
        with socket.create_server(address, family=AF_INET6 if ":" in address[0] else AF_INET):
            return None
    except OSError as error:
        return error.errno


class Worker(GeventWorker):  # type: ignore[misc]
    """Answers many connections at once, so that those who send or read slowly hold up nobody."""

    _one_at_a_time = Semaphore()

    def handle_request(self, listener_name: Any, req: Any, sock: Any, addr: Any) -> None:
        """Answer one request within the time limit.

        Where the body has not come by then, what reads it says so, and that answer has a limit of
        its own; else the connection ends.
        """
        self._let_others_in(req.unreader)
        seconds = self.cfg.timeout
        late = TimeoutError(f"the request took longer than {seconds} s")
        try:
            with gevent.Timeout(seconds + _SECONDS_TO_SAY_SO, late), gevent.Timeout(seconds, late):
                super().handle_request(listener_name, req, sock, addr)
        except StopIteration:
            if req.must_close:
                _drop_rest(sock, self.cfg.keepalive)
            raise
        except TimeoutError as error:
            self.log.warning("%s: %s", addr[0] if addr else "a client", error)
            raise StopIteration from None  # as gunicorn tells that a connection ends
        req.unreader.answered = _turn()

    def handle_error(self, req: Any, client: Any, addr: Any, exc: Any) -> None:
        """Answer what is no request as the application answers errors.

        gunicorn would say what came, in the log and in HTML: a client's name may stand in it.
        """
        if not isinstance(exc, errors.ParseException) or isinstance(exc, _NO_FAULT_OF_THE_CLIENT):
            super().handle_error(req, client, addr, exc)
            return
        status, detail = _FAULTS.get(type(exc), (400, "this is not a request as HTTP has it"))
        self.log.warning("%s: %s: %s", addr[0] if addr else "a client", type(exc).__name__, detail)
        title = HTTPStatus(status).phrase
        problem = {"type": "about:blank", "title": title, "status": status, "detail": detail}
        head = "Content-Type: application/problem+json\r\nConnection: close\r\n"
        body = json.dumps(problem)
        answer = f"HTTP/1.1 {status} {title}\r\n{head}Content-Length: {len(body)}\r\n\r\n{body}"
        with suppress(OSError):
            write_nonblock(client, answer.encode())

    def _let_others_in(self, connection: Any) -> None:
        """Make a client wait whose next request was there already: one such request in each turn.

        After `sleep(0)` gevent would go on with the next of such clients, again and again, before
        it looks at the sockets of others; so as not to wait longer the time is next to nothing.
        """
        if getattr(connection, "answered", None) == _turn():
            with self._one_at_a_time:
                gevent.sleep(1e-9)


def _turn() -> int:
    """How many times gevent has looked at the sockets."""
    return int(gevent.get_hub().loop.iteration)


def _drop_rest(connection: Any, seconds: float) -> None:
    """Let a client send what is left of a refused body: a reset would cost it the answer."""
    left = _MOST_DROPPED
    with suppress(OSError), gevent.Timeout(seconds, False):
        connection.shutdown(socket.SHUT_WR)
        while left > 0 and (piece := connection.recv(_LONG_BODY)):
            left -= len(piece)


worker_class = Worker


def pre_request(_worker: Any, req: Any) -> None:
    """Close the connection after a long body, which may have been refused before it had come."""
    headers = dict(req.headers)
    if "TRANSFER-ENCODING" in headers or int(headers.get("CONTENT-LENGTH", 0)) > _LONG_BODY:
        req.force_close()


def child_exit(_server: Any, worker: Any) -> None:
    """Forget the gauges of a worker that is gone; its counts stay."""
    from prometheus_client.multiprocess import mark_process_dead

    mark_process_dead(worker.pid)  # type: ignore[no-untyped-call]


def on_exit(_server: Any) -> None:
    """Leave no counts behind."""
    shutil.rmtree(os.environ[_COUNTS], ignore_errors=True)
