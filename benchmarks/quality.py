"""How good the model is, side by side with plain logistic regression, EBM and boosting.

    make quality                 or: python -m benchmarks.quality [--data FOLDER] [--folds N]

Five-fold stratified cross-validation on real churn tables (`../shared/data`; each folder's
manifest.json names target, positive label and columns to leave out). All rows of a client are in
one fold, as are rows that are copies of each other (`attrition.data.near_copies`): who is known
from another row is not unseen. Whatever a model chooses, it chooses within
the training folds: knots, functions, penalty, threshold. Rows that stand in a table twice count
once, as in the pipeline. Where the tables are absent, generated clients show the columns of the
report, and no bar is checked.

plain    median imputation, standardisation, one-hot levels, LogisticRegression (the manifests'
         reference recipe)
ours     attrition.model.training, as training.py fits it
EBM      InterpretML's explainable boosting machine with its defaults, the best readable model that
         can be installed
boosted  HistGradientBoostingClassifier with its defaults, categories as such

Figures are means over the folds: area under the ROC curve; log loss in nats; F1 at the model's own
threshold; calibration, the mean distance between predicted and observed shares over bins of equally
many rows; seconds for one fit on one core.

The bars: on every table at least the AUC and the F1 of plain, an AUC at most .004 behind EBM's and
an F1 at most .02 behind boosting's; in the mean at least EBM's AUC, at most its log loss, and 90 %
of the AUC gap between plain and boosted closed (each table counted as 0 to 100 %).

Exit code: 0 the bars are met, or there is nothing to check; 1 one is missed.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import astuple, dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pandas as pd
from joblib import Parallel, delayed
from numpy.typing import NDArray
from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score, log_loss, precision_recall_curve, roc_auc_score
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, StandardScaler

from attrition.core.command_line import Parser
from attrition.data.clients import Clients
from attrition.data.near_copies import as_one_client, near_copies
from attrition.data.synthetic import COLUMNS, client_rows
from attrition.model.curves import calibration
from attrition.model.metrics import Minimum
from attrition.model.scorecard import Scorecard
from attrition.model.selection import best_threshold
from attrition.model.training import fit

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
FOLDS, SEED = 5, 42
GENERATED_CLIENTS = 8000
MODELS = ("plain", "ours", "EBM", "boosted")
GAP_BAR = 0.9  # share of the AUC gap between plain and boosted closed, mean over the tables
EBM_BAR = 0.004  # AUC behind EBM, on each table
BOOSTED_BAR = 0.02  # F1 behind boosting, on each table

Fitted = TypeVar("Fitted")
Answers = tuple[NDArray[np.float64], float, float]  # probabilities, threshold, seconds of a fit


@dataclass(frozen=True)
class Table:
    """A churn table: features as the pipeline hands them to the model, labels 0 and 1.

    Attributes:
        clients: array of shape (n_rows,), codes of the rows' clients; copies have one.
        duplicates: number of rows that stood there twice.
        copies: number of rows that are copies of another client's.
    """

    name: str
    features: pd.DataFrame
    labels: NDArray[np.int8]
    numeric: list[str]
    categorical: list[str]
    clients: NDArray[np.intp]
    duplicates: int
    copies: int


@dataclass(frozen=True)
class Figures:
    """How good one model is on a table: means over the folds, or the figures of one fold.

    Attributes:
        auc: area under the ROC curve.
        log_loss: in nats.
        f1: at the model's own threshold.
        calibration: mean distance between predicted and observed shares, over bins of rows.
        seconds: of one fit.
    """

    auc: float
    log_loss: float
    f1: float
    calibration: float
    seconds: float


@dataclass(frozen=True)
class Result:
    """The figures of each model of MODELS on a table."""

    table: Table
    models: dict[str, Figures]

    @property
    def gap_closed(self) -> float:
        """Share of the way from plain to boosted AUC, 0-1; 1 where boosted is no better."""
        plain, ours, boosted = (self.models[name].auc for name in ("plain", "ours", "boosted"))
        gap, won = boosted - plain, ours - plain
        return float(np.clip(won / gap, 0.0, 1.0)) if gap > 0 else float(won >= 0)


def read_tables(folder: Path) -> Iterator[Table]:
    """The tables below a folder that have a manifest with a target."""
    for path in sorted(folder.glob("*/manifest.json")):
        manifest = json.loads(path.read_text())
        if "target" in manifest:
            raw = pd.read_csv(path.parent / manifest["main"], dtype=str, keep_default_na=False)
            left_out = manifest["drop_for_model"]
            yield make_table(
                manifest["name"], raw, manifest["target"], manifest["positive_label"], left_out
            )


def generated_table() -> Table:
    """Clients made by the project's own generator, for where no real table is at hand."""
    raw = pd.DataFrame(
        client_rows(GENERATED_CLIENTS, seed=SEED, open_share=0.0), columns=list(COLUMNS)
    )
    return make_table("generated", raw, COLUMNS[-1], "1", [COLUMNS[0]])


def make_table(
    name: str, raw: pd.DataFrame, target: str, positive: str, left_out: Sequence[str]
) -> Table:
    """A table of text becomes features; a column is numeric when every value but blanks is.

    Of the columns left out, one whose name ends in "id" names the client.
    """
    raw = raw.apply(lambda column: column.str.strip())
    rows = raw.drop_duplicates(ignore_index=True)
    features: dict[str, pd.Series[Any]] = {}
    numeric: list[str] = []
    categorical: list[str] = []
    for column in rows.columns.difference([target, *left_out], sort=False):
        texts = rows[column]
        numbers = pd.to_numeric(texts, errors="coerce").astype(np.float64)
        is_numeric = bool((numbers.notna() | (texts == "")).all())
        (numeric if is_numeric else categorical).append(column)
        features[column] = numbers if is_numeric else texts.astype(object)
    labels = (rows[target] == positive).to_numpy().astype(np.int8)
    table = pd.DataFrame(features)[numeric + categorical]
    ids = [column for column in left_out if column.lower().endswith("id")]
    names = rows[ids[0]] if ids else pd.Series(np.arange(len(rows)))
    clients = names.astype(str).to_numpy(dtype=object)
    pairs = near_copies(Clients(clients, table, labels, None))
    codes = pd.factorize(as_one_client(clients, pairs))[0]
    counts = len(raw) - len(rows), len(np.unique(pairs))
    return Table(name, table, labels, numeric, categorical, codes, *counts)


def folds_of(
    table: Table, rows: NDArray[np.intp] | None = None
) -> list[tuple[NDArray[np.intp], NDArray[np.intp]]]:
    """Stratified folds of some rows of a table, by client where clients repeat."""
    chosen = np.arange(len(table.labels)) if rows is None else rows
    labels, clients = table.labels[chosen], table.clients[chosen]
    repeats = len(np.unique(clients)) < len(clients)
    kind = StratifiedGroupKFold if repeats else StratifiedKFold
    splitter = kind(FOLDS, shuffle=True, random_state=SEED)
    return list(splitter.split(labels, labels, clients if repeats else None))


def plain_model(table: Table) -> Any:
    """The reference recipe of the manifests."""
    numbers = make_pipeline(SimpleImputer(strategy="median"), StandardScaler())
    levels = OneHotEncoder(handle_unknown="ignore")
    columns = make_column_transformer((numbers, table.numeric), (levels, table.categorical))
    return make_pipeline(columns, LogisticRegression(max_iter=1000))


def boosted_model(table: Table) -> Any:
    """Gradient boosting that knows which columns are categories."""
    levels = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=np.nan)
    columns = make_column_transformer(
        (levels, table.categorical), ("passthrough", table.numeric), sparse_threshold=0
    )
    categories = list(range(len(table.categorical)))
    boosting = HistGradientBoostingClassifier(categorical_features=categories, random_state=SEED)
    return make_pipeline(columns, boosting)


def ebm(table: Table) -> Any:
    """InterpretML's explainable boosting machine."""
    from interpret.glassbox import ExplainableBoostingClassifier

    kinds = ["continuous"] * len(table.numeric) + ["nominal"] * len(table.categorical)
    return ExplainableBoostingClassifier(feature_types=kinds, random_state=SEED, n_jobs=1)


def our_card(table: Table, train: NDArray[np.intp], seed: int = SEED) -> Scorecard:
    """The scorecard of some rows of a table."""
    return fit(
        table.features.iloc[train],
        table.labels[train],
        numeric=table.numeric,
        categorical=table.categorical,
        minimum=Minimum(50, 5),
        seed=seed,
        clients=table.clients[train],
    ).scorecard


def timed(fit_one: Callable[[], Fitted]) -> tuple[Fitted, float]:
    """What a fit returns, and its seconds."""
    start = time.perf_counter()
    model = fit_one()
    return model, time.perf_counter() - start


def our_answers(table: Table, train: NDArray[np.intp], test: NDArray[np.intp]) -> Answers:
    """Probabilities of the test rows, the threshold, and the seconds of the fit."""
    card, seconds = timed(lambda: our_card(table, train))
    return card.probabilities(table.features.iloc[test]), card.threshold, seconds


def ebm_answers(table: Table, train: NDArray[np.intp], test: NDArray[np.intp]) -> Answers:
    """The same for EBM; its threshold follows from its probabilities, as ours does."""
    known = table.features.iloc[train]
    model, seconds = timed(lambda: ebm(table).fit(known, table.labels[train]))
    threshold = best_threshold(model.predict_proba(known)[:, 1])
    return model.predict_proba(table.features.iloc[test])[:, 1], threshold, seconds


def reference_answers(
    make: Callable[[Table], Any], table: Table, train: NDArray[np.intp], test: NDArray[np.intp]
) -> Answers:
    """The same for another model; its threshold has the best cross-validated F1.

    Ours follows from its probabilities, but those of boosting are too extreme for that.
    """
    known, labels = table.features.iloc[train], table.labels[train]
    folds = folds_of(table, train)
    inner = cross_val_predict(make(table), known, labels, cv=folds, method="predict_proba")
    model, seconds = timed(lambda: make(table).fit(known, labels))
    answers = model.predict_proba(table.features.iloc[test])[:, 1]
    precision, recall, thresholds = precision_recall_curve(labels, inner[:, 1])
    f1 = 2 * precision * recall / np.maximum(precision + recall, 1e-9)
    return answers, float(thresholds[np.argmax(f1[:-1])]), seconds


def judge(
    table: Table, train: NDArray[np.intp], test: NDArray[np.intp], models: Sequence[str]
) -> dict[str, Figures]:
    """The figures of each model on one fold."""
    ask: dict[str, Callable[..., Answers]] = {
        "plain": partial(reference_answers, plain_model),
        "ours": our_answers,
        "EBM": ebm_answers,
        "boosted": partial(reference_answers, boosted_model),
    }
    truth = table.labels[test]
    return {model: figures(truth, *ask[model](table, train, test)) for model in models}


def figures(
    truth: NDArray[np.int8], chances: NDArray[np.float64], threshold: float, seconds: float
) -> Figures:
    """The figures of a model from its probabilities of the rows of one fold."""
    bins = calibration(truth, chances)
    distance = np.abs(bins.predicted - bins.observed) @ bins.rows / len(truth)
    return Figures(
        auc=float(roc_auc_score(truth, chances)),
        log_loss=float(log_loss(truth, chances)),
        f1=float(f1_score(truth, chances >= threshold)),
        calibration=float(distance),
        seconds=seconds,
    )


def mean_figures(several: Sequence[Figures]) -> Figures:
    """The mean of each figure."""
    return Figures(*np.mean([astuple(one) for one in several], axis=0).tolist())


def evaluate(table: Table, folds: int = FOLDS, models: Sequence[str] = MODELS) -> Result:
    """Cross-validate models on a table.

    Args:
        table: the table.
        folds: how many of the five folds are judged; fewer are faster and rougher.
        models: those of MODELS that are asked.
    """
    splits = folds_of(table)[:folds]
    judged = Parallel(n_jobs=-1)(delayed(judge)(table, *split, models) for split in splits)
    return Result(table, {name: mean_figures([fold[name] for fold in judged]) for name in models})


def missed_bars(results: Sequence[Result]) -> list[str]:
    """The bars that are not met, in words."""
    missed = []
    for result in results:
        plain, ours, other, boosted = (result.models[name] for name in MODELS)
        bars = [
            ("AUC", ours.auc, plain.auc, "plain logistic regression's", 0.0),
            ("AUC", ours.auc, other.auc, "EBM's", EBM_BAR),
            ("F1", ours.f1, plain.f1, "plain logistic regression's", 0.0),
            ("F1", ours.f1, boosted.f1, "boosting's", BOOSTED_BAR),
        ]
        missed += [
            f"{result.table.name}: {what} {mine:.4f} is {theirs - mine:.4f} under {whose} "
            f"{theirs:.4f} (bar: {bar:g})"
            for what, mine, theirs, whose, bar in bars
            if theirs - mine > bar
        ]
    mean = {name: mean_figures([result.models[name] for result in results]) for name in MODELS}
    ours, other = mean["ours"], mean["EBM"]
    if ours.auc < other.auc:
        missed.append(f"mean AUC: {ours.auc:.4f} is under EBM's {other.auc:.4f}")
    if ours.log_loss > other.log_loss:
        missed.append(f"mean log loss: {ours.log_loss:.4f} is over EBM's {other.log_loss:.4f}")
    closed = float(np.mean([result.gap_closed for result in results]))
    if closed < GAP_BAR:
        missed.append(f"mean share of the gap closed: {closed:.0%} is under {GAP_BAR:.0%}")
    return missed


HEADING = (
    f"{'table':18}{'model':9}{'AUC':>8}{'log loss':>10}{'F1':>8}{'calibration':>13}{'seconds':>9}"
)


def lines(name: str, models: Mapping[str, Figures]) -> list[str]:
    """The figures of a table, a line for each model, at most 80 columns wide."""
    return [
        f"{name if model == MODELS[0] else '':18.17}{model:9}{one.auc:8.4f}{one.log_loss:10.4f}"
        f"{one.f1:8.3f}{one.calibration:13.4f}{one.seconds:9.1f}"
        for model, one in models.items()
    ]


@dataclass(frozen=True)
class Report:
    """The report as text, 80 columns wide, and the bars that are missed, in words."""

    text: str
    missed: list[str]


def judge_tables(tables: Sequence[Table], folds: int = FOLDS) -> Report:
    """Cross-validate the models on every table; its lines are printed when they come."""
    text = [HEADING]
    print(HEADING)
    results = []
    for table in tables:
        results.append(evaluate(table, folds))
        text += lines(table.name, results[-1].models)
        print("\n".join(text[-len(MODELS) :]), flush=True)
    means = {name: mean_figures([one.models[name] for one in results]) for name in MODELS}
    closed = float(np.mean([result.gap_closed for result in results]))
    last = lines("mean", means)
    last += ["", f"mean share of the AUC gap closed: {closed:.0%} (bar: {GAP_BAR:.0%})"]
    last += [
        f"{table.name}: {table.duplicates} duplicate rows counted once"
        for table in tables
        if table.duplicates
    ]
    last += [
        f"{table.name}: {table.copies} rows are copies of another's, in the same fold"
        for table in tables
        if table.copies
    ]
    print("\n".join(last))
    return Report("\n".join(text + last), missed_bars(results))


def main(argv: Sequence[str] | None = None) -> int:
    """Print the report; 1 when a bar is missed."""
    parser = Parser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, default=DATA, metavar="FOLDER", help="the tables")
    parser.add_argument("--folds", type=int, default=FOLDS, choices=range(1, FOLDS + 1))
    arguments = parser.parse_args(argv)
    if not (tables := list(read_tables(arguments.data))):
        print("the real tables are not there; generated clients stand in, no bar is checked\n")
        judge_tables([generated_table()])
        return 0
    missed = judge_tables(tables, arguments.folds).missed
    for text in missed:
        print(f"MISSED: {text}")
    return 1 if missed else 0


if __name__ == "__main__":
    raise SystemExit(main())
