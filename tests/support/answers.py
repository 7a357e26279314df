"""What is asked of the API and how its answers are read; the model is the quiet month's."""

from __future__ import annotations

import json
import math
from typing import Any

from werkzeug.test import TestResponse

QUIET = {"lastmonth_activity": 0, "lastyear_activity": 1, "number_of_employees": 9}
BUSY = {**QUIET, "lastmonth_activity": 100}
LEAVES = 1 / (1 + math.exp(-2))  # log-odds +2, by hand


def strict_json(response: TestResponse) -> Any:
    def refuse(name: str) -> Any:
        raise AssertionError(f"{name} in an answer")

    return json.loads(response.data, parse_constant=refuse)


def problem(response: TestResponse, status: int) -> str:
    """Check that an answer is a problem document; return its detail."""
    assert response.status_code == status, response.data
    assert response.mimetype == "application/problem+json"
    document = strict_json(response)
    assert document.keys() == {"type", "title", "status", "detail"}
    assert document["status"] == status
    return str(document["detail"])
