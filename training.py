"""Train a candidate model on all ingested rows, except rows of the test data.

    python training.py

Reads  ingesteddata/finaldata.csv and ledger.json, testdata/*.csv.
Writes models/trainedmodel.pkl (the scikit-learn pipeline), scorecard.json (the same model, to read
       and to serve) and training.json (what it was trained on and how it was chosen).

Equal rows give equal files, byte for byte.
"""

from __future__ import annotations

if __name__ == "__main__":
    from attrition.core import environment

    environment.require_packages()

import argparse
import pickle
import textwrap
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from attrition.core import atomic_files, plain_values
from attrition.core.config import Config
from attrition.core.errors import NotEnoughData
from attrition.core.formatting import listing, plural
from attrition.data.clients import Clients, TestClients
from attrition.data.leakage import suspicious_columns
from attrition.data.ledger import Ledger, read_ledger
from attrition.engines.candidate import TrainingResult
from attrition.engines.context import gather_test_clients, minimum
from attrition.engines.selection import engine
from attrition.model import monotone, unused
from attrition.model.compatibility import label_settings
from attrition.model.metrics import Score, score
from attrition.model.scorecard import Scorecard
from attrition.model.selection import Selection
from attrition.model.suspicion import suspicious_together
from attrition.model.versions import versions
from attrition.monitoring.impact import baseline
from attrition.monitoring.outcome_evidence import RECENT_ROWS, outcome_evidence
from attrition.monitoring.reference import summarise
from attrition.runs import cli

STRONGEST_TERMS = 8


def run(
    config: Config,
    ledger: Ledger,
    test: TestClients,
    deployed_commit: str | None = None,
    rows_since_change: int | None = None,
) -> TrainingResult:
    """Train a candidate and write its three files; call this under the run lock.

    Args:
        test: the labelled test data; its rows are left out of training.
        deployed_commit: last commit the deployed model was trained on; None without a model.
        rows_since_change: how many rows came since outcomes last changed; None where that is not
            known.

    Returns:
        The candidate, in memory; rows that came after `deployed_commit` are marked unseen.

    Raises:
        NotEnoughData: no rows are ingested yet, or too few, or all of one label.
    """
    if ledger.commit_id is None:
        raise NotEnoughData("no labelled client rows have been ingested yet; run ingestion.py")
    result = train(config, ledger, test, deployed_commit)
    folder, fitted = config.output_model_path, result.fitted
    with atomic_files.replacing(folder / "trainedmodel.pkl") as temporary:
        temporary.write_bytes(pickle.dumps(fitted.pipeline, protocol=5))
    atomic_files.write_json(folder / "scorecard.json", fitted.scorecard.to_json())
    # Last: its digests cover the other two, so no leftovers of a killed run pass for a candidate.
    record = _record(config, ledger.commit_id, result, rows_since_change)
    atomic_files.write_json(folder / "training.json", record)
    return result


def train(
    config: Config, ledger: Ledger, test: TestClients, deployed_commit: str | None
) -> TrainingResult:
    """Read the training rows and fit the model; writes nothing."""
    candidate = engine(config).learn(ledger, test, deployed_commit)
    cross_validated = _cross_validated(config, candidate.fitted.selection)
    free = candidate.fitted.free
    rows = candidate.representatives
    assert rows.labels is not None, "training rows are labelled"
    alone = suspicious_columns(rows.features, rows.labels)
    card = candidate.fitted.scorecard
    return TrainingResult(
        **vars(candidate),
        cross_validated=cross_validated,
        suspicious=alone,
        together=None
        if alone
        else suspicious_together(card, rows.features, rows.labels, cross_validated),
        monotone_cost=monotone.cost(cross_validated, _cross_validated(config, free))
        if free is not None
        else {},
    )


def _cross_validated(config: Config, selection: Selection) -> Score:
    return score(
        selection.labels,
        selection.probabilities,
        selection.threshold,
        minimum(config),
        config.random_seed,
        clients=selection.clients,
    )


def _record(
    config: Config, commit: str, result: TrainingResult, rows_since_change: int | None
) -> dict[str, Any]:
    """The content of `training.json`: no clock times, so that equal rows give equal bytes."""
    clients, fitted = result.today, result.fitted
    folder = config.output_model_path
    log_odds = fitted.scorecard.log_odds(clients.columns)
    return {
        "commit": commit,
        "schema": config.schema_digest,
        "label": label_settings(config),
        "rows": result.rows,
        "positives": result.positives,
        "left_out_test_rows": result.left_out,
        "known_test_rows": result.known_test_rows,
        **contacted_record(result),
        **({"copied": asdict(result.copied)} if result.copied else {}),
        "test_share": config.test_share,
        "threshold": fitted.scorecard.threshold,
        "settings": fitted.settings,
        "cross_validated": result.cross_validated.to_json()
        | {"outcomes": _outcomes(config, result, rows_since_change)},
        "monotone": config.monotone,
        "monotone_cost": result.monotone_cost,
        "rows_since_change": rows_since_change,
        "suspicious_columns": result.suspicious,
        "suspicious_together": asdict(result.together) if result.together else {},
        "sha256": {
            name: atomic_files.sha256_of(folder / name)
            for name in ("trainedmodel.pkl", "scorecard.json")
        },
        "versions": versions() | dict(result.libraries),
        "reference": summarise(clients.features, log_odds),
        "predicted": baseline(fitted.scorecard, clients.columns, log_odds),
    }


def contacted_record(result: TrainingResult) -> dict[str, Any]:
    """What became of the rows of contacted clients; nothing where there are none."""
    if not result.contacted:
        return {}
    return {"contacted_rows": result.contacted, "learns_contacted": result.learns_contacted}


def _outcomes(
    config: Config, result: TrainingResult, rows_since_change: int | None
) -> dict[str, Any]:
    """What outcomes say of predictions by models that had not learnt the row.

    After a change, on the rows since: what a model fitted to today reaches on clients like today's.
    """
    selection = result.fitted.selection
    count = len(selection.labels)
    if rows_since_change is not None:
        recent = min(rows_since_change, RECENT_ROWS)
        count = min(count, -(-recent * count // result.rows))  # of a sample its share of them
    clients = selection.clients[-count:] if selection.clients is not None else None
    evidence = outcome_evidence(
        selection.labels[-count:], selection.probabilities[-count:], clients
    )
    if rows_since_change is not None and evidence.undefined(minimum(config)):
        return _outcomes(config, result, None)
    plain: dict[str, Any] = plain_values.to_json(evidence)
    return plain


def describe(result: TrainingResult) -> str:
    """The candidate as lines for a person, at most 80 columns wide."""
    card, selection, quality = (
        result.fitted.scorecard,
        result.fitted.selection,
        result.cross_validated,
    )
    lines = [
        f"trained on         {result.rows:,} client rows, of which {result.positives:,} left",
        f"left out           {plural(result.left_out, 'row')} of the test data",
        *(
            [f"known clients      {result.known_test_rows:,} test rows, by other rows of theirs"]
            if result.known_test_rows
            else []
        ),
        *(_wrapped("copies", str(result.copied)) if result.copied else []),
        f"threshold          {card.threshold:.3f}   (mean log-odds of all clients "
        f"{card.average_log_odds:+.2f})",
        f"pairs of columns   {len(card.pairs)}   (penalty {selection.penalty:g})",
    ]
    if quality.f1 is not None:
        lines.append(
            f"cross-validated    F1 {quality.f1:.3f}, ROC AUC {quality.roc_auc:.3f}, "
            f"log loss {quality.log_loss:.3f}"
        )
    for told in unused.phrases(card, result.fitted.copies):
        lines += _wrapped("not used", told)
    if cost := result.monotone_cost:
        lines.append(
            f"cost of monotone   log loss {cost['log_loss']:+.4f}, AUC {-cost['roc_auc']:+.4f}"
        )
    lines += [
        f"suspicious         {column[:40]}: its AUC alone is {power:.3f}; is it known too late?"
        for column, power in result.suspicious.items()
    ]
    if together := result.together:
        told = (
            f"an AUC of {quality.roc_auc:.3f} is beyond belief, by {listing(together.columns)} "
            f"alone it is {together.roc_auc:.3f}: known too late?"
        )
        lines += _wrapped("suspicious", told)
    lines.append("strongest          spread of its points over the clients, in log-odds")
    lines += [
        f"  {spread:5.2f}  {term[:70]}"
        for term, spread in strongest_terms(card, result.representatives)
    ]
    return "\n".join(lines)


def _wrapped(name: str, told: str) -> list[str]:
    """A line of the description that may be long, as lines of at most 80 columns."""
    return textwrap.wrap(told, 80, initial_indent=f"{name:19}", subsequent_indent=" " * 19)


def strongest_terms(card: Scorecard, clients: Clients) -> list[tuple[str, float]]:
    """The terms whose points differ most between clients, with their standard deviation."""
    spreads = card.contributions(clients.features).std(axis=0)
    order = np.argsort(-spreads, kind="stable")[:STRONGEST_TERMS]
    return [(card.terms[position], float(spreads[position])) for position in order]


def _train(config: Config, _arguments: argparse.Namespace) -> int:
    ledger = read_ledger(config.ledger)
    print(describe(run(config, ledger, gather_test_clients(config, ledger))))
    return 0


def main(argv: Sequence[str] | None = None) -> int:
    """Train a candidate and describe it."""
    return cli.run_stage(cli.parser(__doc__), argv, _train)


if __name__ == "__main__":
    raise SystemExit(main())
