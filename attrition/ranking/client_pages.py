"""The addresses of the clients' pages, whatever a client is called."""

from __future__ import annotations

from urllib.parse import quote, urlencode

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
