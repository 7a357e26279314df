"""How good the model is, side by side with plain logistic regression and gradient boosting.

    make quality                              or: python -m benchmarks.quality [--data FOLDER]

Five-fold stratified cross-validation on four real churn tables (`../shared/data`; each folder's
manifest.json names target, positive label and columns to leave out). Whatever a model chooses, it
chooses within the training folds: knots, pairs, L2 strength, threshold. Rows that stand in a table
twice count once, as in the pipeline. Where the tables are absent, generated clients show the
columns of the report, and no bar is checked.

plain    median imputation, standardisation, one-hot levels, LogisticRegression (the manifests'
         reference recipe)
ours     attrition.model.training, as training.py fits it
boosted  HistGradientBoostingClassifier with its defaults, categories as such

The bars: on every table at least the AUC and the F1 of plain, and on average at least 70 % of the
AUC gap between plain and boosted closed (each table counted as 0 to 100 %).

Exit code: 0 the bars are met, or there is nothing to check; 1 one is missed.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from joblib import Parallel, delayed
from numpy.typing import NDArray
from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score, precision_recall_curve, roc_auc_score
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, StandardScaler

from attrition.core.command_line import Parser
from attrition.data.synthetic import COLUMNS, client_rows
from attrition.model.metrics import Minimum
from attrition.model.scorecard import Scorecard
from attrition.model.training import fit

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
FOLDS, SEED, BAR = 5, 42, 0.70
GENERATED_CLIENTS = 8000
MODELS = ("plain", "ours", "boosted")
HEADINGS = ("plain", "ours", "boost")


@dataclass(frozen=True)
class Table:
    """A churn table: features as the pipeline hands them to the model, labels 0 and 1."""

    name: str
    features: pd.DataFrame
    labels: NDArray[np.int8]
    numeric: list[str]
    categorical: list[str]
    duplicates: int


@dataclass(frozen=True)
class Result:
    """Mean figures over the folds, for each model: AUC, F1 at its own threshold, F1 at 0.5."""

    table: Table
    auc: dict[str, float]
    f1: dict[str, float]
    f1_at_half: dict[str, float]

    @property
    def gap_closed(self) -> float:
        """Share of the way from plain to boosted AUC, 0-1; 1 where boosted is no better."""
        gap = self.auc["boosted"] - self.auc["plain"]
        won = self.auc["ours"] - self.auc["plain"]
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
    """A table of text becomes features; a column is numeric when every value but blanks is."""
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
    return Table(name, table, labels, numeric, categorical, len(raw) - len(rows))


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


def our_card(table: Table, train: NDArray[np.intp], seed: int = SEED) -> Scorecard:
    """The scorecard of some rows of a table."""
    return fit(
        table.features.iloc[train],
        table.labels[train],
        numeric=table.numeric,
        categorical=table.categorical,
        minimum=Minimum(50, 5),
        seed=seed,
    ).scorecard


def our_answers(
    table: Table, train: NDArray[np.intp], test: NDArray[np.intp]
) -> tuple[NDArray[np.float64], float]:
    """Probabilities of the test rows, and the threshold."""
    card = our_card(table, train)
    return card.probabilities(table.features.iloc[test]), card.threshold


def reference_answers(
    make: Callable[[Table], Any], table: Table, train: NDArray[np.intp], test: NDArray[np.intp]
) -> tuple[NDArray[np.float64], float]:
    """The same for a reference model; its threshold has the best cross-validated F1.

    Ours follows from its probabilities, but those of boosting are too extreme for that.
    """
    known, labels = table.features.iloc[train], table.labels[train]
    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=SEED)
    inner = cross_val_predict(make(table), known, labels, cv=folds, method="predict_proba")
    model = make(table).fit(known, labels)
    answers = model.predict_proba(table.features.iloc[test])[:, 1]
    precision, recall, thresholds = precision_recall_curve(labels, inner[:, 1])
    f1 = 2 * precision * recall / np.maximum(precision + recall, 1e-9)
    return answers, float(thresholds[np.argmax(f1[:-1])])


def judge(table: Table, train: NDArray[np.intp], test: NDArray[np.intp]) -> dict[str, list[float]]:
    """AUC, F1 and F1 at 0.5 of each model on one fold."""
    answers = {
        "plain": reference_answers(plain_model, table, train, test),
        "ours": our_answers(table, train, test),
        "boosted": reference_answers(boosted_model, table, train, test),
    }
    truth = table.labels[test]
    return {
        model: [
            roc_auc_score(truth, chance),
            f1_score(truth, chance >= threshold),
            f1_score(truth, chance >= 0.5),
        ]
        for model, (chance, threshold) in answers.items()
    }


def evaluate(table: Table, folds: int = FOLDS) -> Result:
    """Cross-validate the three models on a table.

    Args:
        table: the table.
        folds: how many of the five folds are judged; fewer are faster and rougher.
    """
    splitter = StratifiedKFold(FOLDS, shuffle=True, random_state=SEED)
    splits = list(splitter.split(table.features, table.labels))[:folds]
    judged = Parallel(n_jobs=-1)(delayed(judge)(table, train, test) for train, test in splits)
    means = {model: np.mean([fold[model] for fold in judged], axis=0) for model in MODELS}
    auc, f1, f1_at_half = (
        {model: float(means[model][position]) for model in MODELS} for position in range(3)
    )
    return Result(table, auc, f1, f1_at_half)


def missed_bars(results: Sequence[Result]) -> list[str]:
    """The bars that are not met, in words."""
    missed = []
    for result in results:
        for what, figures in (("AUC", result.auc), ("F1", result.f1)):
            if figures["ours"] < figures["plain"]:
                missed.append(
                    f"{result.table.name}: {what} {figures['ours']:.4f} is under plain "
                    f"logistic regression's {figures['plain']:.4f}"
                )
    mean = float(np.mean([result.gap_closed for result in results]))
    if mean < BAR:
        missed.append(f"mean share of the gap closed: {mean:.0%} is under {BAR:.0%}")
    return missed


WIDTHS = (7, 7, 7, 5, 7, 6, 6, 6, 5, 7)


def aligned(name: str, cells: Sequence[str]) -> str:
    """One line of the report, 80 columns wide."""
    return f"{name:17.17}" + "".join(
        f"{cell:>{width}}" for cell, width in zip(cells, WIDTHS, strict=True)
    )


HEADING = (
    aligned("", ["", "AUC", "", "", "", "F1", "", "", "F1", "at 0.5"])
    + "\n"
    + aligned("table", [*HEADINGS, "gap", *HEADINGS, *HEADINGS])
)


def line(result: Result) -> str:
    """A result as one line of the report."""
    cells = [f"{result.auc[model]:.4f}" for model in MODELS]
    cells += [f"{result.gap_closed:.0%}"]
    cells += [f"{result.f1[model]:.3f}" for model in MODELS]
    cells += [f"{result.f1_at_half[model]:.2f}" for model in MODELS]
    return aligned(result.table.name, cells)


@dataclass(frozen=True)
class Report:
    """The report as text, 80 columns wide, and the bars that are missed, in words."""

    text: str
    missed: list[str]


def judge_tables(tables: Sequence[Table]) -> Report:
    """Cross-validate the three models on every table; each line is printed when it comes."""
    text = [HEADING]
    print(HEADING)
    results = []
    for table in tables:
        results.append(evaluate(table))
        text.append(line(results[-1]))
        print(text[-1], flush=True)
    mean = float(np.mean([result.gap_closed for result in results]))
    last = ["", f"mean share of the AUC gap closed: {mean:.0%} (bar: {BAR:.0%})"]
    last += [
        f"{table.name}: {table.duplicates} duplicate rows counted once"
        for table in tables
        if table.duplicates
    ]
    print("\n".join(last))
    return Report("\n".join(text + last), missed_bars(results))


def main(argv: Sequence[str] | None = None) -> int:
    """Print the report; 1 when a bar is missed."""
    parser = Parser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, default=DATA, metavar="FOLDER", help="the tables")
    if not (tables := list(read_tables(parser.parse_args(argv).data))):
        print("the real tables are not there; generated clients stand in, no bar is checked\n")
        judge_tables([generated_table()])
        return 0
    missed = judge_tables(tables).missed
    for text in missed:
        print(f"MISSED: {text}")
    return 1 if missed else 0


if __name__ == "__main__":
    raise SystemExit(main())
