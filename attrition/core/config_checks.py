"""Refuses settings that contradict each other; each by itself has its right form already.

Standard library only: the idle check of fullprocess.py also reads the settings.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

from attrition.core.config import (
    BY_PROFIT,
    BY_VALUE,
    FOLDER_KEYS,
    LONGEST_OUTCOME,
    MEASURED,
    Config,
)
from attrition.core.errors import ConfigError
from attrition.core.labels import value_key
from attrition.core.spelling import did_you_mean

# The key or keys of a contradiction, what was expected there, and what was found.
Contradiction = tuple[str, str, str]


def check_config(config: Config) -> None:
    """Check settings beside each other; touches no file.

    Raises:
        ConfigError: the first contradiction, with its key.
    """
    for check in (
        _folders,
        _columns,
        _segments,
        _labels,
        _monotone,
        _snapshot,
        _risk_thresholds,
        _holdout,
        _rest_days,
        _profit,
    ):
        for key, expected, found in check(config):
            raise ConfigError(f"{config.source}: {key}: expected {expected}, found {found}")


def _folders(config: Config) -> Iterator[Contradiction]:
    """Folders that share files: output written to one would be read from another."""
    folders = {key: getattr(config, key) for key in FOLDER_KEYS}
    if config.actions_folder_path is not None or config.actions_folder in folders.values():
        folders["actions_folder_path"] = config.actions_folder
    for key, folder in folders.items():
        with_parents = {folder, *folder.parents}
        for other, within in folders.items():
            if key != other and within in with_parents:
                where = "the same as" if folder == within else "inside"
                yield key, "a folder of its own", f"{folder}, which is {where} {other}"


def _columns(config: Config) -> Iterator[Contradiction]:
    """Columns that contradict each other."""
    features, both = config.feature_columns, "numeric_columns, categorical_columns"
    if not features:
        yield both, "at least one", "none"
    doubled = sorted({column for column in features if features.count(column) > 1})
    if doubled:
        yield both, "each column once", f"twice: {', '.join(doubled)}"
    if config.target_column in (*features, config.id_column, config.value_column):
        found = f"{config.target_column!r} used again as feature, id or value"
        yield "target_column", "a column of its own", found
    if config.id_column is not None and config.id_column in (*features, config.value_column):
        found = f"{config.id_column!r} used again as feature or value"
        yield "id_column", "a column of its own or null", found
    if config.value_column in config.categorical_columns:
        found = f"{config.value_column!r} among categorical_columns"
        yield "value_column", "a column of numbers", found
    unknown = [column for column in config.levers if column not in features]
    if unknown:
        expected = "columns of numeric_columns and categorical_columns"
        yield "levers", expected, ", ".join(map(repr, unknown))
    if value_key(config.positive_label) == value_key(config.negative_label):
        found = f"{config.positive_label!r} and {config.negative_label!r}"
        yield "positive_label, negative_label", "two different labels", found


def _segments(config: Config) -> Iterator[Contradiction]:
    """Segments that are no texts, and such as lists and queries could not tell apart."""
    key, columns = "segment_columns", config.segment_columns
    others = (config.id_column, config.value_column, config.snapshot_column, config.target_column)
    for column in columns:
        if column in (*others, *config.numeric_columns):
            found = f"{column!r} used again as number, id, value, date or target"
            yield key, "columns of text such as a branch", found
        if "=" in column:
            yield key, "names without =", repr(column)
    if len({column.casefold() for column in columns}) < len(columns):
        yield key, "names that differ by more than case", ", ".join(columns)


def _labels(config: Config) -> Iterator[Contradiction]:
    """Labels of columns that there are not, and two columns of one label."""
    columns = config.stored_columns
    for column in config.labels.by_column:
        if column not in columns:
            hint = did_you_mean(column, columns) or f"; the columns are {', '.join(columns)}"
            yield "labels", "names of columns", f"{column!r}{hint}"
    names = [config.labels.name(column) for column in columns]
    doubled = sorted({name for name in names if names.count(name) > 1})
    if doubled:
        yield "labels", "one name for each column", f"twice: {', '.join(doubled)}"


def _monotone(config: Config) -> Iterator[Contradiction]:
    """Directions of columns that are no numbers that the model looks at."""
    columns = config.numeric_columns
    for column in config.monotone:
        if column not in columns:
            hint = did_you_mean(column, columns) or f"; these are {', '.join(columns) or 'none'}"
            yield "monotone", "columns of numeric_columns", f"{column!r}{hint}"


def _snapshot(config: Config) -> Iterator[Contradiction]:
    """A date of the rows without days, days without a date, and either on Spark."""
    column, days = config.snapshot_column, config.outcome_days
    if (column is None) != (days is None):
        missing, given = "outcome_days", "snapshot_column"
        if column is None:
            missing, given = given, missing
        yield missing, f"beside {given}", "none"
    if column is None or days is None:
        return
    others = (*config.feature_columns, config.id_column, config.value_column, config.target_column)
    if column in others:
        found = f"{column!r} used again as feature, id, value or target"
        yield "snapshot_column", "a column of its own", found
    if days > LONGEST_OUTCOME:
        yield "outcome_days", f"at most {LONGEST_OUTCOME}", str(days)
    if config.engine is not None:
        yield "snapshot_column", "null where the engine is Spark", repr(column)


def _risk_thresholds(config: Config) -> Iterator[Contradiction]:
    """A medium-risk threshold that is not below the high-risk one."""
    high, medium = config.high_risk_threshold, config.medium_risk_threshold
    if medium is None:
        return
    if not isinstance(high, float) or medium >= high:
        expected = f'less than high_risk_threshold (and null where that is null or "{BY_PROFIT}")'
        yield "medium_risk_threshold", expected, f"{medium:g} and {json.dumps(high)}"


def _holdout(config: Config) -> Iterator[Contradiction]:
    """A hold-out that nobody could recompute: it takes a share, a salt and ids."""
    salt, share = config.holdout_salt, config.holdout_share
    if share and salt is None:
        expected = f"a text of your own choice, as holdout_share is {share:g}"
        yield "holdout_salt", expected, "null"
    if share and config.id_column is None:
        expected = "0 where id_column is null (a client without an id has no lasting group)"
        yield "holdout_share", expected, f"{share:g}"
    if salt is not None and not share:
        yield "holdout_salt", "null, as holdout_share is 0 and nobody is held out", "a text"


def _rest_days(config: Config) -> Iterator[Contradiction]:
    """Days of rest where nobody knows who was contacted, and a whole life of them."""
    days = config.rest_days
    if days is None:
        return
    if config.id_column is None:
        expected = "null where id_column is null (nobody knows whom an action was for)"
        yield "rest_days", expected, str(days)
    if days > LONGEST_OUTCOME:
        yield "rest_days", f"at most {LONGEST_OUTCOME:,}", str(days)


def _profit(config: Config) -> Iterator[Contradiction]:
    """An order without what it orders by, costs without a value, and a half set of costs."""
    if config.rank_by == BY_VALUE and config.value_column is None:
        yield "value_column", f'a column, as rank_by is "{BY_VALUE}"', "null"
    if config.contact_cost is None:
        keys = ("offer_share", "offer_cost", "success_rate")
        needing = [key for key in keys if getattr(config, key)]
        orders = ("rank_by", "high_risk_threshold")
        needing += [key for key in orders if getattr(config, key) == BY_PROFIT]
        if needing:
            yield "contact_cost", f"a number beside {needing[0]}", "null"
        return
    for key, what in (("value_column", "a column"), ("success_rate", "a share of leavers kept")):
        if getattr(config, key) is None:
            yield key, f"{what} beside contact_cost", "null"
    if config.offer_share and config.offer_cost:
        expected = "0 where offer_share says what is offered"
        yield "offer_cost", expected, f"{config.offer_cost:g}"
    if config.success_rate == MEASURED and not config.holdout_share:
        expected = "a number or a range where holdout_share is 0 and nothing is measured"
        yield "success_rate", expected, f'"{MEASURED}"'
