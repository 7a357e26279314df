"""The settings: a frozen `Config` with absolute paths, made of `config.json` by config_parsing.py.

Standard library only: the idle check of fullprocess.py also reads the settings.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from attrition.core.engine_settings import SparkSettings
from attrition.core.labels import NO_LABELS, Labels
from attrition.core.paths import PROJECT

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


class _Output:
    """A file or folder that stages hand to each other: the setting of its folder, and its name."""

    def __init__(self, folder: str, name: str) -> None:
        self.folder, self.name = folder, name

    def __get__(self, config: Config, _kind: type[Config]) -> Path:
        folder: Path = getattr(config, self.folder)
        return folder / self.name


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

    # What stages hand to each other; each name is written here once.
    final_data = _Output("output_folder_path", "finaldata.csv")
    open_clients = _Output("output_folder_path", "openclients.csv")
    unmatured = _Output("output_folder_path", "unmatured.csv")
    ingested_files = _Output("output_folder_path", "ingestedfiles.txt")
    actions = _Output("output_folder_path", "actions.db")
    enrolled = _Output("output_folder_path", "enrolled")
    ledger = _Output("output_folder_path", "ledger.json")
    quarantine = _Output("output_folder_path", "quarantine")
    decision = _Output("output_model_path", "decision.json")
    alerts = _Output("output_model_path", "alerts.json")
    diagnostics = _Output("output_model_path", "diagnostics.json")
    scores = _Output("output_model_path", "scores.json")
    client_risk = _Output("output_model_path", "clientrisk.csv")
    segment_lists = _Output("output_model_path", "segments")
    client_book = _Output("output_model_path", "clients.db")
    report = _Output("output_model_path", "report.html")
    report_pdf = _Output("output_model_path", "report.pdf")
    history = _Output("output_model_path", "history.db")
    confusion_matrix = _Output("output_model_path", "confusionmatrix.png")
    api_returns = _Output("output_model_path", "apireturns.txt")
    packages = _Output("output_model_path", "packages.json")
    lock = _Output("output_model_path", ".lock")
    log = _Output("root", "cron.log")

    @property
    def actions_folder(self) -> Path:
        return self.actions_folder_path or self.root / "actions"

    @property
    def study_folder(self) -> Path | None:
        """Who takes part in the study of calls by share and salt; None where nobody is held out."""
        if not self.holdout_share or self.holdout_salt is None:
            return None
        return self.enrolled / f"{self.holdout_share}-{self.salt_digest[:16]}"

    @property
    def salt_digest(self) -> str:
        """SHA-256 of the hold-out's salt, hexadecimal."""
        return hashlib.sha256((self.holdout_salt or "").encode()).hexdigest()

    @property
    def written_folders(self) -> tuple[Path, ...]:
        return (self.output_folder_path, self.output_model_path, self.prod_deployment_path)

    @property
    def locks(self) -> tuple[Path, ...]:
        """The locks of every written folder, in one order: other settings may share some."""
        return tuple(folder / self.lock.name for folder in sorted(self.written_folders))
