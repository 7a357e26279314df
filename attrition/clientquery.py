"""Which clients a request asks for, in which order, and which page of them."""

from __future__ import annotations

from attrition import clientbook, parameters
from attrition.clientbook import Question

LAST_PAGE = 10**7


def question() -> Question:
    """The parameters `tier`, `q` and `sort` of the request."""
    return Question(
        tiers=parameters.choices("tier", clientbook.TIERS),
        part=parameters.one("q") or "",
        sort=parameters.choice("sort", "place", clientbook.SORTS),
    )


def page_number() -> int:
    """The parameter `page` of the request."""
    return parameters.whole_number("page", 1, 1, LAST_PAGE)
