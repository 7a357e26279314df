"""What the pipeline recorded: /scoring, /summarystats, /diagnostics, /model, /history, /report."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from flask import Blueprint, Response, abort

from attrition.core import atomic_files, plain_values, releases
from attrition.core.errors import DataError
from attrition.runs import history_store
from attrition.web import query_parameters, responses
from attrition.web.live_model import Served
from attrition.web.security import REPORT_POLICY
from attrition.web.state import (
    NOT_YET_RECORDED,
    RECORDED_OTHERWISE,
    public_decision,
    recorded_diagnostics,
    served,
    state,
)

if TYPE_CHECKING:
    from attrition.model.metrics import Score
    from attrition.monitoring.record import DecisionRecord, DriftRecord

RUNS_SHOWN, MOST_RUNS = 30, 1_000
_PIECE = 2**16  # bytes of the report that are sent at once
_NO_REPORT = (
    "there is no report in this form yet: the next run writes it, or whoever looks after this "
    "server does (run fullprocess.py or reporting.py, or let the setting reports name the form)"
)
_OF_THE_DATA = (
    "missing_data_percentages",
    "outdated_packages",
    "packages",
    "missing_by_column",
    "time",
)
_SUMMARY = ("mean", "median", "standard_deviation")
# Of a release's scores: names of files and digests are the pipeline's own business.
_INTERNAL = ("f1", "test_files", "scorecard_sha256")
_SCORES = ("f1", "f1_interval", "roc_auc", "rows")

blueprint = Blueprint("answers", __name__)

logger = logging.getLogger(__name__)


@blueprint.get("/scoring")
def scoring() -> Response:
    """How good the deployed model was when it was deployed: on the test data, cross-validated."""
    return _prepared("scoring", scoring_of, served())


def scoring_of(live: Served) -> dict[str, Any]:
    """The scores a release was deployed with."""
    return {
        "f1_score": live.scores.get("f1"),
        **{key: value for key, value in live.scores.items() if key not in _INTERNAL},
        "cross_validated": {key: live.cross_validated.get(key) for key in _SCORES},
        "threshold": live.card.threshold,
        "model_version": live.version,
        "deployed_at": live.manifest.get("deployed_at"),
    }


@blueprint.get("/summarystats")
def summarystats() -> Response:
    """Mean, median and standard deviation of each numeric column, in order."""
    return _prepared("summarystats", statistics_of, recorded_diagnostics())


def statistics_of(recorded: Mapping[str, Any] | None) -> dict[str, Any]:
    """The statistics, in order and by name; what is not recorded yet is null."""
    if recorded is None:
        return {"summary_statistics": None, "by_column": None, "detail": NOT_YET_RECORDED}
    by_column = recorded["summary_statistics"]
    flat = [column[name] for column in by_column.values() for name in _SUMMARY]
    return {"summary_statistics": flat, "by_column": by_column}


@blueprint.get("/diagnostics")
def diagnostics() -> Response:
    """Timings, missing data, outdated packages, drift and the last decision."""
    recorded, decision = recorded_diagnostics(), state().decision.read()
    if recorded is None and decision is None:  # the live model knows why it was deployed
        decision = served().decision
    return _prepared("diagnostics", diagnostics_of, recorded, decision)


def diagnostics_of(
    recorded: Mapping[str, Any] | None, decision: DecisionRecord | None
) -> dict[str, Any]:
    """The recorded diagnostics as the API answers them; what is not recorded yet is null."""
    times: Mapping[str, float | None] = decision.timings if decision else {}
    decided = {
        "drift": plain_values.to_json(decision.drift) if decision and decision.run_id else None,
        "decision": public_decision(decision),
        "proposal": _proposal(decision),
    }
    if recorded is None:
        return {
            "execution_times": [times.get("ingestion"), times.get("training")],
            **dict.fromkeys(_OF_THE_DATA),
            **decided,
            "detail": NOT_YET_RECORDED,
        }
    # The diagnostics were recorded within the run that the decision is of: its timings are newer.
    times = {**recorded["execution_times"], **times}
    return {
        "execution_times": [times["ingestion"], times["training"]],
        "missing_data_percentages": list(recorded["missing_data_percentages"].values()),
        "outdated_packages": recorded["packages"]["outdated"],
        "packages": recorded["packages"],
        "missing_by_column": recorded["missing_data_percentages"],
        "time": recorded["time"],
        **decided,
    }


def _proposal(decision: DecisionRecord | None) -> dict[str, Any] | None:
    """The candidate that waits for approval, and what a person can do; None where none waits."""
    from attrition.monitoring.record import APPROVE, REJECT

    if decision is None or decision.proposal is None:
        return None
    return {
        "since": decision.proposal.since,
        "evidence": decision.reason,
        "approve": APPROVE,
        "reject": REJECT,
    }


def _prepared(name: str, make: Callable[..., dict[str, Any]], *sources: Any) -> Response:
    """An answer made of what was read; made anew only when something else has been read."""
    prepared = state().prepared
    kept = prepared.get(name)
    if kept is None or any(old is not new for old, new in zip(kept[0], sources, strict=True)):
        kept = prepared[name] = (sources, responses.json_bytes(_made(make, sources)))
    return Response(kept[1], content_type=responses.JSON)


def _made(make: Callable[..., dict[str, Any]], sources: tuple[Any, ...]) -> dict[str, Any]:
    """An answer of records; where they are not of this version the request ends here."""
    try:
        return make(*sources)
    except (LookupError, TypeError, AttributeError) as error:
        logger.warning("the records are not as expected: %r", error)
        abort(503, RECORDED_OTHERWISE)


@blueprint.get("/model")
def model() -> Response:
    """The live model: its scorecard, how it came about, and the releases before it."""
    live = served()
    config = state().config
    return responses.json_answer(
        {
            "model_version": live.version,
            "deployed_at": live.manifest.get("deployed_at"),
            "decision": public_decision(live.decision),
            "training": live.manifest.get("training"),
            "scoring": scoring_of(live),
            "scorecard": live.card.to_json(),
            "releases": [
                _release(folder, live.version)
                for folder in reversed(releases.releases(config.prod_deployment_path))
            ],
        }
    )


def _release(folder: Path, live: str) -> dict[str, Any]:
    """One release in a few words; of a damaged one its name alone."""
    try:
        manifest = dict(atomic_files.read_json(folder / releases.MANIFEST))
    except (DataError, TypeError, ValueError):
        manifest = {}
    return {
        "release": folder.name,
        "live": folder.name == live,
        "deployed_at": manifest.get("deployed_at"),
        "f1_score": manifest.get("f1_score"),
        "replaces": manifest.get("replaces"),
    }


@blueprint.get("/history")
def run_history() -> Response:
    """The last runs, newest first, with the numbers that trends are made of."""
    from attrition.monitoring.record import recorded_runs  # heavy, and not needed to start

    limit = query_parameters.whole_number("limit", RUNS_SHOWN, 1, MOST_RUNS)
    path = state().config.history
    runs = recorded_runs(path, limit)
    if not runs and (fault := history_store.fault(path)):
        abort(503, f"no run can be read from the history: {fault}")
    return responses.json_answer({"runs": [run_of(record) for record in runs]})


def run_of(record: DecisionRecord) -> dict[str, Any]:
    """A recorded run as the API answers it."""
    return {
        "time": record.time,
        "verdict": record.verdict,
        "reason": record.reason,
        "warnings": [warning.text for warning in record.warnings],
        "new_rows": record.new_rows,
        "release_before": record.release_before,
        "release_after": record.release_after,
        "scores": {str(name): _score(score) for name, score in record.scores.items()},
        "candidate_score": _score(record.candidate_score),
        "drift": drift_counts(record.drift),
        "timings": record.timings,
    }


def _score(score: Score | None) -> dict[str, Any] | None:
    return {key: getattr(score, key) for key in _SCORES} if score else None


def drift_counts(drift: DriftRecord) -> dict[str, int]:
    """How many drift checks a run made, and in how many it found drift."""
    from attrition.monitoring.findings import DriftVerdict

    return {
        "checks": len(drift.verdicts),
        "drift": drift.verdicts.count(DriftVerdict.DRIFT),
    }


@blueprint.get("/report")
def report() -> Response:
    """The last report, as a page or, where the client prefers that, as PDF."""
    if responses.preferred(responses.HTML, responses.PDF) == responses.PDF:
        return report_pdf()
    return _report_file(state().config.report, f"{responses.HTML}; charset=utf-8")


@blueprint.get("/report.pdf")
def report_pdf() -> Response:
    """The last report as PDF."""
    return _report_file(state().config.report_pdf, responses.PDF)


def _report_file(path: Path, kind: str) -> Response:
    try:
        stream = path.open("rb")
    except (FileNotFoundError, IsADirectoryError):
        abort(503, _NO_REPORT)
    headers = {
        "Content-Security-Policy": REPORT_POLICY,
        "Content-Length": str(os.fstat(stream.fileno()).st_size),
    }
    pieces = _pieces(stream) if kind == responses.PDF else linked(_pieces(stream))
    response = Response(pieces, content_type=kind, headers=headers)
    response.call_on_close(stream.close)  # where no piece is asked for, as by HEAD
    return response


# What stands in the file, which may be mailed, and what it becomes where the pages are; as long.
_NO_LINK, _LINK = b'<a data-href="', b'<a      href="'


def linked(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """The report with links to the pages of this server, piece by piece."""
    rest = b""
    for piece in pieces:
        rest = (rest + piece).replace(_NO_LINK, _LINK)
        sure = max(len(rest) - len(_NO_LINK) + 1, 0)  # the next piece may complete a link
        yield rest[:sure]
        rest = rest[sure:]
    yield rest


def _pieces(stream: BinaryIO) -> Iterator[bytes]:
    """A file piece by piece: those who read slowly would each keep all of it in memory."""
    with stream:
        while piece := stream.read(_PIECE):
            yield piece
