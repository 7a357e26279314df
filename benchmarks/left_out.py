"""Whether the constants of the model's functions suit tables on which they were not chosen.

    make quality                 or: python -m benchmarks.left_out [--data FOLDER] [--folds N]

The data choose penalty, functions and threshold of each model. The constants SLOPE, ENDS and
PAIR of `attrition.model.ramps` are the same for all tables and were chosen by looking at the
shared ones. Here each table in turn is left out: of CONSTANTS, those with the lowest mean log loss
on the other tables are chosen and judged on it. How far that is from the constants as they are is
what looking at the table was worth.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from unittest.mock import patch

import numpy as np
from joblib import Parallel, delayed
from numpy.typing import NDArray

from attrition.core.command_line import Parser
from attrition.model import ramps
from benchmarks.quality import (
    DATA,
    FOLDS,
    Figures,
    Table,
    folds_of,
    judge,
    mean_figures,
    read_tables,
)

AS_IT_IS = "as it is"
CONSTANTS: dict[str, dict[str, float]] = {
    AS_IT_IS: {},
    "SLOPE 1": {"SLOPE": 1.0},
    "SLOPE 1.5": {"SLOPE": 1.5},
    "SLOPE 3": {"SLOPE": 3.0},
    "ENDS 0": {"ENDS": 0},
    "ENDS 6": {"ENDS": 6},
    "PAIR 1": {"PAIR": 1.0},
    "PAIR 0.25": {"PAIR": 0.25},
}


def judge_with(
    constants: Mapping[str, float], table: Table, train: NDArray[np.intp], test: NDArray[np.intp]
) -> Figures:
    """Our figures on one fold, with other constants of `attrition.model.ramps`."""
    with patch.dict(vars(ramps), constants):
        return judge(table, train, test, ["ours"])["ours"]


def judge_all(tables: Sequence[Table], folds: int) -> dict[str, list[Figures]]:
    """The figures of each of CONSTANTS on each table."""
    parts = [(table, *split) for table in tables for split in folds_of(table)[:folds]]
    calls = [
        delayed(judge_with)(constants, *part) for part in parts for constants in CONSTANTS.values()
    ]
    judged = iter(Parallel(n_jobs=-1)(calls))
    by_fold: dict[str, list[list[Figures]]] = {name: [[] for _ in tables] for name in CONSTANTS}
    for number in range(len(parts)):
        for name in CONSTANTS:
            by_fold[name][number // folds].append(next(judged))
    return {name: [mean_figures(one) for one in each] for name, each in by_fold.items()}


def compared(what: str, unseen: Figures, as_it_is: Figures) -> str:
    """The figures with constants that were chosen without a table beside those as they are."""
    return (
        f"{what:34}log loss {unseen.log_loss:.4f} ({as_it_is.log_loss:.4f}), "
        f"AUC {unseen.auc:.4f} ({as_it_is.auc:.4f})"
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Print what is chosen without each table, and how it does there."""
    parser = Parser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, default=DATA, metavar="FOLDER", help="the tables")
    parser.add_argument("--folds", type=int, default=2, choices=range(1, FOLDS + 1))
    arguments = parser.parse_args(argv)
    tables = list(read_tables(arguments.data))
    if len(tables) < 2:
        print("the real tables are not there: nothing to leave out")
        return 0
    judged = judge_all(tables, arguments.folds)
    losses = {name: np.array([one.log_loss for one in each]) for name, each in judged.items()}
    print(f"{'constants':16}" + "".join(f"{table.name[:9]:>10}" for table in tables) + "   mean")
    for name, each in losses.items():
        print(f"{name:16}" + "".join(f"{loss:10.4f}" for loss in each) + f"{each.mean():7.4f}")
    print("\nchosen without the table (in brackets: as it is)")
    unseen = []
    for number, table in enumerate(tables):
        others = {name: float(np.delete(each, number).mean()) for name, each in losses.items()}
        chosen = min(others, key=others.__getitem__)
        unseen.append(judged[chosen][number])
        print(compared(f"{table.name[:17]:18}{chosen}", unseen[-1], judged[AS_IT_IS][number]))
    print(compared("mean", mean_figures(unseen), mean_figures(judged[AS_IT_IS])))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
