"""Numbers out of a plain CSV table, whole columns at a time: long tables are read in milliseconds.

Plain: UTF-8 without quotes and control characters, equally many values in each line. What else a
table may hold is for Python's csv module; where both understand a table they read the same numbers,
to the bit.
"""

from __future__ import annotations

import codecs
import csv

import numpy as np
from numpy.typing import NDArray

_COMMA, _NEWLINE, _SPACE, _MINUS, _ZERO = np.frombuffer(b",\n -0", dtype=np.uint8)
_POINT = 256 + ord(".") - ord("0")  # as bytes count
# So many digits are exact in a float, and so is the division by a power of ten: the result is the
# nearest float, as float() gives it (W. D. Clinger, How to Read Floating Point Numbers Accurately).
_MOST_DIGITS = 15
_POWERS = 10.0 ** np.arange(_MOST_DIGITS + 1)
_ROWS_AT_ONCE, _BYTES_AT_ONCE = 8192, 2**17  # so much fits into the processor's cache

Places = NDArray[np.intp]
Floats = NDArray[np.float64]


class PlainTable:
    """The values of a plain table, by where they end in its bytes.

    Attributes:
        header: the names in the first line.
    """

    def __init__(self, data: bytes, ends: Places) -> None:
        """Take the bytes, and where values end: an array of shape (n_lines, n_columns)."""
        self._data, self._letters = data, np.frombuffer(data, dtype=np.uint8)
        self._ends = ends
        self.header = data[: ends[0, -1]].decode().split(",")

    def _bounds(self, position: int) -> tuple[Places, Places]:
        """Where the values of a column begin and end."""
        before = self._ends[1:, position - 1] if position else self._ends[:-1, -1]
        return before + 1, np.ascontiguousarray(self._ends[1:, position])

    def texts(self, position: int) -> list[str]:
        """The texts of a column."""
        bounds = zip(*(each.tolist() for each in self._bounds(position)), strict=True)
        return [self._data[start:end].decode() for start, end in bounds]

    def numbers(self, position: int) -> Floats | None:
        """The numbers of a column, NaN for a blank; None where one is more than a few digits."""
        starts, ends = self._bounds(position)
        pieces: list[Floats] = []
        for first in range(0, len(ends), _ROWS_AT_ONCE):
            rows = slice(first, first + _ROWS_AT_ONCE)
            piece = _numbers(self._letters, starts[rows], ends[rows])
            if piece is None:
                return None
            pieces.append(piece)
        return np.concatenate(pieces)


def _numbers(letters: NDArray[np.uint8], starts: Places, ends: Places) -> Floats | None:
    blank = starts == ends
    negative = letters[starts] == _MINUS
    lengths = ends - starts - negative
    width = max(int(lengths.max()), 1)
    if width > min(_MOST_DIGITS + 1, ends[0]):
        return None
    backwards = range(width, 0, -1)
    digits = np.stack([letters[ends - back] for back in backwards]) - _ZERO
    digits *= np.array(backwards)[:, None] <= lengths  # what stands before is of other values
    divisors = None
    digits_of_each = lengths
    if digits.max() > 9:  # a letter that is no digit
        is_point = digits == _POINT
        points = is_point.sum(axis=0)
        before = np.logical_or.accumulate(is_point[::-1])[::-1]  # with the point itself
        divisors = _POWERS[np.where(points > 0, width - before.sum(axis=0), 0)]
        moved = np.concatenate((np.zeros_like(digits[:1]), digits[:-1]))
        digits = np.where(before, moved, digits)
        if points.max() > 1 or digits.max() > 9:
            return None
        digits_of_each = lengths - points
    if digits_of_each.max() > _MOST_DIGITS or ((digits_of_each == 0) & ~blank).any():
        return None
    values = np.zeros(len(ends))
    for digit in digits:  # from the left
        values *= 10
        values += digit
    if divisors is not None:
        values /= divisors
    values[blank] = np.nan
    return np.where(negative, -values, values) if negative.any() else values


def plain_table(data: bytes) -> PlainTable | None:
    """Look at a table; None where it is not plain, or has no line but the header."""
    data = data.removeprefix(codecs.BOM_UTF8)
    if b"\r" in data:
        data = data.replace(b"\r\n", b"\n")
    if not data.endswith(b"\n"):
        data += b"\n"
    if b'"' in data or b"\n\n" in data:
        return None
    try:
        data.decode()
    except UnicodeDecodeError:
        return None
    letters = np.frombuffer(data, dtype=np.uint8)
    pieces = np.split(letters, range(_BYTES_AT_ONCE, len(letters), _BYTES_AT_ONCE))
    marked = np.flatnonzero(np.concatenate([(p == _COMMA) | (p < _SPACE) for p in pieces]))
    width = data[: data.index(b"\n")].count(b",") + 1
    if len(marked) % width or len(marked) == width:
        return None
    ends = marked.reshape(-1, width)
    marks = letters[ends]
    longest_line = int(np.diff(ends[:, -1], prepend=-1).max())
    is_plain = (
        (marks[:, :-1] == _COMMA).all()
        and (marks[:, -1] == _NEWLINE).all()
        and longest_line <= csv.field_size_limit()
    )
    return PlainTable(data, ends) if is_plain else None
