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
class Contacts:
    """From which row on those of a client are those of a contacted client.

    Attributes:
        clients: their ids, each once.
        first_rows: array of shape (n_clients,), the first row, of whatever client, that came on the
            day of the client's first action or later, as a distance in rows from where reading
            begins.
    """

    clients: pd.Index[str]
    first_rows: NDArray[np.intp]

    def of(self, ids: NDArray[np.object_], rows: NDArray[np.intp]) -> NDArray[np.bool_]:
        """Whether rows are of contacted clients.

        Args:
            ids: array of shape (n,), the rows' clients.
            rows: array of shape (n,), their distances from where reading begins; that of the first
                row of their commit will do.
        """
        places = self.clients.get_indexer(pd.Index(ids, dtype=object))
        return np.asarray((places >= 0) & (rows >= self.first_rows[places]))


def read_contacts(config: Config, ledger: Ledger, start: int = 0) -> Contacts | None:
    """The contacted clients; None where no labelled row is of one.

    Args:
        start: position by the ledger from which on rows are read.

    Raises:
        PipelineError: the actions cannot be read.
    """
    if config.id_column is None or not ledger.commits or not config.actions.exists():
        return None
    return contacts(first_days(config.actions), ledger, start)


def contacts(first_days: Sequence[tuple[str, str]], ledger: Ledger, start: int) -> Contacts | None:
    """The contacted clients, from each client's first action; see `read_contacts`.

    Args:
        first_days: client and day, such as `2026-01-31`.
    """
    # Where the clock has been put back, a commit counts as of the latest day so far.
    days = list(accumulate((commit.time[:10] for commit in ledger.commits), max))
    numbers = np.searchsorted(days, [day for _, day in first_days])
    came = numbers < len(days)
    if not came.any():
        return None
    starts = np.cumsum([0, *(commit.rows for commit in ledger.commits)], dtype=np.intp)
    clients = pd.Index([client for client, _ in first_days], dtype=object)
    return Contacts(clients[came], starts[numbers[came]] - ledger.rows_before(start))
