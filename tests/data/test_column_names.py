"""What the names of columns say, in public tables and made-up ones."""

from __future__ import annotations

import pytest

from attrition.data import column_names
from attrition.data.column_names import (
    ACCOUNT_KEY,
    BARE_KEY,
    CLIENT_KEY,
    CLIENT_NAME,
    OTHER_KEY,
    OTHER_NAME,
)


@pytest.mark.parametrize(
    ("names", "rank"),
    [
        (
            ("CustomerId", "CLIENTNUM", "client_no", "User ID", "EmployeeNumber", "kundennr"),
            CLIENT_KEY,
        ),
        (("Account Number", "policy_no", "phone number", "cardid"), ACCOUNT_KEY),
        (("id", "ID", "uuid"), BARE_KEY),
        (("corporation", "Company", "customer", "company_name"), CLIENT_NAME),
        (("name", "Name", "customer name"), OTHER_NAME),
        (("case number", "plan_id", "region code"), OTHER_KEY),
        (("RowNumber", "Unnamed: 0", "", "index", "S.No", "no", "account_length"), None),
        (("number_of_employees", "NumOfProducts", "Surname", "spend", "casino"), None),
    ],
)
def test_ids_are_ranked_by_how_surely_they_are_the_clients(
    names: tuple[str, ...], rank: int | None
) -> None:
    assert {name: column_names.key_rank(name) for name in names} == dict.fromkeys(names, rank)


def test_counters_are_known_by_their_names() -> None:
    counters = [
        "RowNumber",
        "row_id",
        "Unnamed: 0",
        "Unnamed: 0.1",
        "",
        "#",
        "index",
        "Sl No",
        "Nr.",
        "seqn",
    ]
    assert all(map(column_names.is_counter, counters))
    assert not any(
        map(column_names.is_counter, ["id", "name", "s", "lines", "CustomerId", "rowing"])
    )


def test_names_of_people_are_known() -> None:
    people = ["Surname", "first_name", "LastName", "customer full name", "Nachname"]
    assert all(map(column_names.is_name_of_people, people))
    assert not any(map(column_names.is_name_of_people, ["name", "plan_name", "surname_length"]))


def test_sensitive_columns_are_known() -> None:
    sensitive = (
        "Gender,sex,Customer_Age,Age Group,nationality,SeniorCitizen,Marital_Status,maritalstatus,"
        "date_of_birth,Ethnicity,religion,single,is_hispanic,spouse_age"
    )
    assert all(map(column_names.is_sensitive, sensitive.split(",")))
    others = (
        "usage account_age average Geography tenure Essex package agent manager white_label "
        "whitelist WhiteLabel black_friday_orders blacklisted foreign_currency native_app "
        "credit_union alternate_email trace embrace vintage "
        "renaissance alter_contract white_wine union_pay UnionPay single_line"
    )
    assert not list(filter(column_names.is_sensitive, others.split()))


@pytest.mark.parametrize(
    "names",
    [
        "black hisp white asian nonwhite non_white race_white foreign_born ForeignWorker",
        "native_language mother_tongue catholic union union_member veteran skin_color",
        "female male woman isFemale criminal_record maternity_leave widowed divorced illness",
        "sexe sexo genero Género edad alter_jahre Âge Nationalité Familienstand estado_civil",
        "date_de_naissance DateNaissance datedenaissance naissance annee_naissance",
    ],
)
def test_columns_on_origin_belief_family_and_health_are_sensitive(names: str) -> None:
    assert [name for name in names.split() if not column_names.is_sensitive(name)] == []


def test_what_a_client_is_worth_is_told_best_by_a_value_then_revenue_then_charges() -> None:
    ordered = ["CLTV", "Monthly Revenue", "MonthlyCharges", "TotalCharges", "Balance"]
    ranks = [column_names.worth_rank(name) for name in ordered]
    known = [rank for rank in ranks if rank is not None]
    assert ranks == sorted(known)
    others = [
        "OrderAmountHikeFromlastYear",
        "CashbackAmount",
        "PaymentMethod",
        "EstimatedSalary",
        "charge_rate",
        "number_of_employees",
        "Total_Amt_Chng_Q4_Q1",
    ]
    assert {column_names.worth_rank(name) for name in others} == {None}


@pytest.mark.parametrize(
    ("name", "target", "carried"),
    [
        ("Churn_reason", "churned", True),
        ("ChurnScore", "Churn Value", True),
        ("NB_Classifier_Attrition_Flag_1", "Attrition_Flag", True),
        ("exit interview", "Exited", True),
        ("marital_status", "status", False),
        ("activity", "act", False),
        ("unchurned", "churn", False),
        ("last_y", "y", False),
    ],
)
def test_a_name_carries_that_of_the_outcome_word_by_word(
    name: str, target: str, carried: bool
) -> None:
    assert column_names.carries(name, target) == carried
