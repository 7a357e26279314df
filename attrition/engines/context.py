"""What the stages of one run all need: read and verified once, then handed from stage to stage."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

from attrition.core.config import Config
from attrition.data.clients import Clients, TestClients, labelled_test_clients, with_held_out
from attrition.data.ledger import Ledger, read_ledger
from attrition.engines.selection import engine
from attrition.model.champion import Champion
from attrition.model.metrics import Minimum, Score, score, undefined_reason
from attrition.model.scorecard import Scorecard


@dataclass(frozen=True)
class RunContext:
    """The settings, what is ingested, the labelled test data, the deployed model (if any)."""

    config: Config
    ledger: Ledger
    test: TestClients
    champion: Champion | None

    @cached_property
    def live_score(self) -> Score:
        """Score of the deployed model, which must be there and fit, on the test data."""
        assert self.champion is not None
        return score_clients(self.champion.card, self.test.clients, self.config)

    @property
    def wake_day(self) -> str | None:
        """The day on which the first labels come of age; None while none waits."""
        unmatured = self.ledger.unmatured
        days = [self.test.next_day, unmatured.next_day if unmatured else None]
        return min((day for day in days if day is not None), default=None)

    @property
    def live(self) -> str | None:
        """Name of the live release; None before the first deployment."""
        return self.champion.release.id if self.champion else None


def minimum(config: Config) -> Minimum:
    """The fewest labelled rows a score or a verdict is given for."""
    return Minimum(config.minimum_scoring_rows, config.minimum_rarer_label_rows)


def score_clients(card: Scorecard, clients: Clients, config: Config) -> Score:
    """Score a model on labelled clients; undefined, with the reason, where they are too few."""
    return score(
        clients.labels if clients.labels is not None else [],
        card.probabilities(clients.columns),
        card.threshold,
        minimum(config),
        config.random_seed,
        clients=clients.ids if config.id_column is not None else None,
    )


def read_context(config: Config, champion: Champion | None) -> RunContext:
    """Read what is ingested and the test data.

    Args:
        champion: the deployed model, already verified; None when there is none.
    """
    ledger = read_ledger(config.ledger)
    return RunContext(config, ledger, gather_test_clients(config, ledger), champion)


def gather_test_clients(config: Config, ledger: Ledger) -> TestClients:
    """The labelled clients to test on, each row once; writes nothing.

    Raises:
        DataError: the ingested rows cannot be read with the present settings.
    """
    test = labelled_test_clients(config)
    if not config.test_share or ledger.commit_id is None:
        return test
    held_out, total = engine(config).held_out(ledger)
    fair = held_out.uncontacted
    if undefined_reason(len(fair), fair.count_left, minimum(config)) is not None:
        fair = held_out  # better a test by clients who are called than none
    set_aside = round(total * (1 - len(fair) / max(len(held_out), 1)))
    return replace(with_held_out(config, test, fair), contacted=set_aside)
