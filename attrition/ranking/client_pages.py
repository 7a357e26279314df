"""The addresses of the clients' pages, whatever a client is called, and what a row's name means."""

from __future__ import annotations

from urllib.parse import quote, urlencode

from attrition.core.config import Config
from attrition.core.formatting import OPEN_CLIENTS
from attrition.ranking.lookup_db import name_digest

LONGEST_ADDRESS = 4000  # a server takes request lines of little more


def client_url(name: str) -> str:
    """The address of a client's page.

    Browsers and proxies tidy up paths with empty parts and dots; such a name goes elsewhere. In
    place of one that is too long its digest stands.
    """
    is_tidy = all(part not in ("", ".", "..") for part in name.split("/"))
    if is_tidy and name.isprintable():
        url = f"/clients/{quote(name, safe='')}"
    else:
        url = f"/clients?{urlencode({'client': name})}"
    if len(url) > LONGEST_ADDRESS:
        url = f"/clients?client_sha256={name_digest(name)}"
    return url


def row_names(config: Config, ranked: str) -> str:
    """Where the row stands that a client without a name is called by; "" where clients have ids.

    Args:
        ranked: which clients are on the list.
    """
    if config.id_column is not None:
        return ""
    is_open = ranked == OPEN_CLIENTS
    path = config.open_clients if is_open else config.final_data
    part = "" if is_open else "the newest batch in "
    return (
        f"No column names the clients: \N{LEFT DOUBLE QUOTATION MARK}row 7"
        f"\N{RIGHT DOUBLE QUOTATION MARK} is row 7 of {part}{path.parent.name}/{path.name}."
    )
