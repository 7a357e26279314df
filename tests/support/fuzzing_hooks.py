"""What the fuzzer cannot know: how to make CSV with the columns of the model."""

from __future__ import annotations

import schemathesis
from hypothesis import strategies as st

_CELLS = st.one_of(st.integers(-9999, 9999).map(str), st.just(""))
TABLES = st.lists(st.tuples(_CELLS, _CELLS, _CELLS), max_size=5).map(
    lambda rows: "\n".join(
        ["lastmonth_activity,lastyear_activity,number_of_employees", *map(",".join, rows), ""]
    ).encode()
)
schemathesis.openapi.media_type("text/csv", TABLES)
