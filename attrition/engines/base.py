"""What the stages need of an engine, wherever it works: this machine, or Apache Spark.

What an engine gives back is small enough for this machine; where it is only a part, the number
of all rows comes with it.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Protocol

from attrition.data.discovery import Survey
from attrition.data.ledger import Ledger

# Ingestion needs no model and no tables in memory, and must not pay for what only others need.
if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from attrition.data.clients import Clients, TestClients
    from attrition.data.profile import DataProfile
    from attrition.engines.candidate import Candidate
    from attrition.model.scorecard import Scorecard


class Engine(Protocol):
    """What the stages need of the ingested rows. Positions are those of the ledger's commits."""

    @property
    def store(self) -> str:
        """Where the rows are, as the ledger names it."""

    def repair(self) -> Ledger:
        """Make good what an earlier run of ingestion left unfinished, and read the ledger."""

    def take_in(self, ledger: Ledger, found: Survey) -> tuple[Survey, Ledger]:
        """Write the rows of new batches; the ledger returned makes them real once it is written.

        In the survey returned, batches that changed meanwhile wait.
        """

    def settle(self, ledger: Ledger) -> None:
        """Let all other files follow a ledger that was written."""

    def learn(self, ledger: Ledger, test: TestClients, deployed_commit: str | None) -> Candidate:
        """Fit a candidate to all labelled rows that are not in the test data."""

    def count_in_test(self, ledger: Ledger, test: TestClients) -> int:
        """How many labelled rows are left out of training, since they are test data."""

    def labelled(self, ledger: Ledger, start: int) -> tuple[Clients, int]:
        """Labelled rows from a position on, without those held out as test data.

        Returns:
            All of them or a sample, and how many there are.
        """

    def held_out(self, ledger: Ledger) -> tuple[Clients, int]:
        """The labelled rows held out as test data: all or a sample, and how many there are."""

    def opened(self, ledger: Ledger) -> tuple[Clients, int]:
        """Open clients: all of them or a sample, and how many there are."""

    def riskiest_opened(self, ledger: Ledger, card: Scorecard) -> tuple[Clients, int]:
        """The open clients, or the riskiest of them, and how many there are."""

    def riskiest_stayed(self, ledger: Ledger, card: Scorecard) -> tuple[Clients, int]:
        """The same for the clients of the newest commit who stayed, by each one's newest row."""

    def outcomes(
        self, ledger: Ledger, start: int, wanted: Collection[str]
    ) -> tuple[list[str], list[int], NDArray[np.intp]]:
        """Labels of some clients from a position on, in the order of arrival.

        Returns:
            Ids, labels, and of each row how many rows (or fewer, down to those before its commit)
            stand between the position and it.
        """

    def profile(self, ledger: Ledger) -> DataProfile:
        """What the labelled rows look like."""
