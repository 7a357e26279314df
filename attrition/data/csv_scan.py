"""CSV files as bytes: unpacking, checking for UTF-8, and counting.

The counts show whether DuckDB can read a file reliably, and in which lines its rows are.
"""

from __future__ import annotations

import codecs
import gzip
import os
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np

from attrition.core.errors import DataError

MEGABYTE = 1_000_000
# Any gzip file may unpack to so much, a larger one to so many times its size: files of equal rows
# reach 340 times, tables of clients 3 to 50 (the latter nearly all blanks).
UNPACKED_FREELY = 50 * MEGABYTE
MOST_TIMES_ITS_SIZE = 100
_CHUNK = 1 << 20
_QUOTE = ord('"')
# The bytes allowed before an opening quotation mark and after a closing one; a doubled mark closes
# and opens again.
_BESIDE_A_QUOTE = np.zeros(256, dtype=bool)
_BESIDE_A_QUOTE[list(b',\r\n"')] = True
_UTF16_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


@dataclass(frozen=True)
class CsvScan:
    """Counts from one pass over all bytes of a (decompressed) file."""

    size: int
    newlines: int
    returns: int
    pairs: int  # a return and a newline after it
    commas: int
    quotes: int
    has_stray_quotes: bool  # that RFC 4180 forbids: inside an unquoted value, before more text
    ends_in_line_end: bool
    is_cut: bool  # the last line has no line end, or half of one

    @property
    def line_end(self) -> str:
        """The character that separates lines; only old Macintosh files have no newline."""
        return "\n" if self.newlines or not self.returns else "\r"

    @property
    def has_one_line_end(self) -> bool:
        """Whether all lines certainly end alike, including those inside quotation marks."""
        return are_alike(self.newlines, self.returns, self.pairs)

    @property
    def lines(self) -> int:
        """Number of physical lines, including a last one without a line end."""
        ends = self.newlines if self.line_end == "\n" else self.returns
        return ends if self.ends_in_line_end else ends + 1


def are_alike(newlines: int, returns: int, pairs: int) -> bool:
    """Whether line ends with these counts are all LF, or all CR LF."""
    return returns == pairs and pairs in (0, newlines)


def unpack(packed: IO[bytes], plain: IO[bytes], maximum_megabytes: int) -> None:
    """Decompress a gzip file.

    Raises:
        DataError: it is damaged, or larger than allowed when unpacked.
    """
    size, written = packed.seek(0, os.SEEK_END), 0
    packed.seek(0)
    try:
        with gzip.GzipFile(fileobj=packed) as stream:
            while chunk := stream.read(_CHUNK):
                written += len(chunk)
                if written > maximum_megabytes * MEGABYTE:
                    raise DataError(
                        f"larger than {maximum_megabytes} MB when unpacked "
                        f"(setting maximum_unpacked_megabytes)"
                    )
                if written > max(UNPACKED_FREELY, MOST_TIMES_ITS_SIZE * size):
                    raise DataError(
                        f"more than {MOST_TIMES_ITS_SIZE} times its size when unpacked, which no "
                        f"table of clients is; if it is one, put the unpacked file here"
                    )
                plain.write(chunk)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise DataError(f"not a sound gzip file ({error})") from None


def scan_file(path: Path) -> CsvScan:
    """Read all bytes of a file once, as `scan_csv`."""
    with path.open("rb") as stream:
        return scan_csv(stream)


def scan_csv(stream: IO[bytes]) -> CsvScan:
    """Read all bytes of a file once: check the encoding, and count for the CSV checks.

    Raises:
        DataError: the file is empty, not UTF-8, or holds NUL bytes.
    """
    decoder = codecs.getincrementaldecoder("utf-8")("strict")
    size = newlines = returns = pairs = commas = quotes = 0
    stray = blank = False
    before = b"\n"  # the last two bytes; a file begins as a line does
    while chunk := stream.read(_CHUNK):
        if size == 0:
            _refuse_utf16(chunk)
        _check_text(decoder, chunk, newlines)
        newlines += _count(chunk, b"\n")
        if count := _count(chunk, b"\r"):
            returns += count
            pairs += chunk.count(b"\r\n")
        pairs += before.endswith(b"\r") and chunk.startswith(b"\n")
        commas += _count(chunk, b",")
        count = _count(chunk, b'"')
        quotes += count
        if not stray and (count or before.endswith(b'"')):
            text = chunk if size else chunk.removeprefix(codecs.BOM_UTF8)
            earlier = quotes - count - before.endswith(b'"')
            stray = first_stray_quote(before + text, earlier) is not None
        before = (before + chunk[-2:])[-2:]
        blank = (blank or size == 0) and not chunk.removeprefix(codecs.BOM_UTF8).strip()
        size += len(chunk)
    if size == 0 or blank:
        raise DataError("the file is empty")
    try:
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        raise DataError(f"not UTF-8: line {newlines + 1} ends within a character") from None
    stray = stray or quotes % 2 == 1
    ends_in_line_end = before.endswith((b"\n", b"\r"))
    is_cut = not (before.endswith(b"\n") or (ends_in_line_end and newlines == 0))
    return CsvScan(size, newlines, returns, pairs, commas, quotes, stray, ends_in_line_end, is_cut)


def first_stray_quote(text: bytes, earlier: int = 0) -> int | None:
    """Position of the first quotation mark that RFC 4180 forbids; None without one.

    Quotation marks open and close in turn, doubled ones too: an opening one must begin a value, a
    closing one must end it.

    Args:
        text: its first and last byte count only as neighbours.
        earlier: number of quotation marks before the second byte.
    """
    data = np.frombuffer(text, np.uint8)
    marks = np.flatnonzero(data[1:-1] == _QUOTE) + 1
    neighbours = np.where((np.arange(len(marks)) + earlier) % 2 == 0, marks - 1, marks + 1)
    strays = marks[~_BESIDE_A_QUOTE[data[neighbours]]]
    return int(strays[0]) if len(strays) else None


def count_lines(path: Path) -> int:
    """Lines of a file that ends in a newline."""
    with path.open("rb") as stream:
        return sum(_count(chunk, b"\n") for chunk in iter(lambda: stream.read(_CHUNK), b""))


def _count(chunk: bytes, byte: bytes) -> int:
    # Faster than bytes.count for a frequent byte.
    return int(np.count_nonzero(np.frombuffer(chunk, np.uint8) == byte[0]))


def _refuse_utf16(chunk: bytes) -> None:
    if chunk.startswith(_UTF16_MARKS):
        raise DataError("UTF-16 text; save the file as UTF-8")


def _check_text(decoder: codecs.IncrementalDecoder, chunk: bytes, lines_before: int) -> None:
    nul = chunk.find(b"\0")
    if nul >= 0:
        line = lines_before + chunk.count(b"\n", 0, nul) + 1
        hint = "; UTF-16 text? Save the file as UTF-8" if chunk[nul + 2 : nul + 3] == b"\0" else ""
        raise DataError(f"a NUL byte in line {line}{hint}")
    if chunk.isascii() and not decoder.getstate()[0]:
        return
    try:
        decoder.decode(chunk)
    except UnicodeDecodeError as error:
        # error.object may begin with bytes kept from the last chunk, which are no newlines.
        line = lines_before + error.object.count(b"\n", 0, error.start) + 1
        byte = error.object[error.start]
        raise DataError(
            f"not UTF-8: byte 0x{byte:02X} in line {line} "
            f"(Latin-1 or Windows-1252 text? Save the file as UTF-8)"
        ) from None
