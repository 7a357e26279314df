"""Where the stages work: on this machine, or on Apache Spark.

The stages ask `engine(config)` for what grows with the number of clients, and need not know where
it is done. Whatever they get back is small enough for this machine; where it is only a part, the
number of all rows comes with it.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from attrition import committed, intake, rebuilding, recovery
from attrition.config import Config
from attrition.ledger import Ledger
from attrition.sparksession import check_installed
from attrition.survey import Survey

# Ingestion needs no model and no tables in memory, and must not pay for what only others need.
if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from attrition.clients import Clients, TestClients
    from attrition.lesson import Lesson
    from attrition.profile import DataProfile
    from attrition.scorecard import Scorecard


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

    def learn(self, ledger: Ledger, test: TestClients, deployed_commit: str | None) -> Lesson:
        """Fit a candidate to all labelled rows that are not in the test data."""

    def count_in_test(self, ledger: Ledger, test: TestClients) -> int:
        """How many labelled rows are left out of training, since they stand in the test data."""

    def labelled(self, ledger: Ledger, start: int) -> tuple[Clients, int]:
        """Labelled rows from a position on: all of them or a sample, and how many there are."""

    def opened(self, ledger: Ledger) -> tuple[Clients, int]:
        """Open clients: all of them or a sample, and how many there are."""

    def riskiest_opened(self, ledger: Ledger, card: Scorecard) -> tuple[Clients, int]:
        """The open clients, or the riskiest of them, and how many there are."""

    def riskiest_newest(self, ledger: Ledger, card: Scorecard) -> tuple[Clients, int]:
        """The same for the clients of the newest commit, each once."""

    def outcomes(
        self, ledger: Ledger, start: int, wanted: Collection[str]
    ) -> tuple[list[str], list[int], NDArray[np.intp]]:
        """Labels of some clients from a position on, in the order of arrival.

        Returns:
            Ids, labels, and of each row how many rows (or fewer, down to those before its commit)
            stand between the position and it.
        """

    def profile(self) -> DataProfile:
        """What the labelled rows look like."""


@dataclass(frozen=True)
class LocalEngine:
    """This machine: `finaldata.csv` and DuckDB."""

    config: Config
    store: str = ""

    def repair(self) -> Ledger:
        rebuilding.rebuild_ledger(self.config)
        return recovery.repair(self.config)

    def take_in(self, ledger: Ledger, found: Survey) -> tuple[Survey, Ledger]:
        return intake.take_in(self.config, ledger, found)

    def settle(self, ledger: Ledger) -> None:
        recovery.settle(self.config, ledger)

    def learn(self, ledger: Ledger, test: TestClients, deployed_commit: str | None) -> Lesson:
        from attrition import lesson

        committed.check(self.config, ledger)
        return lesson.learn(self.config, ledger, test, deployed_commit)

    def count_in_test(self, ledger: Ledger, test: TestClients) -> int:
        from attrition.clients import training_clients

        return training_clients(self.config, ledger.committed_bytes, test).left_out

    def labelled(self, ledger: Ledger, start: int) -> tuple[Clients, int]:
        from attrition.clients import final_clients

        return _whole(final_clients(self.config, start, ledger.committed_bytes))

    def opened(self, ledger: Ledger) -> tuple[Clients, int]:
        from attrition.clients import open_clients

        return _whole(open_clients(self.config))

    def riskiest_opened(self, ledger: Ledger, card: Scorecard) -> tuple[Clients, int]:
        return self.opened(ledger)

    def riskiest_newest(self, ledger: Ledger, card: Scorecard) -> tuple[Clients, int]:
        from attrition.clients import final_clients
        from attrition.ranking import newest_of_each

        newest = ledger.commits[-1]
        clients = final_clients(self.config, newest.start, newest.end)
        if self.config.id_column is not None:
            clients = clients.select(newest_of_each(clients.ids))
        return _whole(clients)

    def outcomes(
        self, ledger: Ledger, start: int, wanted: Collection[str]
    ) -> tuple[list[str], list[int], NDArray[np.intp]]:
        import numpy as np

        from attrition.clients import final_clients

        clients = final_clients(self.config, start, ledger.committed_bytes)
        rows = np.flatnonzero([client in wanted for client in clients.ids])
        assert clients.labels is not None
        return clients.ids[rows].tolist(), clients.labels[rows].tolist(), rows

    def profile(self) -> DataProfile:
        from attrition.profile import profile_data

        return profile_data(self.config)


def engine(config: Config) -> Engine:
    """The engine that the settings name; nothing is started yet.

    Raises:
        PipelineError: it is not installed.
    """
    if config.engine is None:
        return LocalEngine(config)
    check_installed()
    from attrition.sparkengine import SparkEngine

    return SparkEngine(config, config.engine)


def _whole(clients: Clients) -> tuple[Clients, int]:
    return clients, len(clients)
