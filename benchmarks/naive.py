"""What this pipeline's predecessors do, for comparison: everything again, each time, with pandas.

    python benchmarks/naive.py FOLDER   one ingestion of FOLDER/sourcedata, as they do it

Read it and judge whether it is fair: no checks, no quarantine, no ledger; every file is read,
concatenated, de-duplicated and written again, and a tick imports what the pipeline needs.
"""

from __future__ import annotations

import sys
from pathlib import Path

import matplotlib.figure  # noqa: F401 - a predecessor's tick imports all of these
import pandas as pd
import seaborn  # noqa: F401
import sklearn.linear_model  # noqa: F401


def ingest(folder: Path) -> int:
    """Read all files, drop duplicates, write the result; returns the number of rows."""
    frames = [pd.read_csv(path) for path in sorted((folder / "sourcedata").glob("*.csv"))]
    table = pd.concat(frames, ignore_index=True).drop_duplicates()
    table.to_csv(folder / "ingesteddata" / "finaldata.csv", index=False)
    return len(table)


if __name__ == "__main__":
    print(ingest(Path(sys.argv[1])))
