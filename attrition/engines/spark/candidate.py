"""Trains a candidate on Spark: the selection uses a sample, the fit uses all rows on Spark."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from pyspark.sql import DataFrame

from attrition.calls.contacted import Contacted
from attrition.core.config import Config
from attrition.core.errors import NotEnoughData
from attrition.data import storage
from attrition.data.clients import Clients, TestClients, joined
from attrition.data.near_copies import as_one_client, near_copies
from attrition.engines.candidate import (
    Candidate,
    are_enough,
    columns_of,
    count_known,
    too_few,
    training_minimum,
)
from attrition.engines.spark import dataset
from attrition.engines.spark.dataset import Master
from attrition.engines.spark.training import RowsOnSpark
from attrition.model.basis import Labels
from attrition.model.training import (
    FittedModel,
    check_enough,
    fit_rows,
    with_threshold_for_all,
)

Numbers = NDArray[np.intp]


def learn(
    master: Master,
    rows: DataFrame,
    test: TestClients,
    first_unseen: int,
    acted_on: Contacted | None,
) -> Candidate:
    """Fit a candidate to all rows except those of the test data and of contacted clients.

    More than `SAMPLE_ROWS` rows are represented by two samples of that size: one of all rows, used
    to select functions and threshold, and as reference for later rows; and one of the
    unseen rows, used to compare the candidate with the deployed model.

    Args:
        master: the data set.
        rows: the labelled rows.
        test: the labelled test data.
        first_unseen: number of the first file that the deployed model was not trained on.
        acted_on: the contacted clients, by numbers of files; None: there are none.

    Raises:
        NotEnoughData: there are too few rows, or all have one label.
    """
    config, all_rows = master.config, rows.count()
    today = master.not_in_test(rows, test).persist()
    counts_today = dataset.count_labels(today)
    rows, counts, contacted = _to_learn(master, today, counts_today, acted_on)
    total, positives = sum(counts.values()), counts.get(1, 0)
    left_out = all_rows - sum(counts_today.values())
    try:
        check_enough(total, positives, training_minimum(config))
    except NotEnoughData as error:
        raise too_few(error, left_out) from None
    representatives, files = dataset.sample(rows, config, counts)
    clients, unseen, unseen_rows = _to_compare(rows, config, representatives, files, first_unseen)
    fitted = _fit(config, rows, total, representatives)
    of_today = representatives
    if rows is not today:
        sampled, files = dataset.sample(today, config, counts_today)
        of_today = dataset.marked(sampled, files, acted_on)
        set_aside = of_today.only_contacted.features
        fitted = with_threshold_for_all(fitted, set_aside, contacted / total)
    known = count_known(config, test, master.ids_among(rows, test))
    today.unpersist()
    return Candidate(
        fitted=fitted,
        rows=total,
        positives=positives,
        left_out=left_out,
        representatives=representatives,
        today=of_today,
        clients=clients,
        unseen=unseen,
        unseen_rows=unseen_rows,
        known_test_rows=known,
        contacted=contacted,
        learns_contacted=contacted > 0 and rows is today,
    )


def _to_learn(
    master: Master, rows: DataFrame, counts: dict[int, int], acted_on: Contacted | None
) -> tuple[DataFrame, dict[int, int], int]:
    """The rows to learn, how many have each label, and how many rows are of contacted clients.

    Those are left out where enough others remain.
    """
    if acted_on is None:
        return rows, counts, 0
    others = master.not_contacted(rows, acted_on)
    counts_of_others = dataset.count_labels(others)
    total = sum(counts_of_others.values())
    contacted = sum(counts.values()) - total
    if contacted and are_enough(total, counts_of_others.get(1, 0), training_minimum(master.config)):
        return others, counts_of_others, contacted
    return rows, counts, contacted


def _fit(config: Config, rows: DataFrame, total: int, sample: Clients) -> FittedModel:
    """Select the settings on the sample, then fit to all rows."""
    columns = columns_of(config)
    keys = storage.key_of(config)
    selected = rows.select(*(keys[name] for name in columns.all), "label")
    return fit_rows(
        RowsOnSpark(selected, total, columns),
        sample.features,
        _labels(sample),
        columns,
        seed=config.random_seed,
        clients=as_one_client(sample.ids, near_copies(sample)),
    )


def _to_compare(
    rows: DataFrame, config: Config, representatives: Clients, files: Numbers, first_unseen: int
) -> tuple[Clients, NDArray[np.bool_], int]:
    """The rows that candidate and deployed model are compared on.

    Returns:
        Clients; which of them the deployed model was not trained on; the number of all such rows.
    """
    unseen = np.asarray(files >= first_unseen)
    unseen_rows = rows.where(rows["file"] >= first_unseen)
    counts = dataset.count_labels(unseen_rows)
    total = sum(counts.values())
    if total <= int(unseen.sum()):
        return representatives, unseen, total
    known = representatives.select(~unseen)
    sampled, _ = dataset.sample(unseen_rows, config, counts)
    compared = joined(known, sampled)
    return compared, np.arange(len(compared)) >= len(known), total


def _labels(clients: Clients) -> Labels:
    assert clients.labels is not None
    return clients.labels
