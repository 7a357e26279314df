"""A value that is known, for a test that computes with it."""

from __future__ import annotations


def known(value: float | None) -> float:
    assert value is not None
    return value
