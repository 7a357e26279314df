"""A candidate: the fitted model, and the training rows needed to explain and compare it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from attrition.core.config import INCREASING, Config
from attrition.core.errors import NotEnoughData
from attrition.core.formatting import plural
from attrition.data.clients import Clients, Marker, TestClients, training_clients
from attrition.data.ledger import Ledger
from attrition.data.near_copies import CopiedRows, without_copies
from attrition.model.basis import Columns
from attrition.model.metrics import Minimum, Score
from attrition.model.suspicion import Together
from attrition.model.training import (
    FittedModel,
    check_enough,
    fit,
    with_threshold_for_all,
)


@dataclass(frozen=True)
class Candidate:
    """A trained candidate and what it was trained on.

    Attributes:
        fitted: the model.
        rows: number of its training rows.
        positives: how many of these left.
        left_out: number of rows left out because they are test data.
        representatives: all training rows, or a sample if they are too many.
        today: likewise, with the rows of contacted clients: what later rows are compared with.
        clients: training rows for comparing it with the deployed model; again all, if possible.
        unseen: array of shape (n_clients,), true for rows the deployed model was not trained on.
        unseen_rows: number of all such rows, including those not among `clients`.
        known_test_rows: number of test rows of clients of whom other rows are among these.
        copied: rows that are nearly the same as another client's; None for none.
        contacted: number of rows of contacted clients, which were set aside, not learnt.
        learns_contacted: whether they were learnt, since too few rows are of other clients.
        libraries: versions of further libraries used for the training.
    """

    fitted: FittedModel
    rows: int
    positives: int
    left_out: int
    representatives: Clients
    today: Clients
    clients: Clients
    unseen: NDArray[np.bool_]
    unseen_rows: int
    known_test_rows: int
    copied: CopiedRows | None = None
    contacted: int = 0
    learns_contacted: bool = False
    libraries: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class TrainingResult(Candidate):
    """A candidate and its cross-validated score.

    Attributes:
        cross_validated: score of models of its kind on training rows they were not fitted to.
        suspicious: columns that alone predict the label suspiciously well, with their AUC.
        together: without any, those that carry a model that as a whole does; None for neither.
        monotone_cost: what obeying the setting `monotone` costs; empty where it asks for nothing.
    """

    cross_validated: Score = field(kw_only=True)
    suspicious: dict[str, float] = field(kw_only=True)
    together: Together | None = field(default=None, kw_only=True)
    monotone_cost: dict[str, float] = field(default_factory=dict, kw_only=True)


def training_minimum(config: Config) -> Minimum:
    """The fewest rows a model is trained on."""
    return Minimum(config.minimum_training_rows, config.minimum_rarer_label_rows)


def columns_of(config: Config) -> Columns:
    """The columns that the model looks at, and what is asked of the risk along them."""
    monotone = {column: 1 if way == INCREASING else -1 for column, way in config.monotone.items()}
    return Columns(config.numeric_columns, config.categorical_columns, monotone)


def too_few(error: NotEnoughData, left_out: int, copied: CopiedRows | None = None) -> NotEnoughData:
    """Add to the error the number of rows that were left out as test data or copies of it."""
    if left_out:
        error = NotEnoughData(f"{error}; left out as test data: {plural(left_out, 'row')}")
    return NotEnoughData(f"{error}; {copied}") if copied else error


def count_known(config: Config, test: TestClients, learnt: Iterable[str]) -> int:
    """The number of test rows whose client is among those learnt; 0 where clients have no ids."""
    if config.id_column is None:
        return 0
    known = set(test.clients.ids).intersection(learnt)
    return sum(client in known for client in test.clients.ids)


def are_enough(rows: int, positives: int, minimum: Minimum) -> bool:
    """Whether a model can be trained on so many rows."""
    try:
        check_enough(rows, positives, minimum)
    except NotEnoughData:
        return False
    return True


def learn(
    config: Config,
    ledger: Ledger,
    test: TestClients,
    deployed_commit: str | None,
    marker: Marker | None,
) -> Candidate:
    """Read the training rows and fit the model, on this machine; writes nothing.

    Args:
        test: the labelled test data; its rows are left out.
        deployed_commit: last commit the deployed model was trained on; None without a model.
        marker: marks contacted clients; None: there are none.

    Raises:
        NotEnoughData: there are too few rows, or all have one label.
    """
    unseen_start = ledger.unseen_start(deployed_commit)
    rows = training_clients(config, ledger.committed_bytes, test, unseen_start, marker)
    ids = rows.clients.ids
    rows, copied = without_copies(rows, test.clients, have_ids=config.id_column is not None)
    today, minimum, columns = rows.clients, training_minimum(config), columns_of(config)
    clients, unseen = today.uncontacted, rows.unseen
    if learns_contacted := not are_enough(len(clients), clients.count_left, minimum):
        clients = today
    elif today.contacted is not None:
        unseen = unseen[~today.contacted]
    assert clients.labels is not None, "finaldata.csv holds labelled rows only"
    try:
        fitted = fit(
            clients.features,
            clients.labels,
            numeric=columns.numeric,
            categorical=columns.categorical,
            minimum=minimum,
            seed=config.random_seed,
            clients=clients.ids,
            monotone=columns.monotone,
        )
    except NotEnoughData as error:
        raise too_few(error, rows.left_out, copied) from None
    if len(clients) < len(today):
        set_aside = today.only_contacted.features
        fitted = with_threshold_for_all(fitted, set_aside, len(set_aside) / len(clients))
    return Candidate(
        fitted=fitted,
        rows=len(clients),
        positives=clients.count_left,
        left_out=rows.left_out,
        representatives=clients,
        today=today,
        clients=clients,
        unseen=unseen,
        unseen_rows=int(unseen.sum()),
        known_test_rows=count_known(config, test, ids if copied else clients.ids),
        copied=copied,
        contacted=today.count_contacted,
        learns_contacted=learns_contacted and today.count_contacted > 0,
    )
