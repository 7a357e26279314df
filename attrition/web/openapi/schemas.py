"""The values that the API takes and gives, as JSON Schema (the dialect of OpenAPI 3.1)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

Schema = dict[str, Any]

TAGS = {
    "predictions": "Who is likely to leave.",
    "clients": "The clients ranked by their risk.",
    "records": "What the pipeline recorded.",
    "service": "The server itself.",
    "mlflow": "MLflow's scoring protocol.",
}
NUMBER: Schema = {"type": "number"}
WHOLE: Schema = {"type": "integer"}
TEXT: Schema = {"type": "string"}
FLAG: Schema = {"type": "boolean"}
ANYTHING: Schema = {"type": "object"}
TIME: Schema = {"type": "string", "description": "UTC, ISO 8601"}
FRACTION: Schema = {"type": "number", "minimum": 0, "maximum": 1}
VERSION: Schema = {"type": "string", "description": "the release", "examples": ["000002-869a83f1"]}


def ref(name: str) -> Schema:
    """One of `schemas` by its name."""
    return {"$ref": f"#/components/schemas/{name}"}


def listed(item: Schema, **facts: Any) -> Schema:
    """A list of such items."""
    return {"type": "array", "items": item, **facts}


def optional(schema: Schema) -> Schema:
    """The same, or null."""
    kind = schema.get("type")
    if isinstance(kind, str):
        return {**schema, "type": [kind, "null"]}
    return {"oneOf": [schema, {"type": "null"}]}


def thing(_required: Sequence[str] | None = None, /, **properties: Schema) -> Schema:
    """An object with these properties; all of them are required unless some are named."""
    needed = list(properties) if _required is None else list(_required)
    return {"type": "object", "properties": properties, "required": needed}


def schemas(
    numeric: Sequence[str],
    categorical: Sequence[str],
    folders: Sequence[str],
    *,
    has_profit: bool,
    has_segments: bool,
) -> dict[str, Schema]:
    """Every named schema.

    Args:
        numeric, categorical: the columns that the model reads.
        folders: the data folders, as a client names them.
        has_profit: whether costs of calls are set.
        has_segments: whether there are segment columns.
    """
    return {
        **_requests(numeric, categorical, folders),
        **_prediction_answers(),
        **_client_answers(has_profit, has_segments),
        **_release_answers(),
        **_diagnostics_answers(),
        **_run_answers(),
        **_service_answers(),
    }


def _requests(
    numeric: Sequence[str], categorical: Sequence[str], folders: Sequence[str]
) -> dict[str, Schema]:
    number = {"type": ["number", "null"], "description": "null is a missing value"}
    category = {
        "type": ["string", "number", "null"],
        "description": "null and blank are missing values",
    }
    names = [*numeric, *categorical]
    values = [number] * len(numeric) + [category] * len(categorical)
    record = thing(**dict(zip(names, values, strict=True)))
    example = dict.fromkeys(numeric, 1) | dict.fromkeys(categorical, "a")
    record["examples"] = [example]
    row: Schema = {
        "type": "array",
        "prefixItems": values,
        "items": False,
        "minItems": len(names),
        "maxItems": len(names),
    }
    allowed = "|".join(re.escape(folder) for folder in folders)
    suffix = r"\.[Cc][Ss][Vv](\.[Gg][Zz])?"
    file = {
        "type": "string",
        "pattern": rf"^({allowed})/[A-Za-z0-9_][A-Za-z0-9_-]*{suffix}$",
        "description": "a CSV file in a data folder, as it is or packed with gzip",
    }
    rows = {"type": "array", "items": {"oneOf": [ref("Client"), row]}}
    split = thing(columns={"type": "array", "const": names}, data=listed(row))
    forms = {
        "dataframe_split": split,
        "dataframe_records": listed(ref("Client")),
        "instances": rows,
        "inputs": rows,
    }
    return {
        "Client": record,
        "PredictionRequest": {
            "oneOf": [
                {**thing(records=listed(ref("Client"))), "not": {"required": ["filepath"]}},
                {**thing(filepath=file), "not": {"required": ["records"]}},
            ],
            "examples": [{"records": [example]}, {"filepath": "testdata/testdata.csv"}],
        },
        "Invocation": {
            "oneOf": [
                {
                    **thing(**{form: schema}),
                    "not": {"anyOf": [{"required": [other]} for other in forms if other != form]},
                }
                for form, schema in forms.items()
            ],
            "examples": [{"dataframe_records": [example]}],
        },
    }


def _prediction_answers() -> dict[str, Schema]:
    contribution = thing(
        term={**TEXT, "description": "a column, or two joined by ` x `"},
        columns=listed(TEXT),
        values=listed({"type": ["number", "string", "null"]}),
        points={**NUMBER, "description": "log-odds above the term's mean over all clients"},
    )
    return {
        "Contribution": contribution,
        "Predictions": thing(
            ("predictions", "probabilities", "threshold", "model_version"),
            predictions=listed({"type": "integer", "enum": [0, 1]}),
            probabilities=listed(FRACTION),
            threshold=FRACTION,
            model_version=VERSION,
            reasons=listed(listed(TEXT)),
            contributions=listed(listed(ref("Contribution"))),
            log_odds=listed(NUMBER),
            average_log_odds=NUMBER,
        ),
        "MlflowPredictions": thing(predictions=listed({"type": "integer", "enum": [0, 1]})),
    }


def _ranked_client(has_profit: bool, has_segments: bool) -> Schema:
    ranked = thing(
        place={**WHOLE, "minimum": 1},
        client=TEXT,
        probability=FRACTION,
        tier={"type": "string", "enum": ["high", "medium", "low"]},
        reasons=listed(TEXT, description="the strongest, and what sets it apart"),
        probability_change={
            **optional(NUMBER),
            "description": "since the last list of other clients or risks; "
            "null without one, and for a new client",
        },
        rank_change={
            **optional({"type": "integer"}),
            "description": "places climbed since then, negative for a fall; null also where "
            "other settings ordered that list",
        },
        is_new={**FLAG, "description": "whether that list did not name the client"},
        value=optional(NUMBER),
        value_at_risk=optional(NUMBER),
        value_rank=optional(WHOLE),
    )
    # Only where clients are held out:
    ranked["properties"]["group"] = {"type": "string", "enum": ["call", "hold out"]}
    # Only with `rest_days`:
    ranked["properties"]["last_contact"] = {
        **optional({"type": "string", "format": "date"}),
        "description": "of a client not to be called again yet; null for others",
    }
    if has_profit:
        ranked["properties"]["profit"] = {
            **optional(NUMBER),
            "description": "what a call is expected to earn; null without a value",
        }
    if has_segments:
        ranked["properties"]["segments"] = {"type": "object", "additionalProperties": TEXT}
    return ranked


def _client_answers(has_profit: bool, has_segments: bool) -> dict[str, Schema]:
    tiers = thing(high=WHOLE, medium=WHOLE, low=WHOLE)
    about = {"time": TIME, "release": VERSION, "ranked": TEXT, "total": WHOLE}
    moment = thing(time=TIME, probability=FRACTION, release=optional(VERSION))
    action = thing(
        date={"type": "string", "format": "date"}, action=TEXT, cost=optional(NUMBER), note=TEXT
    )
    more = thing(
        **about,
        features={"type": "object", "additionalProperties": {"type": ["number", "string", "null"]}},
        contributions=optional(listed(ref("Contribution"))),
        log_odds=optional(NUMBER),
        average_log_odds=optional(NUMBER),
        threshold=optional(FRACTION),
        live_release=optional(VERSION),
        history=listed(moment, description="where the probability changed, oldest first"),
        actions=listed(action, description="what was done with the client, latest first"),
    )
    page = thing(
        **about,
        tiers=tiers,
        matching=WHOLE,
        page=WHOLE,
        per_page=WHOLE,
        clients=listed(ref("RankedClient")),
    )
    page["properties"]["held_out"] = {**tiers, "description": "how many of each tier are held out"}
    page["properties"]["in_common"] = {
        **TEXT,
        "description": "what most of the first clients to call have in common, a sentence",
    }
    return {
        "RankedClient": _ranked_client(has_profit, has_segments),
        "OneClient": {"allOf": [ref("RankedClient"), more]},
        "ClientPage": page,
    }


def _release_answers() -> dict[str, Schema]:
    decision = thing(
        time=optional(TIME),
        verdict=optional(TEXT),
        reason=optional(TEXT),
        warnings=optional(listed(TEXT)),
        release_before=optional(VERSION),
        release_after=optional(VERSION),
    )
    scoring = thing(
        f1_score={**optional(FRACTION), "description": "on the test data; null: see `undefined`"},
        cross_validated={
            **ref("RunScore"),
            "description": "on the rows it learnt from, each predicted by a model of its kind that "
            "has not learnt it: what to judge by where f1_score is null",
        },
        threshold=FRACTION,
        model_version=VERSION,
        deployed_at=optional(TIME),
    )
    scoring["properties"]["undefined"] = {
        **optional(TEXT),
        "description": "why the test data give no score",
    }
    release = thing(
        release=VERSION,
        live=FLAG,
        deployed_at=optional(TIME),
        f1_score=optional(FRACTION),
        replaces=optional(VERSION),
    )
    return {
        "Decision": decision,
        "Scoring": scoring,
        "Model": thing(
            model_version=VERSION,
            deployed_at=optional(TIME),
            decision=optional(ref("Decision")),
            training=optional(ANYTHING),
            scoring=ref("Scoring"),
            scorecard=ANYTHING,
            releases=listed(release),
        ),
    }


def _diagnostics_answers() -> dict[str, Schema]:
    statistics = thing(**dict.fromkeys(("mean", "median", "standard_deviation"), optional(NUMBER)))
    proposal = thing(
        since=TIME,
        evidence={**TEXT, "description": "why the run would deploy it"},
        approve={**TEXT, "description": "the command that deploys it"},
        reject={**TEXT, "description": "the command that refuses it"},
    )
    package = thing(name=TEXT, current_version=TEXT, latest_version=TEXT)
    described = {  # by the first run, when it is finished
        "missing_data_percentages": listed(optional(NUMBER)),
        "outdated_packages": listed(package),
        "packages": ANYTHING,
        "missing_by_column": {"type": "object", "additionalProperties": optional(NUMBER)},
        "time": TIME,
    }
    return {
        "SummaryStatistics": thing(
            ("summary_statistics", "by_column"),
            summary_statistics=optional(listed(optional(NUMBER))),
            by_column=optional({"type": "object", "additionalProperties": statistics}),
            detail={**TEXT, "description": "why something is null"},
        ),
        "Diagnostics": thing(
            ("execution_times", *described, "drift", "decision", "proposal"),
            execution_times=listed(optional(NUMBER), description="ingestion, training; seconds"),
            **{name: optional(schema) for name, schema in described.items()},
            drift=optional(ANYTHING),
            decision=optional(ref("Decision")),
            proposal={
                **optional(proposal),
                "description": "a candidate that waits for a person's approval; null without one",
            },
            detail={**TEXT, "description": "why something is null"},
        ),
    }


def _run_answers() -> dict[str, Schema]:
    score = thing(
        f1=optional(FRACTION),
        f1_interval=optional(listed(FRACTION)),
        roc_auc=optional(FRACTION),
        rows=optional(WHOLE),
    )
    run = thing(
        **{
            key: optional(TEXT)
            for key in ("time", "verdict", "reason", "release_before", "release_after")
        },
        warnings=optional(listed(TEXT)),
        new_rows=optional(WHOLE),
        scores={"type": "object", "additionalProperties": optional(ref("RunScore"))},
        candidate_score=optional(ref("RunScore")),
        drift=thing(checks=WHOLE, drift=WHOLE),
        timings={"type": "object", "additionalProperties": NUMBER},
    )
    return {
        "RunScore": score,
        "Runs": thing(runs=listed(run)),
    }


def _service_answers() -> dict[str, Schema]:
    problem = thing(
        ("type", "title", "status", "detail"),
        type=TEXT,
        title=TEXT,
        status=WHOLE,
        detail=TEXT,
        error_code={**TEXT, "description": "only of /invocations"},
        message={**TEXT, "description": "only of /invocations"},
    )
    return {
        "Problem": problem,
        "Home": thing(service=TEXT, version=TEXT, links={"type": "object"}),
        "Health": thing(status={"const": "ok"}, service=TEXT, model_version=optional(VERSION)),
        "Ready": thing(
            status={"type": "string", "enum": ["ready", "degraded"]},
            model_version=VERSION,
            damaged_release=optional(VERSION),
            detail=optional(TEXT),
        ),
        "OpenApi": thing(("openapi", "info", "paths"), openapi=TEXT, info=ANYTHING, paths=ANYTHING),
    }
