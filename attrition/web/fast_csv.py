"""Numbers out of a plain CSV table, whole columns at a time: long tables are read in milliseconds.

Plain: printable ASCII without quotes, equally many values in each line. What else a table may hold
is for Python's csv module; where both understand a table they read the same numbers, to the bit.
"""

from __future__ import annotations

import csv

import numpy as np
from numpy.typing import NDArray

_COMMA, _NEWLINE, _SPACE = b",\n "
_MINUS, _ZERO = np.uint8(ord("-")), np.uint8(ord("0"))
_POWERS = 10.0 ** np.arange(20)
_POINT_LESS_ZERO = 256 + ord(".") - ord("0")  # as bytes count
# So many digits are exact in a float, and so is the division by a power of ten: the result is the
# nearest float, as float() gives it (W. D. Clinger, How to Read Floating Point Numbers Accurately).
_MOST_DIGITS = 15
# Eight letters at once, as one word of which the last letter is the highest byte.
_WORD = np.dtype("<u8")
_ALL_ZERO = np.uint64(0x3030303030303030)
_ALL_SIX, _HIGH_HALVES = np.uint64(0x0606060606060606), np.uint64(0xF0F0F0F0F0F0F0F0)
_EIGHT, _TEN, _SIXTEEN, _THIRTY_TWO = map(np.uint64, (8, 10, 16, 32))
_TWO_PAIRS = np.uint64(0x000000FF000000FF)
_HUNDREDS = np.uint64(100 + (1_000_000 << 32))  # what the first and the third pair are worth
_ONES = np.uint64(1 + (10_000 << 32))  # the second and the fourth

Places = NDArray[np.intp]
Floats = NDArray[np.float64]


class PlainTable:
    """The values of a plain table, by where they end in its bytes.

    Attributes:
        header: the names in the first line.
    """

    def __init__(self, data: bytes, ends: Places, width: int) -> None:
        self._data = data
        self._letters = np.frombuffer(data, dtype=np.uint8)
        self._ends, self._width = ends, width  # of the header's values, too
        self.header = data[: ends[width - 1]].decode("ascii").split(",")

    def _bounds(self, place: int) -> tuple[Places, Places]:
        """Where the values of a column begin and end."""
        first = self._width + place
        starts, ends = (
            self._ends[first - 1 : -1 : self._width] + 1,
            self._ends[first :: self._width],
        )
        return starts, np.ascontiguousarray(ends)

    def texts(self, place: int) -> list[str]:
        """The texts of a column."""
        starts, ends = self._bounds(place)
        text = self._data.decode("ascii")
        bounds = zip(starts.tolist(), ends.tolist(), strict=True)
        return [text[start:end] for start, end in bounds]

    def numbers(self, place: int) -> Floats | None:
        """The numbers of a column, NaN for a blank; None where one is more than a few digits."""
        starts, ends = self._bounds(place)
        whole = self._whole(starts, ends)  # the most usual case first
        return self._signed(starts, ends) if whole is None else whole

    def _signed(self, starts: Places, ends: Places) -> Floats | None:
        """Numbers of few digits, perhaps with a sign and a point, NaN for a blank."""
        blank = starts == ends
        negative = ~blank & (self._letters[starts] == _MINUS)
        values = self._unsigned(starts + negative, ends)
        if values is None or (np.isnan(values) & ~blank).any():
            return None
        return np.where(negative, -values, values)

    def _whole(self, starts: Places, ends: Places) -> Floats | None:
        """Whole numbers of at most eight digits, NaN for a blank; None where there are others.

        Pairs of digits are joined, then pairs of pairs, all in one word (D. Lemire, W. Mula).
        """
        lengths = ends - starts
        if lengths.max() > _WORD.itemsize or ends[0] < _WORD.itemsize:
            return None
        words = np.ndarray(len(self._data) - _WORD.itemsize + 1, _WORD, self._data, strides=(1,))
        before = (8 * (_WORD.itemsize - lengths)).astype(_WORD)  # bits that are of other values
        digits = words[ends - _WORD.itemsize] ^ _ALL_ZERO
        digits >>= before
        digits <<= before
        if np.bitwise_or.reduce((digits + _ALL_SIX) | digits) & _HIGH_HALVES:
            return None  # a letter that is no digit
        digits = digits * _TEN + (digits >> _EIGHT)
        pairs = (digits & _TWO_PAIRS) * _HUNDREDS + (digits >> _SIXTEEN & _TWO_PAIRS) * _ONES
        values = (pairs >> _THIRTY_TWO).astype(np.float64)
        values[lengths == 0] = np.nan
        return values

    def _unsigned(self, starts: Places, ends: Places) -> Floats | None:
        """Numbers without a sign, NaN where there is no digit: all last digits, then those before.

        A column at a time fits into the processor's cache.
        """
        lengths = ends - starts
        width = int(lengths.max())
        if width > _MOST_DIGITS + 1:
            return None
        total, decimals = np.zeros(len(ends)), np.zeros(len(ends))
        pointed = np.zeros(len(ends), dtype=np.intp)  # 1 once the point was met
        any_pointed = False
        for place in range(width):
            where = ends - (place + 1)
            digits = self._letters[where] - _ZERO  # what is no digit becomes a large number
            digits *= where >= starts
            points: NDArray[np.bool_] | None = None
            if digits.max() > 9:
                points = digits == _POINT_LESS_ZERO
                digits[points] = 0
                if digits.max() > 9 or pointed[points].any():
                    return None
                decimals[points] = place
            total += digits * (_POWERS[place - pointed] if any_pointed else _POWERS[place])
            if points is not None:
                pointed += points
                any_pointed = True
        digits_of_each = lengths - pointed
        if width and digits_of_each.max() > _MOST_DIGITS:
            return None
        return np.where(digits_of_each > 0, total / 10.0**decimals, np.nan)


def plain_table(data: bytes) -> PlainTable | None:
    """Look at a table; None where it is not plain, or has no line but the header."""
    data = data.removeprefix(b"\xef\xbb\xbf")
    if b"\r" in data:
        data = data.replace(b"\r\n", b"\n")
    if not data.endswith(b"\n"):
        data += b"\n"
    if not data.isascii() or b'"' in data or data.endswith(b"\n\n"):
        return None
    letters = np.frombuffer(data, dtype=np.uint8)
    width = data[: data.index(b"\n")].count(b",") + 1
    is_comma, lines = letters == _COMMA, np.count_nonzero(letters == _NEWLINE)
    # With every control character: then there are more than commas and line ends.
    ends = np.flatnonzero(is_comma | (letters < _SPACE))
    regular = (
        lines > 1
        and len(ends) == lines * width == lines + np.count_nonzero(is_comma)
        and (letters[ends[width - 1 :: width]] == _NEWLINE).all()
    )
    if not regular or (width == 1 and b"\n\n" in data):
        return None
    longest_line = int(np.diff(ends[width - 1 :: width], prepend=-1).max())
    if longest_line > csv.field_size_limit():
        return None
    return PlainTable(data, ends, width)
