"""What this API's predecessors do, for comparison: a DataFrame and a pipeline for each request.

    MODEL=models/trainedmodel.pkl gunicorn benchmarks.naive_server:app

Read it and judge whether it is fair: the same trained pipeline, loaded once; no checks, no reasons,
no token, no counts. `/empty` is a route that does nothing, in an application without anything else.
"""

from __future__ import annotations

import os
import pickle
from io import BytesIO
from pathlib import Path

import pandas as pd
from flask import Flask, Response, jsonify, request

app = Flask(__name__)
model = pickle.loads(Path(os.environ["MODEL"]).read_bytes())


@app.get("/empty")
def empty() -> str:
    """Nothing."""
    return ""


@app.post("/prediction")
def prediction() -> Response:
    """Predictions for records or a CSV table."""
    if request.mimetype == "text/csv":
        table = pd.read_csv(BytesIO(request.get_data()))
    else:
        table = pd.DataFrame(request.get_json()["records"])
    chances = model.predict_proba(table[list(model.feature_names_in_)])[:, 1]
    return jsonify(
        predictions=(chances >= 0.5).astype(int).tolist(), probabilities=chances.tolist()
    )
