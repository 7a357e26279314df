"""How gunicorn serves `wsgi:app`; `make serve` and `gunicorn wsgi:app` read this by themselves.

Environment: WEB_CONCURRENCY (workers, default 2), ATTRITION_CONFIG, ATTRITION_API_TOKEN,
             FORWARDED_ALLOW_IPS and others of gunicorn's own. Options on the command line win.
Writes       the workers' counts into a temporary folder, which goes with the server; a server that
             was killed leaves it, and a later run of the pipeline removes it.
"""

import contextlib
import ctypes
import gc
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

_COUNTS = "PROMETHEUS_MULTIPROC_DIR"
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # see mallopt(3)

bind = "127.0.0.1:8000"
# One request at a time in each worker: several threads in one made each of them slower.
workers = int(os.environ.get("WEB_CONCURRENCY", "2"))
worker_class = "sync"
# A worker busy for longer than this, with whatever, is replaced; a restart waits so long for it.
timeout = 30
graceful_timeout = 30
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


def on_starting(_server: Any) -> None:
    """Name the folder to count in before a worker imports the client library, which looks once."""
    from attrition.core.permissions import keep_private
    from attrition.core.scratch import COUNTS, hold

    keep_private()
    os.environ[_COUNTS] = tempfile.mkdtemp(prefix=COUNTS)
    hold(Path(os.environ[_COUNTS]))  # by the workers as well, as long as one of them is there


def post_worker_init(worker: Any) -> None:
    """Spare each request what only needs doing once."""
    _keep_freed_memory()
    # What is loaded by now stays: nobody need look through it for garbage.
    gc.collect()
    gc.freeze()
    # gunicorn looks up some twenty settings for each request, each by way of two functions.
    vars(worker.cfg).update({name: item.get() for name, item in worker.cfg.settings.items()})


def _keep_freed_memory() -> None:
    """A long table would ask the kernel for the same pages again each time."""
    with contextlib.suppress(AttributeError):  # not every C library has it
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(_M_MMAP_THRESHOLD, 32 * 2**20)
        mallopt(_M_TRIM_THRESHOLD, 64 * 2**20)


def child_exit(_server: Any, worker: Any) -> None:
    """Forget the gauges of a worker that is gone; its counts stay."""
    from prometheus_client.multiprocess import mark_process_dead

    mark_process_dead(worker.pid)  # type: ignore[no-untyped-call]


def on_exit(_server: Any) -> None:
    """Leave no counts behind."""
    shutil.rmtree(os.environ[_COUNTS], ignore_errors=True)
