"""A run that is killed where a test says so."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

import pytest


@contextmanager
def killed_at(owner: Any, name: str) -> Iterator[pytest.MonkeyPatch]:
    """Have the body killed where it calls an attribute of `owner`; that it is, is asserted.

    Yields the patch, so that the body can switch off what the dying process cannot do any more.
    """

    def kill(*_: object) -> NoReturn:
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(owner, name, kill)
        yield patch
