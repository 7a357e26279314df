"""What nobody sends who means well: names of clients and of columns, and bodies of requests."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from tests.support.serving_projects import FEATURES

CLIENT_NAMES = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "' onmouseover='alert(1)",
    "evil\N{RIGHT-TO-LEFT OVERRIDE}gnp.exe",
    "two\nlines",
    "a/b",
    "/leading",
    "trailing/",
    "a//b",
    "a/../b",
    ".",
    "..",
    "%2F",
    "%2e%2e",
    "a?b#c&d=e+f",
    "{{ 7 * 7 }}",
    "\\back\\slash",
    "株式会社 \N{PERSON WITH BALL}",
    "x" * 2000,
]
LABELS = (
    "$x^2$",
    "a_b^c\\frac{1}{2}",
    "\\",
    "$",
    "",
    "   ",
    "x" * 200,
    "W" * 200,
    "line\nbreak\ttab\x00\x1b[31m\x7f",
    "中文客户",
    "العربية",
    "\ud800",
    "<script>&amp;'\"",
    "--",
    "]]>",
)
# Bodies of requests.
NAMES = st.sampled_from([*FEATURES, "extra", "", " ", *(f" {name} " for name in FEATURES)])
CELLS = st.one_of(
    st.sampled_from(
        [
            "1",
            "",
            " ",
            "-0",
            "1e5",
            "1e999",
            "nan",
            "inf",
            "0x1",
            "1_0",
            "'",
            '"',
            '""',
            "\u0661",
            "\0",
            "=cmd()",
            "1,2",
            "1\n2",
            "\r",
            "\ufeff",
            "9" * 400,
        ]
    ),
    st.text(max_size=5),
)
VALUES: st.SearchStrategy[Any] = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), CELLS),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(NAMES | st.text(max_size=3), inner, max_size=4)
    ),
    max_leaves=12,
)
RECORDS = st.lists(st.fixed_dictionaries(dict.fromkeys(FEATURES, CELLS | VALUES)), max_size=3)
FORMS = ("records", "filepath", "dataframe_split", "dataframe_records", "instances", "inputs")
BODIES = st.one_of(
    VALUES,
    st.dictionaries(st.sampled_from(FORMS), VALUES | RECORDS, max_size=2),
    st.builds(
        lambda columns, data: {"dataframe_split": {"columns": columns, "data": data}},
        st.permutations(FEATURES) | st.lists(NAMES, max_size=4) | VALUES,
        st.lists(st.lists(CELLS | VALUES, min_size=3, max_size=3), max_size=3) | VALUES,
    ),
    st.builds(
        lambda values: {"inputs": values},
        st.dictionaries(NAMES, st.lists(VALUES, max_size=3), max_size=4),
    ),
)
