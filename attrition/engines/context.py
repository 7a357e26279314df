"""What the stages of one run all need: read and verified once, then handed from stage to stage."""

from __future__ import annotations

from dataclasses import dataclass

from attrition.core.config import Config
from attrition.data.clients import TestClients, labelled_test_clients, with_held_out
from attrition.data.ledger import Ledger, read_ledger
from attrition.engines.selection import engine
from attrition.model.champion import Champion


@dataclass(frozen=True)
class RunContext:
    """The settings, what is ingested, the labelled test data, the deployed model (if any)."""

    config: Config
    ledger: Ledger
    test: TestClients
    champion: Champion | None

    @property
    def live(self) -> str | None:
        """Name of the live release; None before the first deployment."""
        return self.champion.release.id if self.champion else None


def read_context(config: Config, champion: Champion | None) -> RunContext:
    """Read what is ingested and the test data.

    Args:
        config: the settings.
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
    held_out, _ = engine(config).held_out(ledger)
    return with_held_out(config, test, held_out)
