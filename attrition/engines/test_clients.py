"""The test data for the stages: the files of the test folder, and the rows held out."""

from __future__ import annotations

from attrition.core.config import Config
from attrition.data.clients import TestClients, labelled_test_clients, with_held_out
from attrition.data.ledger import Ledger
from attrition.engines.selection import engine


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
