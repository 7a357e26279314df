"""Refuses settings that contradict each other; each by itself has its right form already.

Standard library only: the idle check of fullprocess.py also reads the settings.
"""

from __future__ import annotations

import json

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


def check_config(config: Config) -> None:
    """Check settings beside each other; touches no file.

    Raises:
        ConfigError: the first contradiction, with its key.
    """
    _check_folders(config)
    _check_columns(config)
    _check_segments(config)
    _check_labels(config)
    _check_monotone(config)
    _check_snapshot(config)
    _check_risk_thresholds(config)
    _check_holdout(config)
    _check_rest_days(config)
    _check_profit(config)


def _check_folders(config: Config) -> None:
    """Refuse folders that share files: output written to one would be read from another."""
    folders = {key: getattr(config, key) for key in FOLDER_KEYS}
    if config.actions_folder_path is not None or config.actions_folder in folders.values():
        folders["actions_folder_path"] = config.actions_folder
    for key, folder in folders.items():
        with_parents = {folder, *folder.parents}
        for other, within in folders.items():
            if key != other and within in with_parents:
                raise ConfigError(
                    f"{config.source}: {key}: expected a folder of its own, found {folder}, "
                    f"which is {'the same as' if folder == within else 'inside'} {other}"
                )


def _check_columns(config: Config) -> None:
    """Refuse columns that contradict each other."""
    source = config.source
    features = config.feature_columns
    if not features:
        raise ConfigError(
            f"{source}: numeric_columns, categorical_columns: expected at least one, found none"
        )
    doubled = sorted({column for column in features if features.count(column) > 1})
    if doubled:
        raise ConfigError(
            f"{source}: numeric_columns, categorical_columns: expected each column once, "
            f"found twice: {', '.join(doubled)}"
        )
    if config.target_column in (*features, config.id_column, config.value_column):
        raise ConfigError(
            f"{source}: target_column: expected a column of its own, "
            f"found {config.target_column!r} used again as feature, id or value"
        )
    if config.id_column is not None and config.id_column in (*features, config.value_column):
        raise ConfigError(
            f"{source}: id_column: expected a column of its own or null, "
            f"found {config.id_column!r} used again as feature or value"
        )
    if config.value_column in config.categorical_columns:
        raise ConfigError(
            f"{source}: value_column: expected a column of numbers, "
            f"found {config.value_column!r} among categorical_columns"
        )
    unknown = [column for column in config.levers if column not in features]
    if unknown:
        raise ConfigError(
            f"{source}: levers: expected columns of numeric_columns and categorical_columns, "
            f"found {', '.join(map(repr, unknown))}"
        )
    if value_key(config.positive_label) == value_key(config.negative_label):
        raise ConfigError(
            f"{source}: positive_label, negative_label: expected two different labels, "
            f"found {config.positive_label!r} and {config.negative_label!r}"
        )


def _check_segments(config: Config) -> None:
    """Refuse segments that are no texts, and such as lists and queries could not tell apart."""
    source, columns = config.source, config.segment_columns
    others = (config.id_column, config.value_column, config.snapshot_column, config.target_column)
    for column in columns:
        if column in (*others, *config.numeric_columns):
            raise ConfigError(
                f"{source}: segment_columns: expected columns of text such as a branch, "
                f"found {column!r} used again as number, id, value, date or target"
            )
        if "=" in column:
            raise ConfigError(
                f"{source}: segment_columns: expected names without =, found {column!r}"
            )
    if len({column.casefold() for column in columns}) < len(columns):
        raise ConfigError(
            f"{source}: segment_columns: expected names that differ by more than case, "
            f"found {', '.join(columns)}"
        )


def _check_labels(config: Config) -> None:
    """Refuse labels of columns that there are not, and two columns of one label."""
    columns = config.stored_columns
    for column in config.labels.by_column:
        if column not in columns:
            hint = did_you_mean(column, columns) or f"; the columns are {', '.join(columns)}"
            raise ConfigError(
                f"{config.source}: labels: expected names of columns, found {column!r}{hint}"
            )
    names = [config.labels.name(column) for column in columns]
    doubled = sorted({name for name in names if names.count(name) > 1})
    if doubled:
        raise ConfigError(
            f"{config.source}: labels: expected one name for each column, found twice: "
            f"{', '.join(doubled)}"
        )


def _check_monotone(config: Config) -> None:
    """Refuse directions of columns that are no numbers that the model looks at."""
    columns = config.numeric_columns
    for column in config.monotone:
        if column not in columns:
            hint = did_you_mean(column, columns) or f"; these are {', '.join(columns) or 'none'}"
            raise ConfigError(
                f"{config.source}: monotone: expected columns of numeric_columns, "
                f"found {column!r}{hint}"
            )


def _check_snapshot(config: Config) -> None:
    """Refuse a date of the rows without days, days without a date, and either on Spark."""
    source, column, days = config.source, config.snapshot_column, config.outcome_days
    if (column is None) != (days is None):
        missing, given = "outcome_days", "snapshot_column"
        if column is None:
            missing, given = given, missing
        raise ConfigError(f"{source}: {missing}: expected beside {given}, found none")
    if column is None or days is None:
        return
    others = (*config.feature_columns, config.id_column, config.value_column, config.target_column)
    if column in others:
        raise ConfigError(
            f"{source}: snapshot_column: expected a column of its own, "
            f"found {column!r} used again as feature, id, value or target"
        )
    if days > LONGEST_OUTCOME:
        raise ConfigError(
            f"{source}: outcome_days: expected at most {LONGEST_OUTCOME}, found {days}"
        )
    if config.engine is not None:
        raise ConfigError(
            f"{source}: snapshot_column: expected null where the engine is Spark, found {column!r}"
        )


def _check_risk_thresholds(config: Config) -> None:
    """Refuse a medium-risk threshold that is not below the high-risk one."""
    high, medium = config.high_risk_threshold, config.medium_risk_threshold
    if medium is None:
        return
    if not isinstance(high, float) or medium >= high:
        shown = json.dumps(high)
        raise ConfigError(
            f"{config.source}: medium_risk_threshold: expected less than high_risk_threshold "
            f'(and null where that is null or "{BY_PROFIT}"), found {medium:g} and {shown}'
        )


def _check_holdout(config: Config) -> None:
    """Refuse a hold-out that nobody could recompute: it takes a share, a salt and ids."""
    salt, share = config.holdout_salt, config.holdout_share
    if share and salt is None:
        raise ConfigError(
            f"{config.source}: holdout_salt: expected a text of your own choice, as holdout_share "
            f"is {share:g}, found null"
        )
    if share and config.id_column is None:
        raise ConfigError(
            f"{config.source}: holdout_share: expected 0 where id_column is null (a client without "
            f"an id has no lasting group), found {share:g}"
        )
    if salt is not None and not share:
        raise ConfigError(
            f"{config.source}: holdout_salt: expected null, as holdout_share is 0 and nobody is "
            f"held out, found a text"
        )


def _check_rest_days(config: Config) -> None:
    """Refuse days of rest where nobody knows who was contacted, and a whole life of them."""
    days = config.rest_days
    if days is None:
        return
    if config.id_column is None:
        raise ConfigError(
            f"{config.source}: rest_days: expected null where id_column is null (nobody knows whom "
            f"an action was for), found {days}"
        )
    if days > LONGEST_OUTCOME:
        raise ConfigError(
            f"{config.source}: rest_days: expected at most {LONGEST_OUTCOME:,}, found {days}"
        )


def _check_profit(config: Config) -> None:
    """Refuse an order without what it orders by, costs without a value, and a half set of costs."""
    source = config.source
    if config.rank_by == BY_VALUE and config.value_column is None:
        raise ConfigError(
            f'{source}: value_column: expected a column, as rank_by is "{BY_VALUE}", found null'
        )
    if config.contact_cost is None:
        keys = ("offer_share", "offer_cost", "success_rate")
        needing = [key for key in keys if getattr(config, key)]
        orders = ("rank_by", "high_risk_threshold")
        needing += [key for key in orders if getattr(config, key) == BY_PROFIT]
        if needing:
            raise ConfigError(
                f"{source}: contact_cost: expected a number beside {needing[0]}, found null"
            )
        return
    for key, what in (("value_column", "a column"), ("success_rate", "a share of leavers kept")):
        if getattr(config, key) is None:
            raise ConfigError(f"{source}: {key}: expected {what} beside contact_cost, found null")
    if config.offer_share and config.offer_cost:
        raise ConfigError(
            f"{source}: offer_cost: expected 0 where offer_share says what is offered, "
            f"found {config.offer_cost:g}"
        )
    if config.success_rate == MEASURED and not config.holdout_share:
        raise ConfigError(
            f"{source}: success_rate: expected a number or a range where holdout_share is 0 and "
            f'nothing is measured, found "{MEASURED}"'
        )
