"""Which labelled rows are of clients who had been contacted before.

Where calls help, clients at high risk stay. Who learns from them takes the risk for small, and who
judges a model by them takes it for wrong: a row whose outcome a call may have changed says nothing
of what becomes of such a client if nobody calls. A row is of a contacted client if an action with
its client has a day that is not later than the day (UTC) on which the row was ingested.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from attrition.calls.actions_store import first_days
from attrition.core.config import Config
from attrition.data.ledger import Ledger


@dataclass(frozen=True)
class Contacted:
    """From which row on those of a client are those of a contacted client.

    Attributes:
        clients: their ids, each once.
        begins: array of shape (n_clients,), where the rows, of whatever client, begin that came on
            the day of the client's first action or later: a distance in rows from where reading
            begins; in the Spark engine the number of a file.
    """

    clients: pd.Index[str]
    begins: NDArray[np.intp]

    def of(self, ids: NDArray[np.object_], places: NDArray[np.intp]) -> NDArray[np.bool_]:
        """Whether rows are of contacted clients.

        Args:
            ids: array of shape (n,), the rows' clients.
            places: array of shape (n,), theirs in the measure of `begins`; that of the first row of
                their commit will do.
        """
        found = self.clients.get_indexer(pd.Index(ids, dtype=object))
        return np.asarray((found >= 0) & (places >= self.begins[found]))


def read_contacted(config: Config, ledger: Ledger, start: int = 0) -> Contacted | None:
    """The contacted clients; None where no labelled row is of one.

    Args:
        start: position by the ledger from which on rows are read.

    Raises:
        PipelineError: the actions cannot be read.
    """
    if config.id_column is None or not ledger.commits or not config.actions.exists():
        return None
    return contacted(first_days(config.actions), ledger, start)


def contacted(days_of: Sequence[tuple[str, str]], ledger: Ledger, start: int) -> Contacted | None:
    """The contacted clients, from each client's first action; see `read_contacted`.

    Args:
        days_of: client and day of its first action, such as `2026-01-31`.
    """
    # Where the clock has been put back, a commit counts as of the latest day so far.
    days = list(accumulate((commit.time[:10] for commit in ledger.commits), max))
    numbers = np.searchsorted(days, [day for _, day in days_of])
    came = numbers < len(days)
    if not came.any():
        return None
    starts = np.cumsum([0, *(commit.rows for commit in ledger.commits)], dtype=np.intp)
    clients = pd.Index([client for client, _ in days_of], dtype=object)
    return Contacted(clients[came], starts[numbers[came]] - ledger.rows_before(start))
