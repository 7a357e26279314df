"""Settings guessed for somebody's table."""

from __future__ import annotations

import json
import random
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import pytest

import ingestion
from attrition.core.errors import DataError
from attrition.data.column_choice import Column, choose_columns
from attrition.data.config_suggestion import suggest_settings
from attrition.data.label_choice import choose_labels
from tests.conftest import REPOSITORY, Project

TABLES = REPOSITORY.parent / "shared" / "data"

TEXT = Column("?", values=100, distinct=3, numbers=0, dates=0, has_fractions=False)
NUMBER = Column("?", values=100, distinct=90, numbers=100, dates=0, has_fractions=False)


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        ({"Yes": 90, "No": 10}, ("Yes", "No")),
        ({"0": 10, "1": 90}, ("1", "0")),
        ({"gone": 10, "here": 90}, ("gone", "here")),
        ({"1": 5, "1.0": 6, "0": 3}, ("1.0", "0")),
        ({"b": 5, "a": 5}, ("a", "b")),
    ],
)
def test_the_label_that_says_yes_is_positive_else_the_rarer(
    labels: dict[str, int], expected: tuple[str, str]
) -> None:
    assert choose_labels(labels, "y") == expected


@pytest.mark.parametrize(
    ("target", "left", "stayed"),
    [
        ("retained", "no", "yes"),
        ("is_active", "0", "1"),
        ("still_customer", "N", "Y"),
        ("ContractRenewed", "False", "True"),
        ("not_churned", "0", "1"),
        ("no_longer_active", "1", "0"),
        ("Exited", "1", "0"),
        ("status", "Closed", "Active"),
        ("Attrition_Flag", "Attrited Customer", "Existing Customer"),
        ("active", "left", "not left"),
        ("outcome", "No", "Stayed"),
    ],
)
def test_names_and_labels_that_speak_of_leaving_or_staying_tell_who_left(
    target: str, left: str, stayed: str
) -> None:
    for rows in ({left: 30, stayed: 70}, {left: 70, stayed: 30}):
        assert choose_labels(rows, target) == (left, stayed)


@pytest.mark.slow
def test_which_label_means_left_is_told_and_doubted_where_nothing_speaks_for_it(
    project: Project,
) -> None:
    def suggested(target: str, left: str, stayed: str, one_in: int) -> tuple[str, str]:
        rows = [[i % 7 / 2, stayed if i % one_in else left] for i in range(90)]
        found = suggest_settings(project.config, table(project, f"x,{target}", rows), target)
        assert found.chosen[target][0] == "target_column"
        return found.chosen[target][1], found.notes[0]

    told, note = suggested("retained", "no", "yes", 3)
    assert told == (
        "'no' means left, in 30 of 90 labelled rows, 33.3%; 'yes' means stayed; the column's name "
        "speaks of staying"
    )
    assert note.startswith("no value_column")  # and no doubt
    told, note = suggested("outcome", "bad", "good", 3)
    assert told.endswith("it is the rarer one")
    assert note == (
        "it is unclear whether 'bad' means that a client left: if not, exchange positive_label and "
        "negative_label in config.json"
    )
    told, note = suggested("y", "0", "1", 3)
    assert "'1' means left, in 60 of 90 labelled rows" in told
    assert note.startswith("67% are taken for leavers; is '1' their label?")


@pytest.mark.parametrize("labels", [{}, {"1": 3}, {"1": 3, "1.0": 2}, {"a": 1, "b": 1, "c": 1}])
def test_other_than_two_labels_are_an_error(labels: dict[str, int]) -> None:
    with pytest.raises(DataError, match="expected two different labels"):
        choose_labels(labels, "y")


@pytest.mark.parametrize("name", ["customerID", "client_id", "Account Number", "corporation"])
def test_a_column_called_an_id_is_one(name: str) -> None:
    columns = [NUMBER, replace(NUMBER, name=name)]
    assert choose_columns(columns, 100).settings["id_column"] == name


@pytest.mark.parametrize(
    "column",
    [
        replace(NUMBER, name="account_length"),
        replace(NUMBER, name="id", values=99),
        replace(NUMBER, name="spend", distinct=100),
        replace(NUMBER, name="id", has_fractions=True),
        replace(TEXT, name="area_code"),
    ],
)
def test_what_may_be_blank_or_counts_something_is_no_id(column: Column) -> None:
    assert choose_columns([column], 100).settings["id_column"] is None


def test_a_text_of_its_own_in_every_row_is_an_id_whatever_its_name() -> None:
    firm = replace(TEXT, name="Firma", distinct=100)
    remark = replace(TEXT, name="remark", values=90, distinct=80)
    found = choose_columns([firm, remark], 100)
    assert found.settings["id_column"] == "Firma"
    assert found.left_out == {"remark": "nearly every row has a text of its own"}


def test_each_column_finds_its_part() -> None:
    columns = [
        replace(NUMBER, name="spend"),
        replace(NUMBER, name="area code", distinct=5),
        replace(NUMBER, name="zip", distinct=90),
        replace(NUMBER, name="mixed", numbers=99, distinct=20),
        replace(TEXT, name="plan"),
        replace(TEXT, name="day", dates=100, distinct=90),
        replace(TEXT, name="country", distinct=1),
    ]
    found = choose_columns(columns, 100)
    assert found.settings == {
        "id_column": None,
        "numeric_columns": ["spend"],
        "categorical_columns": ["area code", "mixed", "plan"],
        "value_column": "spend",
    }
    assert list(found.left_out) == ["zip", "day", "country"]


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        ("y", "missing column 'y'; expected 'y'; found 'plan', 'Left[?]', 'x'$"),
        ("LEFT", r"missing column 'LEFT' \(did you mean 'Left\?'\?\); expected 'LEFT'; found"),
        ("", "missing column ''; expected ''; found 'plan'"),
    ],
)
def test_a_target_that_is_no_column_is_refused_with_those_there_are(
    project: Project, target: str, reason: str
) -> None:
    path = project.write("table.csv", "plan,Left?,x\na,1,2\n")
    with pytest.raises(DataError, match=rf"table\.csv: .*{reason}"):
        suggest_settings(project.config, path, target)


def test_a_target_that_two_columns_are_called_is_refused(project: Project) -> None:
    path = project.write("table.csv", "y,x,y\n1,2,0\n")
    with pytest.raises(DataError, match="doubled column 'y'"):
        suggest_settings(project.config, path, "y")


@pytest.mark.slow
@pytest.mark.skipif(not TABLES.is_dir(), reason="the real tables are not here")
@pytest.mark.parametrize(
    ("folder", "rejected"),
    [
        ("telco_ibm", 0),
        ("churn_mlc5000", 0),
        ("iranian_churn", 0),
        ("online_retail_rfm", 0),
        ("bank_churn_10k", 1),
        ("ecommerce_churn", 0),
    ],
)
def test_real_tables_are_ingested_with_the_suggested_settings_alone(
    project: Project, folder: str, rejected: int
) -> None:
    facts = json.loads((TABLES / folder / "manifest.json").read_text())
    table = TABLES / folder / facts["main"]
    found = suggest_settings(project.config, table, facts["target"])
    suggested = found.settings
    assert suggested["positive_label"] == facts["positive_label"]
    assert Path(suggested["input_folder_path"]) == Path("sourcedata")
    project.configure(**suggested)
    (project.root / "sourcedata" / table.name).write_bytes(table.read_bytes())
    (entry,) = ingestion.run(project.config).files
    assert (entry.rows_read, entry.quarantined, entry.open) == (facts["rows"], rejected, 0)
    features = {*suggested["numeric_columns"], *suggested["categorical_columns"]}
    assert not features & set(facts["drop_for_model"])
    # Honest columns, however strong, stay: nothing else is left out.
    assert set(found.left_out) <= set(facts["drop_for_model"])


def table(project: Project, header: str, rows: Iterable[Iterable[object]]) -> Path:
    lines = (",".join(map(str, row)) for row in rows)
    return project.write("table.csv", "\n".join([header, *lines]) + "\n")


def bank_rows(draw: random.Random, count: int = 600) -> list[list[object]]:
    names = ["Hill", "Onio", "Boni", "Mitchell", "Chu", "Bartlett", "Obinna", "He"]
    ids = draw.sample(range(15_000_000, 16_000_000), count)
    return [
        [
            i + 1,
            ids[i],
            f"{draw.choice(names)}{draw.randrange(90)}",
            draw.randrange(350, 850),
            draw.choice(["Spain", "France"]),
            draw.choice(["Male", "Female"]),
            draw.randrange(18, 90),
            round(draw.uniform(0, 200_000), 2),
            int(draw.random() < 0.2),
        ]
        for i in range(count)
    ]


BANK = "RowNumber,CustomerId,Surname,CreditScore,Geography,Gender,Age,Balance,Exited"


@pytest.mark.slow
def test_a_banks_table_with_a_counter_a_name_and_a_damaged_label(project: Project) -> None:
    rows = bank_rows(random.Random(1))
    rows[37][-1] = "0+++"
    rows[99][3] = "61x"
    path = table(project, BANK, rows)
    found = suggest_settings(project.config, path, "Exited")
    assert found.left_out == {"RowNumber": "it counts the rows", "Surname": "names of people"}
    assert found.settings["id_column"] == "CustomerId"
    assert found.settings["numeric_columns"] == ["CreditScore", "Age", "Balance"]
    assert found.settings["categorical_columns"] == ["Geography", "Gender"]
    assert found.settings["value_column"] == "Balance"
    assert (found.settings["positive_label"], found.settings["negative_label"]) == ("1", "0")
    assert found.chosen["CustomerId"] == (
        "id_column",
        "its name is that of a client's id; 600 different ones in 600 rows",
    )
    aside = "; ingestion will set aside such rows"
    assert found.notes[:2] == (
        f"another label in Exited than the two: 1 row (line 39){aside}",
        f"no number in CreditScore: 1 row (line 101){aside}",
    )
    assert found.notes[2].startswith("sensitive: Gender, Age; ")
    project.configure(**found.settings)
    path.rename(project.root / "sourcedata/table.csv")
    (entry,) = ingestion.run(project.config).files
    assert (entry.rows_read, entry.quarantined, entry.open) == (600, 2, 0)


def test_a_card_issuers_table_with_a_client_number_and_the_answer_in_disguise(
    project: Project,
) -> None:
    draw = random.Random(2)
    header = (
        "CLIENTNUM,Attrition_Flag,Customer_Age,Card_Category,Credit_Limit,Months_Inactive,"
        "Naive_Bayes_Attrition_Flag_1,last_bill_reason,Total_Trans_Amt"
    )
    rows = []
    for number in draw.sample(range(708_000_000, 828_000_000), 600):
        left = draw.random() < 0.25
        seen = left if draw.random() > 0.01 else not left
        inactive = round(draw.gauss(3 + 2 * left, 1), 2)  # strong (AUC .92), and honest
        rows.append(
            [
                number,
                "Attrited" if left else "Existing",
                draw.randrange(26, 73),
                draw.choice(["Blue", "Gold"]),
                draw.randrange(1438, 34516),
                inactive,
                round(draw.random(), 4),
                "closed" if seen else draw.choice(["", "usual"]),
                draw.randrange(510, 18484),
            ]
        )
    found = suggest_settings(project.config, table(project, header, rows), "Attrition_Flag")
    assert found.settings["id_column"] == "CLIENTNUM"
    assert "Months_Inactive" in found.settings["numeric_columns"]
    assert found.settings["value_column"] == "Total_Trans_Amt"
    assert found.settings["positive_label"] == "Attrited"
    assert list(found.left_out) == ["Naive_Bayes_Attrition_Flag_1", "last_bill_reason"]
    by_name, by_value = found.left_out.values()
    assert by_name.startswith("its name has that of 'Attrition_Flag' in it")
    assert by_value.startswith("alone it nearly decides 'Attrition_Flag' (AUC 0.9")


def test_numbers_that_tell_the_outcome_are_left_out_on_their_way_through_bins(
    project: Project,
) -> None:
    draw = random.Random(3)
    rows = []
    for _ in range(500):
        left = draw.random() < 0.2
        refund = round(draw.uniform(50, 90) if left else draw.uniform(0, 51), 2)
        rows.append([round(draw.gauss(9, 2), 2), refund, "yes" if left else "no"])
    path = table(project, "months,final_refund,left_us", rows)
    found = suggest_settings(project.config, path, "left_us")
    assert found.settings["numeric_columns"] == ["months"]
    assert "alone it nearly decides 'left_us'" in found.left_out["final_refund"]


def test_a_table_of_which_nothing_is_left_is_refused_with_the_reasons(project: Project) -> None:
    rows = [[i, f"c{i}", i % 2] for i in range(100)]
    with pytest.raises(DataError, match=r"no column is left .*\(row: it counts the rows\)"):
        suggest_settings(project.config, table(project, "row,client,y", rows), "y")


def test_a_client_id_that_counts_is_one_where_a_nameless_counter_is_none() -> None:
    counter = replace(NUMBER, distinct=100, smallest=1, largest=100)
    client = replace(counter, name="CustomerID", smallest=50_001, largest=50_100)
    found = choose_columns([replace(counter, name="Unnamed: 0"), client, NUMBER], 100)
    assert found.settings["id_column"] == "CustomerID"
    found = choose_columns([replace(counter, name="position"), NUMBER], 100)
    assert found.settings["id_column"] is None
    assert found.left_out == {"position": "it counts the rows"}
    assert found.notes[1:] == ("no id_column: no column names the clients; a client is its row",)


@pytest.mark.parametrize("first", [True, False])
def test_the_clients_id_comes_before_an_id_that_may_only_count(first: bool) -> None:
    counter = replace(NUMBER, name="id", distinct=100, smallest=1, largest=100)
    firm = replace(TEXT, name="company", distinct=90)
    columns = [counter, firm, NUMBER] if first else [firm, counter, NUMBER]
    assert choose_columns(columns, 100).settings["id_column"] == "company"
    alone = choose_columns([counter, NUMBER], 100)
    assert alone.settings["id_column"] == "id"
    assert "may only count the rows" in alone.chosen["id"][1]


def test_a_number_of_many_digits_in_every_row_is_no_amount() -> None:
    msisdn = replace(NUMBER, name="handset", distinct=99, digits=11, smallest=1e10, largest=9e10)
    found = choose_columns([msisdn, NUMBER], 100)
    assert list(found.left_out) == ["handset"]
    found = choose_columns([replace(msisdn, distinct=100), NUMBER], 100)
    assert found.settings["id_column"] == "handset"


@pytest.mark.parametrize("end", ["", ".0"])
def test_running_and_long_numbers_are_known_with_a_point_and_a_zero_too(
    end: str, project: Project
) -> None:
    """As tables of surveys have them, and as pandas writes whole numbers beside a blank."""
    draw = random.Random(8)
    numbers = sorted(draw.sample(range(233, 25_062), 300))  # a survey's, with gaps
    handsets = draw.sample(range(10**8, 10**9), 299)
    rows = [
        [f"{number}{end}", f"{handset}{end}", draw.randrange(40), i % 3 // 2]
        for i, (number, handset) in enumerate(zip(numbers, [handsets[0], *handsets], strict=True))
    ]
    found = suggest_settings(project.config, table(project, "seqn,handset,x,y", rows), "y")
    assert found.left_out == {
        "seqn": "it counts the rows",
        "handset": "an id by its looks: nearly every row has 9 digits of its own",
    }
    assert found.settings["numeric_columns"] == ["x"]


def test_numbers_with_leading_zeros_are_codes() -> None:
    branch = replace(NUMBER, name="branch", distinct=30, has_leading_zeros=True)
    assert choose_columns([branch, NUMBER], 100).settings["categorical_columns"] == ["branch"]


@pytest.mark.parametrize(
    "amount",
    [
        *("{}%", "{}.5 %", "{},5", "1,0{}.50", "{},00 €", "$ {}", "{} EUR", "1 2{},50 €", "1'2{}"),
        *("1\u202f2{}", "1\u00a02{},5", "${}.2M", "{}k", "({})", "(1,2{}.50)", "-1.2{}.000,5"),
        *("1.2{}.000 €", "€1.2{}.000"),
    ],
)
def test_amounts_that_are_read_as_text_are_named_with_what_to_do(
    project: Project, amount: str
) -> None:
    draw = random.Random(1)
    values = [10 + draw.randrange(40) for _ in range(400)]
    rows = [
        (f"c{n}", f'"{amount.format(value)}"', value, draw.choice(["yes", "no"]))
        for n, value in enumerate(values)
    ]
    path = table(project, "client,discount,visits,left", rows)
    found = suggest_settings(project.config, path, "left", "yes")
    assert found.settings["categorical_columns"] == ["discount"]
    (note,) = [note for note in found.notes if "is read as text, not as numbers" in note]
    assert note.startswith(
        f"discount is read as text, not as numbers, for its values are written "
        f"like {amount.format(10)!r}: to learn"
    )


@pytest.mark.parametrize(
    "text",
    [
        *("{}.05.2026", "{}-A", "A{}", "10.0.0.{}", "{} {}", "{}GB"),
        *("192.168.1{}.001", "100.200.3{}"),
    ],
)
def test_texts_with_digits_are_no_amounts(project: Project, text: str) -> None:
    draw = random.Random(1)
    rows = [
        (f"c{n}", text.format(*[10 + draw.randrange(20)] * 2), n % 7, draw.choice(["yes", "no"]))
        for n in range(400)
    ]
    path = table(project, "client,plan,visits,left", rows)
    notes = suggest_settings(project.config, path, "left", "yes").notes
    assert not [note for note in notes if "read as text" in note]


@pytest.mark.parametrize(("distinct", "what"), [(30, "read"), (90, "left out")])
def test_amounts_of_many_clients_are_said_to_be_left_out_and_not_read(
    distinct: int, what: str
) -> None:
    revenue = replace(
        TEXT, name="revenue", distinct=distinct, written_amounts=100, written_amount="1,234.50 €"
    )
    found = choose_columns([replace(revenue, name="first_name"), NUMBER, revenue], 100)
    (note,) = [note for note in found.notes if "not as numbers" in note]
    assert note.startswith(f"revenue is {what} as text, not as numbers, for its values")
    assert ("revenue" in found.left_out) == (what == "left out")


def test_several_columns_that_may_be_worth_are_named_and_none_is_taken() -> None:
    columns = [replace(NUMBER, name=f"total_{part}_charge") for part in ("day", "night")]
    found = choose_columns(columns, 100)
    assert found.settings["value_column"] is None
    assert found.notes[0] == (
        "no value_column: each of total_day_charge, total_night_charge may be a part of what a "
        "client is worth"
    )


@pytest.mark.parametrize(
    ("column", "why"),
    [
        (NUMBER, "no column's name says what a client is worth"),
        (replace(NUMBER, name="revenue", smallest=-5), "revenue is negative for some"),
        (replace(NUMBER, name="revenue", distinct=2), "revenue has only 2 different values"),
    ],
)
def test_why_no_column_is_taken_for_a_clients_value_is_said(column: Column, why: str) -> None:
    found = choose_columns([column, NUMBER], 100)
    assert found.settings["value_column"] is None
    assert found.notes[0] == f"no value_column: {why}; where one says that, name it in config.json"


def test_columns_of_one_name_are_left_out() -> None:
    found = choose_columns([replace(NUMBER, name="x"), replace(TEXT, name="x"), NUMBER], 100)
    assert found.left_out == {"x": "several columns have this name"}


def test_third_labels_are_damage_only_where_they_are_rare() -> None:
    assert choose_labels({"0": 7962, "1": 2037, "0+++": 1}, "y") == ("1", "0")
    assert choose_labels({"0": 9000, "Yes": 900, "?": 9, "x": 9}, "y") == ("Yes", "0")
    for labels in ({"0": 98, "1": 99, "?": 2}, {"0": 9000, "1": 50, "?": 6}):
        with pytest.raises(DataError, match=r"found 3 \('.' in [0-9,]+ rows; .* rows\); correct"):
            choose_labels(labels, "y")


def test_labels_that_are_too_many_are_told_with_their_counts_and_lines(project: Project) -> None:
    path = table(project, "x,y", [[i, "abc"[i % 3]] for i in range(30)])
    with pytest.raises(DataError) as error:
        suggest_settings(project.config, path, "y")
    assert str(error.value) == (
        f"{path}: column 'y': expected two different labels, found 3 "
        f"('a' in 10 rows from line 2 on; 'b' in 10 rows from line 3 on; "
        f"'c' in 10 rows from line 4 on); correct the labels, and leave those blank that say "
        f"neither left nor stayed"
    )


def test_columns_may_be_called_anything(project: Project) -> None:
    draw = random.Random(4)
    header = '"",label,x,"a ""b"", c",x,place,phone,y'
    rows = [
        [
            i,
            draw.random(),
            i % 7,
            draw.choice("ab"),
            3,
            draw.choice("cd"),
            f"+49{draw.randrange(10**8, 10**9)}",
            i % 3 // 2,
        ]
        for i in range(300)
    ]
    rows[1][6] = rows[0][6]
    found = suggest_settings(project.config, table(project, header, rows), "y")
    assert found.settings["numeric_columns"] == ["label"]
    assert found.settings["categorical_columns"] == ['a "b", c', "place"]
    assert found.left_out == {
        "": "it counts the rows",
        "x": "several columns have this name",
        "phone": "an id by its looks: nearly every row has 11 digits of its own",
    }
