"""The errors a user can meet. `runs.cli` turns each into a message and an exit code."""

from __future__ import annotations


class PipelineError(Exception):
    """An expected failure; the message says what happened, where, and what to do. Exit code 1."""

    exit_code = 1


class ConfigError(PipelineError):
    """Wrong settings; the message names the key, the value and what was expected. Exit code 2."""

    exit_code = 2


class DataError(PipelineError):
    """A file's content cannot be used; the message names file and reason. Exit code 1."""


class UnreadableError(DataError):
    """The system cannot read a file, so its content is unknown. Exit code 1."""


def unreadable(message: str, error: OSError) -> DataError:
    """The error for a file that is missing (DataError) or that the system cannot read."""
    return DataError(message) if isinstance(error, FileNotFoundError) else UnreadableError(message)


class AlreadyRunning(PipelineError):
    """Another run holds the lock. Exit code 75 (EX_TEMPFAIL of sysexits.h: try again later)."""

    exit_code = 75


class NotEnoughData(DataError):
    """There are too few rows for a model, or all have one label. Exit code 1."""
