"""What a candidate has learnt from: the fitted model, and the rows that explain and judge it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from attrition.core.config import Config
from attrition.core.errors import NotEnoughData
from attrition.data.clients import Clients, TestClients, training_clients
from attrition.data.ledger import Ledger
from attrition.model.metrics import Minimum, Score
from attrition.model.training import FittedModel, fit


@dataclass(frozen=True)
class Candidate:
    """A trained candidate and what it was trained on.

    Attributes:
        fitted: the model.
        rows: number of its training rows.
        positives: how many of these left.
        left_out: number of rows left out because they are test data.
        representatives: training rows that stand for all; all of them where they are not too many.
        clients: training rows it is compared with the deployed model on; again all, if possible.
        unseen: array of shape (n_clients,), true for rows that the deployed model has not learnt.
        unseen_rows: how many such rows there are, also beyond `clients`.
        libraries: versions of further libraries that made it.
    """

    fitted: FittedModel
    rows: int
    positives: int
    left_out: int
    representatives: Clients
    clients: Clients
    unseen: NDArray[np.bool_]
    unseen_rows: int
    libraries: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class TrainingResult(Candidate):
    """A candidate, and how good its kind is.

    Attributes:
        cross_validated: how well models of its kind predict training rows they did not see.
        suspicious: columns that alone tell the answer beyond belief, with their AUC.
    """

    cross_validated: Score = field(kw_only=True)
    suspicious: dict[str, float] = field(kw_only=True)


def training_minimum(config: Config) -> Minimum:
    """The fewest rows a model is trained on."""
    return Minimum(config.minimum_training_rows, config.minimum_rarer_label_rows)


def too_few(error: NotEnoughData, left_out: int) -> NotEnoughData:
    """Why no model can be trained, with the rows that may not be learnt, if there are any."""
    if not left_out:
        return error
    return NotEnoughData(f"{error}; {left_out} rows were left out, since they are test data")


def learn(
    config: Config, ledger: Ledger, test: TestClients, deployed_commit: str | None
) -> Candidate:
    """Read the training rows and fit the model, on this machine; writes nothing.

    Args:
        config: the settings.
        ledger: what is ingested.
        test: the labelled test data; its rows are left out.
        deployed_commit: up to which commit the deployed model has learnt; None if there is none.

    Raises:
        NotEnoughData: too few rows, or rows of one label only.
    """
    unseen_start = ledger.unseen_start(deployed_commit)
    rows = training_clients(config, ledger.committed_bytes, test, unseen_start)
    clients = rows.clients
    assert clients.labels is not None, "finaldata.csv holds labelled rows only"
    try:
        fitted = fit(
            clients.features,
            clients.labels,
            numeric=config.numeric_columns,
            categorical=config.categorical_columns,
            minimum=training_minimum(config),
            seed=config.random_seed,
            clients=clients.ids,
        )
    except NotEnoughData as error:
        raise too_few(error, rows.left_out) from None
    return Candidate(
        fitted=fitted,
        rows=len(clients),
        positives=int(clients.labels.sum()),
        left_out=rows.left_out,
        representatives=clients,
        clients=clients,
        unseen=rows.unseen,
        unseen_rows=int(rows.unseen.sum()),
    )
