"""Success of calls must not teach the model that a risk is none: rounds of lists, calls, training.

In each round new clients come, the model lists them, whoever it lists is called, and of those who
would leave a call keeps three in ten (attrition/data/synthetic.py). The next model learns the
outcomes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

import ingestion
import training
from attrition.core import clock
from attrition.data.ledger import read_ledger
from attrition.data.synthetic import (
    COLUMNS,
    KEPT_SHARE,
    REACHED_SHARE,
    client_rows,
    csv_text,
    work_the_list,
)
from attrition.engines.context import gather_test_clients
from attrition.model.scorecard import Scorecard
from tests.conftest import Project, new_project
from tests.support.contacts import act_on

CLIENTS, ROUNDS = 2000, 3


def risks(card: Scorecard, rows: Sequence[Sequence[str]]) -> NDArray[np.float64]:
    """Predicted for rows in the columns of the generator."""
    columns = zip(*rows, strict=True)
    named = dict(zip(COLUMNS, columns, strict=True))
    return card.probabilities(
        {name: np.array([float(text or math.nan) for text in named[name]]) for name in COLUMNS[1:4]}
    )


def models(project: Project, *, with_actions: bool) -> list[Scorecard]:
    """The model of each round; with actions, calls are written down in the folder of actions."""
    cards: list[Scorecard] = []
    for number in range(ROUNDS):
        rows = client_rows(CLIENTS, seed=number, open_share=0.0, first_client=CLIENTS * number)
        rows = rows[:CLIENTS]  # each once
        if cards:
            listed = risks(cards[-1], rows) >= cards[-1].threshold
            to_call = {row[0] for row, is_listed in zip(rows, listed, strict=True) if is_listed}
            outcomes = {row[0]: row[-1] for row in rows}
            calls, rows = work_the_list(
                rows, outcomes, to_call, effect=KEPT_SHARE, seed=number, day=clock.today()
            )
            if with_actions:
                act_on(project, [client for client, *_ in calls], f"round{number}.csv")
        project.write(f"sourcedata/round{number}.csv", csv_text(rows))
        ingestion.run(project.config)
        config, ledger = project.config, read_ledger(project.config.ledger)
        test = gather_test_clients(config, ledger)
        cards.append(training.train(config, ledger, test, None).fitted.scorecard)
    return cards


@pytest.fixture(scope="module")
def cards(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[Scorecard], list[Scorecard]]:
    """The models of all rounds where calls are written down, and where they are not."""
    return (
        models(new_project(tmp_path_factory.mktemp("known")), with_actions=True),
        models(new_project(tmp_path_factory.mktemp("unknown")), with_actions=False),
    )


@pytest.mark.slow
def test_the_risk_of_those_who_are_called_is_kept_where_calls_are_written_down(
    cards: tuple[list[Scorecard], list[Scorecard]],
) -> None:
    known, unknown = cards
    assert known[0] == unknown[0]
    untouched = client_rows(40_000, seed=99, open_share=0.0)
    left = np.array([int(row[-1]) for row in untouched])
    is_listed = risks(known[0], untouched) >= known[0].threshold
    untreated = left[is_listed].mean()
    treated = untreated * (1 - REACHED_SHARE * KEPT_SHARE)
    kept = risks(known[-1], untouched)[is_listed].mean()
    forgotten = risks(unknown[-1], untouched)[is_listed].mean()
    assert treated < forgotten < untreated - 0.07
    assert abs(kept - untreated) < 0.04


@pytest.mark.slow
def test_the_threshold_stays_though_the_riskiest_clients_are_not_learnt_from(
    cards: tuple[list[Scorecard], list[Scorecard]],
) -> None:
    known, unknown = cards
    assert known[-1].threshold == pytest.approx(known[0].threshold, abs=0.02)
    assert unknown[-1].threshold < known[0].threshold - 0.025
