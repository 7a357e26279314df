"""What every script's `main` shares: arguments, logging, the lock, and errors as exit codes.

A script's `main` builds its parser with `parser(...)` and passes it with a body to `run` (a
reader), `run_alone` (a writer: it holds the run lock) or `run_stage` (a writer whose name the
terminal shows while it works). The exit codes of all scripts are:
0 fine, 1 an expected error, 2 wrong usage or settings, 3 a bug, 75 another run holds the lock,
130 interrupted.
"""

from __future__ import annotations

import argparse
import logging
import math
import os
import shutil
import signal
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from attrition.core import atomic_files, permissions, progress
from attrition.core.command_line import Parser, fitted_help
from attrition.core.config import Config
from attrition.core.config_parsing import load_config
from attrition.core.errors import AlreadyRunning, ConfigError, PipelineError
from attrition.runs import lock
from attrition.runs.idle import LARGEST_LOG

EXIT_BUG = 3
EXIT_INTERRUPTED = 130

OLD_LOGS = 3
_GRACE_SECONDS = 60

Body = Callable[[Config, argparse.Namespace], int]

logger = logging.getLogger(__name__)


def parser(docstring: str | None) -> argparse.ArgumentParser:
    """A parser with the options of every script; its description is the docstring's first line."""
    lines = (docstring or "").strip().splitlines()
    result = Parser(
        description=fitted_help(lines[0]) if lines else None,
        epilog=fitted_help("\n".join(lines[1:])) or None,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    result.add_argument(
        "--config",
        type=Path,
        metavar="PATH",
        help="settings file (default: config.json beside the scripts)",
    )
    return result


def run(parser: argparse.ArgumentParser, argv: Sequence[str] | None, body: Body) -> int:
    """Run a script's body that changes no file of the pipeline.

    Args:
        parser: made by `parser`, with the script's own arguments added.
        argv: the arguments, None for those of the process.
        body: gets the settings and the parsed arguments, returns the exit code.

    Returns:
        The exit code.
    """
    return run_without_settings(
        parser, argv, lambda arguments: body(load_config(arguments.config), arguments)
    )


def run_alone(parser: argparse.ArgumentParser, argv: Sequence[str] | None, body: Body) -> int:
    """Like `run`, for a body that writes: under the run lock, after cleaning up killed runs."""

    def locked(arguments: argparse.Namespace) -> int:
        config = load_config(arguments.config)
        folders = writable_folders(config)
        atomic_files.check_writable(folders)
        with lock.run_lock(*config.locks):
            atomic_files.sweep_temporary_files(folders)
            permissions.tighten(_written(config))
            return body(config, arguments)

    return run_without_settings(parser, argv, locked)


def run_stage(parser: argparse.ArgumentParser, argv: Sequence[str] | None, body: Body) -> int:
    """Like `run_alone`, for a script that is one stage: a terminal shows that it is running."""

    def shown(config: Config, arguments: argparse.Namespace) -> int:
        with progress.step(Path(parser.prog).stem):
            return body(config, arguments)

    return run_alone(parser, argv, shown)


def writable_folders(config: Config) -> list[Path]:
    """The folders the pipeline writes to."""
    inner = (config.quarantine, config.prod_deployment_path / "releases")
    return [*config.written_folders, *(folder for folder in inner if folder.is_dir())]


def _written(config: Config) -> Iterator[Path]:
    """Everything in the folders the pipeline writes to, and its logs."""
    yield from config.root.glob(f"{config.log.name}*")
    for folder in config.written_folders:
        yield from folder.rglob("*")


def run_without_settings(
    parser: argparse.ArgumentParser,
    argv: Sequence[str] | None,
    body: Callable[[argparse.Namespace], int],
) -> int:
    """Run a body that needs no settings: the one place where errors become exit codes."""
    arguments = parser.parse_args(argv)
    permissions.keep_private()
    _set_up_logging()
    try:
        return body(arguments)
    except PipelineError as error:
        logger.error("%s", error)
        return error.exit_code
    except BrokenPipeError:
        # The reader of our output (such as `| head`) has stopped: not an error of ours.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        logger.error("%s", _os_error_message(error))
        return PipelineError.exit_code
    except KeyboardInterrupt:
        logger.error("interrupted; the next run takes up where this one stopped")
        return EXIT_INTERRUPTED
    except Exception:
        logger.exception("a bug in the pipeline; what was deployed before stays deployed")
        return EXIT_BUG


class _Formatter(logging.Formatter):
    """Messages as they are; warnings and errors begin with the level's name."""

    def format(self, record: logging.LogRecord) -> str:
        text = super().format(record)
        return text if record.levelno <= logging.INFO else f"{record.levelname.lower()}: {text}"


class _TerminalFormatter(_Formatter):
    """The same, broken at the terminal's width; paths stay whole, and so do tracebacks."""

    def format(self, record: logging.LogRecord) -> str:
        text = super().format(record)
        if "\n" in text:
            return text
        return textwrap.fill(
            text,
            shutil.get_terminal_size().columns,
            subsequent_indent="    ",
            break_long_words=False,
            break_on_hyphens=False,
        )


def _set_up_logging() -> None:
    """Log to stderr; fullprocess.py adds a file."""
    handler = logging.StreamHandler()
    handler.setFormatter(_TerminalFormatter() if sys.stderr.isatty() else _Formatter())
    logging.raiseExceptions = False  # a full disk that takes no log line is no second error
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.INFO)


def log_to_file(path: Path) -> None:
    """Also log to a file, with times in UTC; a large file is rotated first.

    Under cron stderr is appended to the same file: then the file's handler replaces that of
    stderr, so that no line is written twice.
    """
    from logging.handlers import RotatingFileHandler  # slow to import, and not for every script

    handler = RotatingFileHandler(path, backupCount=OLD_LOGS, encoding="utf-8")
    if path.stat().st_size >= LARGEST_LOG:
        handler.doRollover()
    formatter = _Formatter("%(asctime)s %(message)s", "%Y-%m-%dT%H:%M:%SZ")
    formatter.converter = time.gmtime
    handler.setFormatter(formatter)
    root = logging.getLogger()
    if os.path.samestat(os.fstat(sys.stderr.fileno()), path.stat()):
        root.handlers.clear()
    root.addHandler(handler)


@contextmanager
def on_failure(report: Callable[[str], None]) -> Iterator[None]:
    """Report a failure, then raise it further to become a message and an exit code.

    Args:
        report: gets a description of the failure without values of clients. Wrong settings, a
            lock that another run holds and an interruption are not failures.
    """
    try:
        yield
    except (ConfigError, AlreadyRunning):
        raise
    except PipelineError as error:
        report(str(error))
        raise
    except OSError as error:
        report(_os_error_message(error))
        raise
    except Exception as error:
        report(f"a bug in the pipeline ({type(error).__name__}); see cron.log")
        raise


def _os_error_message(error: OSError) -> str:
    where = f"{error.filename}: " if error.filename else ""
    return f"{where}{error.strerror or error}"


@contextmanager
def deadline(seconds: float, report: Callable[[str], None] | None = None) -> Iterator[None]:
    """End the whole process when its work takes too long, so that a hung run blocks no others.

    The end is forced, since a hung call may not return; that is as safe as a kill at any moment.
    The kernel's alarm ends the process should this interpreter not get to run the timer.

    Args:
        seconds: how long the work may take.
        report: gets a description of the timeout, and has less than _GRACE_SECONDS to finish.
    """

    def give_up() -> None:
        limit = f"{seconds / 60:g} minutes (run_deadline_minutes in config.json)"
        message = f"the run took longer than {limit} and was ended"
        try:
            logger.error("%s", message)
            if report is not None:
                report(message)
            logging.shutdown()
        finally:
            os._exit(PipelineError.exit_code)

    timer = threading.Timer(seconds, give_up)
    timer.daemon = True
    timer.start()
    signal.alarm(math.ceil(seconds + _GRACE_SECONDS))
    try:
        yield
    finally:
        signal.alarm(0)
        timer.cancel()
