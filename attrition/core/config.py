"""The settings: `config.json` parsed once into a frozen `Config`, with absolute paths.

Standard library only: the idle check of fullprocess.py also reads the settings.
"""

from __future__ import annotations

import hashlib
import json
import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from attrition.core.engine_settings import SparkSettings, parse_engine
from attrition.core.errors import ConfigError
from attrition.core.labels import NO_LABELS, LabelError, Labels, parse_labels, value_key
from attrition.core.paths import PROJECT
from attrition.core.spelling import did_you_mean

DEFAULT_CONFIG_PATH = Path(PROJECT) / "config.json"

# The five folders, by their usual names.
STANDARD_FOLDERS = {
    "input_folder_path": "sourcedata",
    "output_folder_path": "ingesteddata",
    "test_data_path": "testdata",
    "output_model_path": "models",
    "prod_deployment_path": "production_deployment",
}
FOLDER_KEYS = tuple(STANDARD_FOLDERS)
PROPOSE = "propose"
PROMOTIONS = ("automatic", PROPOSE)
LONGEST_OUTCOME = 36_525  # days: a century
BY_RISK, BY_VALUE, BY_PROFIT = RANK_BY = ("risk", "value at risk", "profit")
INCREASING, DECREASING = DIRECTIONS = ("increasing", "decreasing")  # of the risk
MEASURED = "measured"  # a success rate: what the hold-out has shown


@dataclass(frozen=True)
class Config:
    """Every setting of the pipeline; each field is the key of the same name in `config.json`."""

    # The folders, the only keys without a default: absolute once parsed.
    input_folder_path: Path
    output_folder_path: Path
    test_data_path: Path
    output_model_path: Path
    prod_deployment_path: Path

    # The columns of a client row. `id_column` None: a client is its row.
    id_column: str | None = "corporation"
    numeric_columns: tuple[str, ...] = (
        "lastmonth_activity",
        "lastyear_activity",
        "number_of_employees",
    )
    categorical_columns: tuple[str, ...] = ()
    target_column: str = "exited"
    positive_label: str = "1"
    negative_label: str = "0"
    value_column: str | None = None
    levers: tuple[str, ...] = ()  # the features that a team can change; empty: all numeric ones
    segment_columns: tuple[str, ...] = ()  # texts that divide the list, such as a branch
    # Numeric column -> how the risk may change along it, all else being equal.
    monotone: Mapping[str, str] = field(default_factory=dict)

    # What columns are called wherever people read of them.
    labels: Labels = NO_LABELS

    # The column with the date that a row describes, and the days after it in which leaving counts:
    # a label is used from the end of these on. None: at once.
    snapshot_column: str | None = None
    outcome_days: int | None = None

    # Fractions 0-1: change of log loss, of the share of leavers or of AUC that counts as drift, F1
    # below which a model is degraded, significance level of the data-drift tests, confidence with
    # which a candidate is called better. Nats: log loss by which a candidate may be worse.
    drift_threshold: float = 0.05
    model_score_threshold: float = 0.60
    data_drift_threshold: float = 0.05
    promotion_confidence: float = 0.90
    promotion_margin: float = 0.005
    promotion: str = "automatic"  # or "propose": a candidate waits for a person to approve it

    # Share of the ingested labelled rows held out of training: test data in addition to the test
    # folder. A digest of the client's id, or of the row where there is none, selects them.
    test_share: float = 0.0

    # The ranked client list. Least probabilities of a client at high and at medium risk; None: the
    # deployed model's own threshold, and half of the high one; "profit": where a call begins to
    # pay. How many clients at the top get their reasons in words, and how many old rankings are
    # kept until outcomes come.
    high_risk_threshold: float | str | None = None
    medium_risk_threshold: float | None = None
    clients_with_reasons: int = 100_000
    rankings_to_keep: int = 100

    # Share of the open clients that are not to be called, so that what calls change can be
    # measured. A digest of the salt and the client's id selects them; 0: nobody is held out.
    holdout_share: float = 0.0
    holdout_salt: str | None = None

    # What a call costs (None: no profit is computed), what is offered to the client, as a share of
    # the value or as a sum, the share of would-be leavers that a call keeps (a number, a range, or
    # `MEASURED`), how many calls can be made, and by what clients are ordered.
    contact_cost: float | None = None
    offer_share: float = 0.0
    offer_cost: float = 0.0
    success_rate: float | tuple[float, float] | str | None = None
    calls_per_list: int | None = None
    rank_by: str = BY_RISK

    # Where files say what was done with clients; None: `actions` beside the settings. It may be
    # missing: then nothing was done. For so many days a client is not contacted again.
    actions_folder_path: Path | None = None
    rest_days: int | None = None

    # Fewest labelled rows (of both labels together, and of the rarer one) for a model or a verdict.
    minimum_training_rows: int = 50
    minimum_scoring_rows: int = 30
    minimum_rarer_label_rows: int = 5

    releases_to_keep: int = 10
    runs_to_keep: int = 10_000  # in the history
    run_deadline_minutes: int = 120
    upload_settle_seconds: int = 3
    maximum_unpacked_megabytes: int = 20_000
    memory_limit: str = "3GB"
    reports: tuple[str, ...] = ("html", "pdf")  # the formats of a run's report
    package_check: bool = True
    alert_webhook: str | None = None
    alert_command: tuple[str, ...] | None = None
    api_url: str = "http://127.0.0.1:8000"
    trusted_hosts: tuple[str, ...] = ()  # host names that requests to the API may use; empty: any
    trust_this_machine: bool = False  # requests from this machine need no token
    random_seed: int = 20_260

    # Where the stages run; None ("local" in the file): on this machine.
    engine: SparkSettings | None = None

    # Where the settings came from; not a key of the file.
    source: Path = DEFAULT_CONFIG_PATH

    @property
    def root(self) -> Path:
        """The folder of the settings file; relative paths are relative to it."""
        return self.source.parent

    @property
    def feature_columns(self) -> tuple[str, ...]:
        """Numeric, then categorical columns, in config order."""
        return self.numeric_columns + self.categorical_columns

    @property
    def stored_columns(self) -> tuple[str, ...]:
        """Columns of `finaldata.csv`, each once; the target is the last one."""
        columns = (
            self.id_column,
            *self.feature_columns,
            *self.segment_columns,
            self.value_column,
            self.snapshot_column,
            self.target_column,
        )
        return tuple(dict.fromkeys(column for column in columns if column is not None))

    @property
    def segment_only_columns(self) -> tuple[str, ...]:
        """The stored columns that are segments only; they make no other row of one."""
        others = replace(self, segment_columns=()).stored_columns
        return tuple(name for name in self.segment_columns if name not in others)

    @property
    def numeric_stored_columns(self) -> tuple[str, ...]:
        """The stored columns that must hold numbers: the numeric features and the value column."""
        columns = (*self.numeric_columns, self.value_column)
        return tuple(dict.fromkeys(column for column in columns if column is not None))

    @property
    def schema_digest(self) -> str:
        """SHA-256 of the settings that decide how client rows are read."""
        schema: tuple[object, ...] = (
            self.id_column,
            self.stored_columns,
            self.numeric_stored_columns,
            self.positive_label,
            self.negative_label,
        )
        if self.snapshot_column is not None:
            schema += (self.snapshot_column, self.outcome_days)
        return hashlib.sha256(json.dumps(schema).encode()).hexdigest()

    # The files that stages hand to each other; each name is written here once.
    @property
    def final_data(self) -> Path:
        return self.output_folder_path / "finaldata.csv"

    @property
    def open_clients(self) -> Path:
        return self.output_folder_path / "openclients.csv"

    @property
    def unmatured(self) -> Path:
        return self.output_folder_path / "unmatured.csv"

    @property
    def ingested_files(self) -> Path:
        return self.output_folder_path / "ingestedfiles.txt"

    @property
    def actions_folder(self) -> Path:
        return self.actions_folder_path or self.root / "actions"

    @property
    def actions(self) -> Path:
        return self.output_folder_path / "actions.db"

    @property
    def enrolled(self) -> Path:
        return self.output_folder_path / "enrolled"

    @property
    def study_folder(self) -> Path | None:
        """Who takes part in the study of calls by share and salt; None where nobody is held out."""
        if not self.holdout_share or self.holdout_salt is None:
            return None
        digest = hashlib.sha256(self.holdout_salt.encode()).hexdigest()[:16]
        return self.enrolled / f"{self.holdout_share}-{digest}"

    @property
    def ledger(self) -> Path:
        return self.output_folder_path / "ledger.json"

    @property
    def quarantine(self) -> Path:
        return self.output_folder_path / "quarantine"

    @property
    def decision(self) -> Path:
        return self.output_model_path / "decision.json"

    @property
    def alerts(self) -> Path:
        return self.output_model_path / "alerts.json"

    @property
    def diagnostics(self) -> Path:
        return self.output_model_path / "diagnostics.json"

    @property
    def scores(self) -> Path:
        return self.output_model_path / "scores.json"

    @property
    def client_risk(self) -> Path:
        return self.output_model_path / "clientrisk.csv"

    @property
    def segment_lists(self) -> Path:
        return self.output_model_path / "segments"

    @property
    def client_book(self) -> Path:
        return self.output_model_path / "clients.db"

    @property
    def report(self) -> Path:
        return self.output_model_path / "report.html"

    @property
    def report_pdf(self) -> Path:
        return self.output_model_path / "report.pdf"

    @property
    def history(self) -> Path:
        return self.output_model_path / "history.db"

    @property
    def confusion_matrix(self) -> Path:
        return self.output_model_path / "confusionmatrix.png"

    @property
    def api_returns(self) -> Path:
        return self.output_model_path / "apireturns.txt"

    @property
    def packages(self) -> Path:
        return self.output_model_path / "packages.json"

    @property
    def lock(self) -> Path:
        return self.output_model_path / ".lock"

    @property
    def written_folders(self) -> tuple[Path, ...]:
        return (self.output_folder_path, self.output_model_path, self.prod_deployment_path)

    @property
    def locks(self) -> tuple[Path, ...]:
        """The locks of every written folder, in one order: other settings may share some."""
        return tuple(folder / self.lock.name for folder in sorted(self.written_folders))

    @property
    def log(self) -> Path:
        return self.root / "cron.log"


def load_config(path: Path | None = None) -> Config:
    """Read and check the settings file.

    Args:
        path: the file; None means `config.json` beside the scripts, whatever the current directory.

    Returns:
        The settings; every folder is absolute and exists.

    Raises:
        ConfigError: the file is missing or no JSON object, a key is unknown, missing or of a wrong
            type or range, columns contradict each other, or a folder does not exist.
    """
    source = (path or DEFAULT_CONFIG_PATH).absolute()
    config = parse_config(read_settings(source), source)
    for key in FOLDER_KEYS:
        folder = getattr(config, key)
        if not folder.is_dir():
            raise ConfigError(
                f"{source}: {key}: expected an existing folder, found nothing at {folder}; "
                f"create it with: mkdir -p '{folder}'"
            )
    if config.actions_folder.exists() and not config.actions_folder.is_dir():
        raise ConfigError(
            f"{source}: actions_folder_path: expected a folder or nothing at "
            f"{config.actions_folder}, found a file"
        )
    return config


def read_settings(source: Path) -> dict[str, Any]:
    """Decode a settings file without checking its content.

    Raises:
        ConfigError: the file is missing or no JSON object.
    """
    try:
        text = source.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise ConfigError(f"{source}: no such settings file; name one with --config PATH") from None
    except IsADirectoryError:
        raise ConfigError(
            f"{source}: a folder; name the settings file in it: "
            f"--config {source / DEFAULT_CONFIG_PATH.name}"
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{source}: cannot be read as UTF-8 text ({error})") from None
    try:
        raw = json.loads(text, object_pairs_hook=_refuse_doubled_keys)
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{source}: not valid JSON ({error})") from None
    if not isinstance(raw, dict):
        raise ConfigError(f"{source}: expected a JSON object, found {_describe(raw)}")
    return raw


def parse_config(raw: dict[str, Any], source: Path) -> Config:
    """Check settings and make a `Config` of them; touches no file.

    Args:
        raw: the decoded JSON object.
        source: absolute path of the settings file; relative folders are relative to its folder.

    Raises:
        ConfigError: as `load_config`, except for folders that do not exist.
    """
    known = {field.name: field for field in fields(Config) if field.name != "source"}
    for key in raw:
        if key not in known:
            hint = did_you_mean(key, known) or f"; known keys: {', '.join(known)}"
            raise ConfigError(f"{source}: unknown key {key!r}{hint}")
    for key in FOLDER_KEYS:
        if key not in raw:
            raise ConfigError(f"{source}: {key}: missing; expected the path of a folder")
    values: dict[str, Any] = {}
    for key, value in raw.items():
        try:
            values[key] = _convert(key, str(known[key].type), value, source.parent)
        except ValueError as error:
            wrong = error.label if isinstance(error, LabelError) else _without_secret(key, value)
            raise ConfigError(
                f"{source}: {key}: expected {error}, found {_describe(wrong)}"
            ) from None
    config = Config(**values, source=source)
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
    return config


def _convert(key: str, kind: str, value: Any, root: Path) -> Any:
    """Convert a value to its field's type; a ValueError's text says what was expected."""
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise ValueError("characters that a file can hold, no half of one") from None
    if value is None and kind in ("Path | None", "int | None"):
        return None
    if kind.startswith("Path"):
        if not isinstance(value, str) or not value or "\0" in value:
            raise ValueError("the path of a folder as text")
        return (root / value).resolve()
    if kind == "tuple[str, ...]":
        return _convert_names(key, value)
    if key == "engine":
        return parse_engine(value, root)
    if key in _OWN_FORMS:
        return _OWN_FORMS[key](value)
    if kind == "bool":
        if not isinstance(value, bool):
            raise ValueError("true or false")
        return value
    if kind.startswith("int"):
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise ValueError("a whole number of at least 1" + " or null" * (kind != "int"))
        return value
    if kind.startswith("float"):
        return _convert_fraction(key, kind, value)
    return _convert_text(key, kind, value)


# Numbers other than a fraction between 0 and 1: whether one is allowed, and what is expected.
_NUMBERS: dict[str, tuple[Callable[[float], bool], str]] = {
    "test_share": (lambda value: 0 <= value < 0.5, "a fraction of at least 0 and below 0.5"),
    "promotion_margin": (lambda value: 0 <= value < 1, "a number of at least 0 and below 1"),
    "holdout_share": (
        lambda value: 0 <= value <= 0.5,
        "a fraction from 0 (nobody is held out) to 0.5",
    ),
    "contact_cost": (lambda value: value >= 0, "a number of at least 0 or null"),
    "offer_share": (lambda value: 0 <= value < 1, "a fraction of at least 0 and below 1"),
    "offer_cost": (lambda value: value >= 0, "a number of at least 0"),
}


def _convert_fraction(key: str, kind: str, value: Any) -> float | str | None:
    if value is None and "None" in kind:
        return None
    if value == BY_PROFIT and "str" in kind:
        return BY_PROFIT
    usual = "a fraction between 0 and 1" + " or null" * ("None" in kind)
    usual += f', or "{BY_PROFIT}"' * ("str" in kind)
    is_allowed, expected = _NUMBERS.get(key, (lambda number: 0 < number < 1, usual))
    if not _is_number(value) or not is_allowed(value):
        raise ValueError(expected)
    return float(value)


def _convert_success_rate(value: Any) -> float | tuple[float, float] | str | None:
    if value is None or value == MEASURED:
        return None if value is None else MEASURED
    if _is_number(value) and 0 < value <= 1:
        return float(value)
    if isinstance(value, list) and len(value) == 2 and all(map(_is_number, value)):
        low, high = map(float, value)
        if 0 < low < high < 1:
            return low, high
    raise ValueError(f'a fraction above 0, a range of two such as [0.1, 0.3], "{MEASURED}" or null')


def _is_number(value: Any) -> bool:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return is_number and abs(value) <= sys.float_info.max


def _convert_names(key: str, value: Any) -> tuple[str, ...]:
    expected = 'a list of "html" and "pdf"' if key == "reports" else "a list of names"
    if not isinstance(value, list) or not all(isinstance(v, str) and v.strip() for v in value):
        raise ValueError(expected)
    if key == "reports" and not {"html", "pdf"}.issuperset(value):
        raise ValueError(expected)
    return tuple(value)


def _convert_text(key: str, kind: str, value: Any) -> str | None:
    if value is None and kind == "str | None":
        return None
    if key in ("positive_label", "negative_label") and isinstance(value, int | float):
        return str(value).lower() if isinstance(value, bool) else str(value)
    if not isinstance(value, str) or not value.strip():
        raise ValueError("text" + (" or null" if kind == "str | None" else ""))
    if key == "promotion" and value not in PROMOTIONS:
        raise ValueError('"automatic" or "propose"')
    if key == "rank_by" and value not in RANK_BY:
        raise ValueError('"risk", "value at risk" or "profit"')
    if key == "memory_limit" and not _is_memory_size(value):
        raise ValueError('a size such as "3GB"')
    if key == "alert_webhook" and not _is_web_address(value):
        raise ValueError("an http or https address without user and password, or null")
    return value


def _convert_command(value: Any) -> tuple[str, ...] | None:
    if value is None:
        return None
    is_command = isinstance(value, list) and all(
        isinstance(word, str) and "\0" not in word for word in value
    )
    if not is_command or not value or not value[0].strip():
        raise ValueError("a command as a list of words, or null")
    return tuple(value)


def _convert_monotone(value: Any) -> dict[str, str]:
    if not isinstance(value, dict) or not all(word in DIRECTIONS for word in value.values()):
        raise ValueError(f'an object: for each column "{INCREASING}" or "{DECREASING}"')
    return dict(value)


# Settings that have a form of their own.
_OWN_FORMS: dict[str, Callable[[Any], Any]] = {
    "alert_command": _convert_command,
    "labels": parse_labels,
    "monotone": _convert_monotone,
    "success_rate": _convert_success_rate,
}


def _is_web_address(text: str) -> bool:
    """Whether a text is an http or https address with a host and valid characters only.

    User and password are not allowed: Python would take them for part of the host.
    """
    match = re.fullmatch(r"https?://(?:[^/?#@:\[\]]+|\[[^\]]+\])(?::\d+)?(?:[/?#].*)?", text)
    return match is not None and text.isascii() and text.isprintable() and " " not in text


def _is_memory_size(text: str) -> bool:
    number, unit = text[:-2].strip(), text[-2:]
    return unit in ("MB", "GB") and number.isascii() and number.isdigit() and int(number) > 0


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
    if label_key(config.positive_label) == label_key(config.negative_label):
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
        shown = _describe(high)
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


def label_key(text: str) -> str:
    """A label's form for comparisons: numbers by value (`1` is `1.0`), else trimmed text."""
    return value_key(text)


def _refuse_doubled_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    keys = [key for key, _ in pairs]
    for key in keys:
        if keys.count(key) > 1:
            raise ValueError(f"the key {key!r} occurs twice")
    return dict(pairs)


def _without_secret(key: str, value: Any) -> Any:
    """A value that may be shown: a webhook's address is often a secret."""
    return f"{value[:8]}..." if key == "alert_webhook" and isinstance(value, str) else value


def _describe(value: Any) -> str:
    """A value as JSON text of at most 60 characters."""
    text = json.dumps(value, ensure_ascii=False).encode(errors="backslashreplace").decode()
    return text if len(text) <= 60 else text[:57] + "..."
