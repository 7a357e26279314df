"""What this pipeline's predecessors do, for comparison: everything again, each time, with pandas.

    python benchmarks/naive.py ingest FOLDER   one ingestion of FOLDER/sourcedata
    python benchmarks/naive.py train FOLDER    a logistic regression on what was ingested, pickled
    python benchmarks/naive.py tick FOLDER     what their cron job does when nothing is new
    python benchmarks/naive.py boost FOLDER    gradient boosting on what was ingested

Read it and judge whether it is fair: no checks, no quarantine, no ledger; every file is read,
concatenated, de-duplicated and written again. A tick imports what its stages need, ingests, and
asks the deployed model about the test data to see whether its score has fallen. Nothing is slowed
down on purpose; what predecessors also do each time (asking pip, drawing, reporting) is left out.
"""

from __future__ import annotations

import pickle
import sys
from pathlib import Path

import matplotlib.pyplot  # noqa: F401 - a predecessor's script imports all of these
import pandas as pd
import seaborn  # noqa: F401
from flask import Flask  # noqa: F401
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score
from sklearn.pipeline import make_pipeline

FEATURES = ["lastmonth_activity", "lastyear_activity", "number_of_employees"]
TARGET = "exited"


def ingest(folder: Path) -> None:
    """Read all files, drop duplicates, write the result."""
    frames = [pd.read_csv(path) for path in sorted((folder / "sourcedata").glob("*.csv"))]
    table = pd.concat(frames, ignore_index=True).drop_duplicates()
    table.to_csv(folder / "ingesteddata" / "finaldata.csv", index=False)


def train(folder: Path) -> None:
    """Fit the model and pickle it."""
    table = pd.read_csv(folder / "ingesteddata" / "finaldata.csv").dropna(subset=[TARGET])
    model = make_pipeline(SimpleImputer(), LogisticRegression(max_iter=1000))
    model.fit(table[FEATURES], table[TARGET])
    (folder / "models" / "trainedmodel.pkl").write_bytes(pickle.dumps(model))


def tick(folder: Path) -> None:
    """Ingest, and look whether the score has fallen."""
    ingest(folder)
    model = pickle.loads((folder / "models" / "trainedmodel.pkl").read_bytes())
    test = pd.read_csv(folder / "testdata" / "testdata.csv")
    print(f1_score(test[TARGET], model.predict(test[FEATURES])))


def boost(folder: Path) -> None:
    """Fit gradient boosting, with scikit-learn's defaults, on the ingested rows."""
    table = pd.read_csv(folder / "ingesteddata" / "finaldata.csv")
    HistGradientBoostingClassifier(random_state=0).fit(table[FEATURES], table[TARGET])


if __name__ == "__main__":
    {"ingest": ingest, "train": train, "tick": tick, "boost": boost}[sys.argv[1]](Path(sys.argv[2]))
