"""The one connection of a process to Spark: started when first needed, within limited time.

Spark's errors become one line that says what to do. Its own log goes to a temporary file, since
our logs must not hold values of clients.
"""

from __future__ import annotations

import atexit
import contextlib
import importlib.util
import logging
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
import warnings
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attrition.core.engine_settings import SparkSettings
from attrition.core.errors import PipelineError
from attrition.core.paths import PACKAGE, PROJECT
from attrition.core.scratch import scratch_folder

if TYPE_CHECKING:
    from pyspark.conf import SparkConf
    from pyspark.sql import SparkSession


# Without a cluster only this machine has to start, which may be busy.
_START_SECONDS = 300.0
_CONNECT_SECONDS = 5.0
_INSTALL = "pip install -r requirements-spark.txt"
_LONGEST_MESSAGE = 300
_NOISE = re.compile(r"\s|WARNING: |Picked up |Using Spark's |.* WARN |.*spark-class: line ")
_DEFAULTS = {
    "spark.app.name": "client attrition risk",
    "spark.log.level": "ERROR",
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.caseSensitive": "true",  # columns `Age` and `age` stay distinct
    "spark.executorEnv.OMP_NUM_THREADS": "1",
    # Else a worker would import modules from the folder it is started in.
    "spark.executorEnv.PYTHONSAFEPATH": "1",
}


def connect(settings: SparkSettings) -> SparkSession:
    """Start or return the session of this process.

    Raises:
        PipelineError: pyspark or Java is missing, or the master or its workers do not answer.
    """
    check_installed()
    _check_java()
    _check_reachable(settings.master)
    return _start(replace(settings, data=None))


@contextlib.contextmanager
def one_line(settings: SparkSettings) -> Iterator[None]:
    """Turn Spark's errors into a PipelineError of one line."""
    from py4j.protocol import Py4JError
    from pyspark.errors import PySparkException

    try:
        yield
    except (Py4JError, PySparkException, ConnectionError) as error:
        raise PipelineError(f"Spark ({settings.master}): {_message(error)}") from None


def check_installed() -> None:
    """Refuse to continue without pyspark.

    Raises:
        PipelineError: it is missing; the message says how to install it.
    """
    if not all(map(importlib.util.find_spec, ("pyspark", "pyarrow"))):
        raise PipelineError(
            f"config.json asks for the engine Spark, but it is not installed in {sys.executable}; "
            f'{_INSTALL}, or set "engine": "local"'
        )


def _check_java() -> None:
    home = os.environ.get("JAVA_HOME")
    java = Path(home) / "bin" / "java" if home else Path("java")
    if shutil.which(java) is None:
        raise PipelineError(
            f"Spark needs Java 17 or newer, and there is no {java}; install it (on Debian: "
            f"apt-get install default-jre-headless) or let JAVA_HOME name it"
        )


def _check_reachable(master: str) -> None:
    """Check that a standalone master accepts connections: Spark itself would wait for minutes."""
    if not master.startswith("spark://"):
        return
    reasons = []
    for address in master.removeprefix("spark://").split(","):
        host, _, port = address.rpartition(":")
        try:
            with socket.create_connection((host.strip("[]"), int(port)), _CONNECT_SECONDS):
                return
        except OSError as error:
            reasons.append(f"{address}: {error.strerror or error}")
        except UnicodeError:
            reasons.append(f"{address}: not a host name")
    raise PipelineError(
        f"no answer from the Spark master {master} ({'; '.join(reasons)}); start it, or correct "
        f"the setting engine"
    )


@cache
def _start(settings: SparkSettings) -> SparkSession:
    from pyspark.core.context import SparkContext

    # Rows are exchanged as Arrow tables, never as pandas', so the warning below is irrelevant.
    logging.getLogger("py4j").setLevel(logging.CRITICAL)  # it logs closed sockets
    warnings.filterwarnings("ignore", message="PySpark does not yet fully support pandas")
    conf = _conf(settings)
    with tempfile.TemporaryFile("w+") as output, one_line(settings):
        with _output_to(output.fileno()):
            try:
                SparkContext._ensure_initialized(conf=conf)
            except Exception:  # noqa: BLE001 - it raises several kinds; Java's output says more
                raise PipelineError(
                    f"Spark does not start (it needs Java 17 or newer): {_last_output(output)}"
                ) from None
        session = _session(conf, settings)
        _wait_for_workers(session, settings)
        _ship_package(session)
    atexit.register(session.stop)
    return session


def _conf(settings: SparkSettings) -> SparkConf:
    from pyspark.conf import SparkConf

    conf = dict(_DEFAULTS)
    if settings.master.startswith("local"):
        conf |= {"spark.driver.bindAddress": "127.0.0.1", "spark.driver.host": "127.0.0.1"}
    if settings.memory is not None:
        conf |= dict.fromkeys(("spark.driver.memory", "spark.executor.memory"), settings.memory)
    conf |= dict(settings.conf)
    # Else the workers would run the first python3 they find.
    os.environ["PYSPARK_PYTHON"] = settings.python or os.environ.get(
        "PYSPARK_PYTHON", sys.executable
    )
    return SparkConf().setMaster(settings.master).setAll(list(conf.items()))


def _session(conf: SparkConf, settings: SparkSettings) -> SparkSession:
    """Connect to the master in a thread, which can be abandoned if the master does not answer."""
    from pyspark.core.context import SparkContext
    from pyspark.sql import SparkSession
    from pyspark.version import __version__

    results: list[Any] = []

    def create() -> None:
        try:
            results.append(SparkSession.builder.config(conf=conf).getOrCreate())
        except Exception as error:  # noqa: BLE001 - reported below, in the waiting thread
            results.append(error)

    thread = threading.Thread(target=create, daemon=True)
    thread.start()
    patience = _START_SECONDS if _is_local(settings) else settings.patience_seconds
    thread.join(patience)
    if results and isinstance(results[0], SparkSession):
        return results[0]
    if results:
        reason = _message(results[0])
    else:
        reason = f"not within {patience:.0f} seconds"
        _give_up(SparkContext._gateway.proc, thread)
    raise PipelineError(
        f"the Spark master {settings.master} accepts no application ({reason}); is it running, "
        f"and of the version of this pyspark, {__version__}? (pip install pyspark==VERSION)"
    )


def _give_up(java: subprocess.Popen[bytes], thread: threading.Thread) -> None:
    """End Java and the thread that waits for it, without py4j's log of the lost connection."""
    logging.disable(logging.CRITICAL)
    java.kill()
    thread.join(_CONNECT_SECONDS)
    logging.disable(logging.NOTSET)


def _is_local(settings: SparkSettings) -> bool:
    return settings.master.partition("[")[0] == "local"


def _wait_for_workers(session: SparkSession, settings: SparkSettings) -> None:
    """Wait for a worker: on a cluster without free workers a job would wait for ever."""
    if _is_local(settings) or dict(settings.conf).get("spark.dynamicAllocation.enabled") == "true":
        return
    context = session.sparkContext._jsc.sc()
    deadline = time.monotonic() + settings.patience_seconds
    while context.getExecutorMemoryStatus().size() < 2:  # the driver counts as one
        if time.monotonic() > deadline:
            session.stop()
            raise PipelineError(
                f"no worker of {settings.master} offered a core and the memory asked for within "
                f"{settings.patience_seconds:.0f} seconds; start workers, ask for less (memory, "
                f"conf), or wait longer (patience_seconds)"
            )
        time.sleep(0.1)


def _ship_package(session: SparkSession) -> None:
    """Send this package to the workers: they run its checks of client rows."""
    kept = contextlib.ExitStack()
    atexit.register(kept.close)  # workers that join later fetch it, too
    path = kept.enter_context(scratch_folder()) / "attrition.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for source in sorted(Path(PACKAGE).rglob("*.py")):
            archive.write(source, source.relative_to(PROJECT))
    session.sparkContext.addPyFile(str(path))


@contextlib.contextmanager
def _output_to(descriptor: int) -> Iterator[None]:
    """Redirect output of processes started within to a file: standard output is for results."""
    sys.stdout.flush()
    kept = os.dup(1), os.dup(2)
    try:
        os.dup2(descriptor, 1)
        os.dup2(descriptor, 2)
        yield
    finally:
        for number, before in zip((1, 2), kept, strict=True):
            os.dup2(before, number)
            os.close(before)


def _last_output(output: Any) -> str:
    """Java's output before it ended, without warnings and traces."""
    output.seek(0)
    lines = [line.strip() for line in output if line.strip() and not _NOISE.match(line)]
    return "; ".join(lines)[:_LONGEST_MESSAGE] or "no output"


def _message(error: BaseException) -> str:
    """The cause in one line; for Java's and Python's traces only the innermost cause."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    causes = [line.removeprefix("Caused by: ") for line in lines if line.startswith("Caused by: ")]
    modules = [line for line in lines if "ModuleNotFoundError" in line]
    raised = _raised_on_worker(str(error))
    lines = [line for line in lines if not line.startswith("An error occurred while calling")]
    text = (modules or raised or causes[-1:] or lines or [type(error).__name__])[0].lstrip(": ")
    if modules:
        text += "; the workers need this project's packages (requirements.txt) as well"
    return text[:_LONGEST_MESSAGE]


def _raised_on_worker(text: str) -> list[str]:
    """The error that Python raised on a worker: the first unindented line after a trace."""
    _, trace, rest = text.rpartition("Traceback (most recent call last):")
    unindented = [line for line in rest.splitlines() if line and not line[0].isspace()]
    ours = f"{PipelineError.__module__}.{PipelineError.__name__}: "
    return [line.removeprefix(ours) for line in unindented[:1]] if trace else []
