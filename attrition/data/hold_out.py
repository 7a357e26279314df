"""Which labelled rows the pipeline holds out as test data (`test_share`) and never trains on.

A digest of the client's id decides, so that all rows of a client are on one side; without ids, a
digest of the whole row (features and label). So the choice is the same in every run, on every
engine, for old and future rows; and a larger share includes the rows of a smaller one.
"""

from __future__ import annotations

from attrition.core.config import Config
from attrition.data import storage

_DIGITS = 8  # hexadecimal digits of the digest
_SEPARATOR = "chr(31)"  # between values, so that "a", "bc" is not "ab", "c"


def is_held_out(config: Config) -> str:
    """SQL for whether a labelled row (`v0`, ..., `label`) is test data, for DuckDB and Spark."""
    if not config.test_share:
        return "false"
    key_of = storage.key_of(config)
    if config.id_column is not None:
        text = key_of[config.id_column]
    else:
        parts = [_text(config, name, key_of[name]) for name in config.feature_columns]
        text = f"concat_ws({_SEPARATOR}, {', '.join([*parts, 'CAST(label AS STRING)'])})"
    bound = round(config.test_share * 16**_DIGITS)
    return f"substr(md5({text}), 1, {_DIGITS}) < '{bound:0{_DIGITS}x}'"


def _text(config: Config, name: str, key: str) -> str:
    """SQL for a feature as text, equal on both engines: a number by its exact bits, hexadecimal."""
    is_number = storage.kind_of(config, name) == "DOUBLE"
    # C writes `0x1p+0` where Java writes `0x1.0p0`.
    bits = f"replace(replace(printf('%a', {key}), '+', ''), '.0p', 'p')"
    text = bits if is_number else key
    return f"CASE WHEN {key} IS NULL THEN '' ELSE {text} END"
