"""The errors a user can meet. `runs.cli` turns each into a message and an exit code."""

from __future__ import annotations


class PipelineError(Exception):
    """An expected failure: says what happened, where, and what to do. Exit code 1."""

    exit_code = 1


class ConfigError(PipelineError):
    """`config.json` is wrong: names the key, what was found and what was expected. Exit code 2."""

    exit_code = 2


class DataError(PipelineError):
    """A file's content cannot be used: names the file and the reason. Exit code 1."""


class UnreadableError(DataError):
    """The system does not give a file: nothing is known of its content. Exit code 1."""


def unreadable(message: str, error: OSError) -> DataError:
    """The error of a file that is gone, or that the system does not give."""
    return DataError(message) if isinstance(error, FileNotFoundError) else UnreadableError(message)


class AlreadyRunning(PipelineError):
    """Another run holds the lock. Exit code 75 (EX_TEMPFAIL of sysexits.h: try again later)."""

    exit_code = 75


class NotEnoughData(DataError):
    """The rows are too few, or all of one label, for a model. Exit code 1."""
