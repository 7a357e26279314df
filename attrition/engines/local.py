"""This machine as the engine: `finaldata.csv` and DuckDB."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING

from attrition.core.config import Config
from attrition.data import committed_rows, ingest, ledger_rebuild, recovery, segment_change
from attrition.data.discovery import Survey
from attrition.data.ledger import Ledger

# Ingestion needs no model and no tables in memory, and must not pay for importing them.
if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from attrition.data.clients import Clients, Marker, TestClients
    from attrition.data.profile import DataProfile
    from attrition.engines.candidate import Candidate
    from attrition.model.scorecard import Scorecard


@dataclass(frozen=True)
class LocalEngine:
    """This machine: `finaldata.csv` and DuckDB."""

    config: Config
    store: str = ""

    def repair(self) -> Ledger:
        ledger_rebuild.rebuild_ledger(self.config)
        segment_change.change_segment_columns(self.config)
        return recovery.repair(self.config)

    def take_in(self, ledger: Ledger, survey: Survey) -> tuple[Survey, Ledger]:
        return ingest.take_in(self.config, ledger, survey)

    def settle(self, ledger: Ledger) -> None:
        recovery.settle(self.config, ledger)

    def learn(self, ledger: Ledger, test: TestClients, deployed_commit: str | None) -> Candidate:
        from attrition.engines import candidate

        committed_rows.check(self.config, ledger)
        return candidate.learn(self.config, ledger, test, deployed_commit, self._marker(ledger, 0))

    def count_in_test(self, ledger: Ledger, test: TestClients) -> int:
        from attrition.data.clients import training_clients

        return training_clients(self.config, ledger.committed_bytes, test).left_out

    def labelled(self, ledger: Ledger, start: int) -> tuple[Clients, int]:
        from attrition.data.clients import clients_not_held_out

        marker = self._marker(ledger, start)
        return _whole(clients_not_held_out(self.config, start, ledger.committed_bytes, marker))

    def held_out(self, ledger: Ledger) -> tuple[Clients, int]:
        from attrition.data.clients import held_out_clients

        marker = self._marker(ledger, 0)
        return _whole(held_out_clients(self.config, ledger.committed_bytes, marker))

    def opened(self, ledger: Ledger) -> tuple[Clients, int]:
        from attrition.data.clients import open_clients

        return _whole(open_clients(self.config))

    def riskiest_opened(self, ledger: Ledger, card: Scorecard) -> tuple[Clients, int]:
        return self.opened(ledger)

    def riskiest_stayed(self, ledger: Ledger, card: Scorecard) -> tuple[Clients, int]:
        import numpy as np

        from attrition.data.clients import final_clients, newest_of_each, waiting_leavers

        newest = ledger.commits[-1]
        clients = final_clients(self.config, newest.start, newest.end)
        if self.config.id_column is not None:
            clients = clients.select(newest_of_each(clients.ids))
            left = waiting_leavers(self.config)
            clients = clients.select(np.array([name not in left for name in clients.ids], bool))
        assert clients.labels is not None
        return _whole(clients.select(clients.labels == 0))

    def outcomes(
        self, ledger: Ledger, start: int, wanted: Collection[str]
    ) -> tuple[list[str], list[int], NDArray[np.intp]]:
        import numpy as np

        from attrition.data.clients import labels_of

        ids, labels = labels_of(self.config, start, ledger.committed_bytes)
        rows = np.flatnonzero([client in wanted for client in ids])
        return ids[rows].tolist(), labels[rows].tolist(), rows

    def profile(self, ledger: Ledger) -> DataProfile:
        from attrition.data.profile import profile_data

        return profile_data(self.config, ledger)

    def _marker(self, ledger: Ledger, start: int) -> Marker | None:
        """Marks contacted clients in rows from a position on; None where there are none."""
        from attrition.calls.contacted import read_contacted

        acted_on = read_contacted(self.config, ledger, start)
        return None if acted_on is None else acted_on.of


def _whole(clients: Clients) -> tuple[Clients, int]:
    return clients, len(clients)
