"""The interface of an engine for the stages: this machine, or Apache Spark.

Results of an engine are small enough for this machine; where they are only a part of the rows,
the number of all rows comes with them.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Protocol

from attrition.data.discovery import Survey
from attrition.data.ledger import Ledger

# Ingestion needs no model and no tables in memory, and must not pay for importing them.
if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from attrition.data.clients import Clients, TestClients
    from attrition.data.profile import DataProfile
    from attrition.engines.candidate import Candidate
    from attrition.model.scorecard import Scorecard


class Engine(Protocol):
    """Access to the ingested rows. Positions are those of the ledger's commits."""

    @property
    def store(self) -> str:
        """Where the rows are stored, in the ledger's form."""

    def repair(self) -> Ledger:
        """Complete or undo what an earlier ingestion left unfinished, and return the ledger."""

    def take_in(self, ledger: Ledger, survey: Survey) -> tuple[Survey, Ledger]:
        """Write the rows of new batches; writing the returned ledger commits them.

        In the returned survey, batches that changed meanwhile are waiting.
        """

    def settle(self, ledger: Ledger) -> None:
        """Make all other files agree with a written ledger."""

    def learn(self, ledger: Ledger, test: TestClients, deployed_commit: str | None) -> Candidate:
        """Fit a candidate to all labelled rows that are not in the test data."""

    def count_in_test(self, ledger: Ledger, test: TestClients) -> int:
        """The number of labelled rows left out of training because they are test data."""

    def labelled(self, ledger: Ledger, start: int) -> tuple[Clients, int]:
        """Labelled rows from a position on, without those held out as test data.

        Returns:
            All of them or a sample, and the number of all.
        """

    def held_out(self, ledger: Ledger) -> tuple[Clients, int]:
        """The labelled rows held out as test data: all or a sample, and the number of all."""

    def opened(self, ledger: Ledger) -> tuple[Clients, int]:
        """Open clients: all of them or a sample, and the number of all."""

    def riskiest_opened(self, ledger: Ledger, card: Scorecard) -> tuple[Clients, int]:
        """The open clients, or the riskiest of them, and the number of all."""

    def riskiest_stayed(self, ledger: Ledger, card: Scorecard) -> tuple[Clients, int]:
        """As `riskiest_opened`, for clients whose newest row in the newest commit says stayed."""

    def outcomes(
        self, ledger: Ledger, start: int, wanted: Collection[str]
    ) -> tuple[list[str], list[int], NDArray[np.intp]]:
        """Labels of some clients from a position on, in the order of arrival.

        Returns:
            Ids, labels, and each row's distance from the position in rows; on Spark that of the
            first row of its commit.
        """

    def profile(self, ledger: Ledger) -> DataProfile:
        """Statistics of the labelled rows."""
