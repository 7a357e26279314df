"""config.json: five folders are enough; a mistake names its key, finding and expectation."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from attrition.core.config import FOLDER_KEYS
from attrition.core.config_parsing import load_config
from attrition.core.errors import ConfigError
from attrition.core.labels import value_key
from tests.conftest import FOLDERS, REPOSITORY, Project


def test_the_five_folders_alone_are_a_complete_file(project: Project) -> None:
    project.config_path.write_text(json.dumps(FOLDERS))
    config = load_config(project.config_path)
    assert config.id_column == "corporation"
    assert config.stored_columns == (
        "corporation",
        "lastmonth_activity",
        "lastyear_activity",
        "number_of_employees",
        "exited",
    )
    assert (config.drift_threshold, config.model_score_threshold) == (0.05, 0.60)
    assert (config.data_drift_threshold, config.promotion_confidence) == (0.05, 0.90)


def test_paths_are_relative_to_the_file_not_to_the_current_folder(
    project: Project, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(project.root)
    config = load_config(Path("config.json"))
    monkeypatch.chdir(elsewhere)
    assert config.input_folder_path == project.root / "sourcedata"
    assert config.final_data == project.root / "ingesteddata" / "finaldata.csv"


def test_without_a_path_the_file_beside_the_scripts_is_read(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    assert load_config().source == REPOSITORY / "config.json"


PROFIT: dict[str, Any] = {"value_column": "v", "success_rate": 0.3}
COSTS: dict[str, Any] = {**PROFIT, "contact_cost": 5}


@pytest.mark.parametrize(
    ("settings", "key", "expected", "found"),
    [
        (
            {"drift_treshold": 0.1},
            "drift_treshold",
            "unknown key",
            "; did you mean 'drift_threshold'?",
        ),
        ({"Webhook-Alert": 1, "x": 2}, "Webhook-Alert", "unknown key", "known keys: input_folder"),
        ({"alertWebhook": "x"}, "alertWebhook", "unknown key", "; did you mean 'alert_webhook'?"),
        (
            {"engine": {"spark": "local", "patience": 1, "memry": "4g"}},
            "engine",
            "not memry, pat",
            "(did you mean 'memory'?)",
        ),
        ({"drift_threshold": "0.1"}, "drift_threshold", "a fraction between 0 and 1", '"0.1"'),
        ({"drift_threshold": True}, "drift_threshold", "a fraction between 0 and 1", "true"),
        ({"promotion_confidence": 90}, "promotion_confidence", "a fraction between 0 and 1", "90"),
        ({"promotion_margin": -0.1}, "promotion_margin", "at least 0 and below 1", "-0.1"),
        ({"promotion_margin": 1}, "promotion_margin", "at least 0 and below 1", "1"),
        ({"test_share": 0.5}, "test_share", "at least 0 and below 0.5", "0.5"),
        ({"test_share": -0.1}, "test_share", "at least 0 and below 0.5", "-0.1"),
        ({"test_share": True}, "test_share", "at least 0 and below 0.5", "true"),
        ({"test_share": None}, "test_share", "at least 0 and below 0.5", "null"),
        ({"holdout_share": 0.9, "holdout_salt": "a"}, "holdout_share", "from 0", "0.9"),
        ({"holdout_share": True, "holdout_salt": "a"}, "holdout_share", "from 0", "true"),
        ({"actions_folder_path": ""}, "actions_folder_path", "path of a folder", '""'),
        ({"actions_folder_path": "models/a"}, "actions_folder_path", "of its own", "models/a"),
        ({"actions_folder_path": "sourcedata"}, "input_folder_path", "of its own", "same as"),
        ({"actions_folder_path": "config.json"}, "actions_folder_path", "a folder", "a file"),
        ({"holdout_share": 0.2}, "holdout_salt", "text of your own choice", "null"),
        ({"holdout_share": 0.2, "holdout_salt": " "}, "holdout_salt", "text or null", '" "'),
        ({"holdout_share": 0.2, "holdout_salt": "\ud800"}, "holdout_salt", "no half", "ud800"),
        ({"categorical_columns": ["a", "\udfff"]}, "categorical_columns", "no half", "udfff"),
        ({"holdout_salt": "a"}, "holdout_salt", "null, as holdout_share is 0", "a text"),
        (
            {"holdout_share": 0.5, "holdout_salt": "a", "id_column": None},
            "holdout_share",
            "0 where id_column is null",
            "0.5",
        ),
        ({"rest_days": 0}, "rest_days", "at least 1 or null", "0"),
        ({"rest_days": 36_526}, "rest_days", "at most 36,525", "36526"),
        ({"rest_days": 30, "id_column": None}, "rest_days", "null where id_column is null", "30"),
        ({"releases_to_keep": 0}, "releases_to_keep", "at least 1", "0"),
        ({"snapshot_column": "d"}, "outcome_days", "beside snapshot_column", "none"),
        ({"outcome_days": 30}, "snapshot_column", "beside outcome_days", "none"),
        ({"outcome_days": 0}, "outcome_days", "at least 1 or null", "0"),
        ({"outcome_days": 1.5}, "outcome_days", "a whole number", "1.5"),
        ({"snapshot_column": "d", "outcome_days": 36_526}, "outcome_days", "at most", "36526"),
        (
            {"snapshot_column": "exited", "outcome_days": 30},
            "snapshot_column",
            "a column of its own",
            "'exited' used again",
        ),
        (
            {"snapshot_column": "d", "outcome_days": 30, "engine": {"spark": "local[2]"}},
            "snapshot_column",
            "null where the engine is Spark",
            "'d'",
        ),
        ({"releases_to_keep": 2.5}, "releases_to_keep", "a whole number", "2.5"),
        ({"random_seed": 2**31}, "random_seed", "at most 2147483647", "2147483648"),
        ({"trust_this_machine": 1}, "trust_this_machine", "true or false", "1"),
        ({"package_check": "yes"}, "package_check", "true or false", '"yes"'),
        ({"numeric_columns": "a"}, "numeric_columns", "a list of names", '"a"'),
        ({"numeric_columns": ["a", 3]}, "numeric_columns", "a list of names", '["a", 3]'),
        ({"reports": ["doc"]}, "reports", 'a list of "html" and "pdf"', '["doc"]'),
        ({"reports": "html"}, "reports", 'a list of "html" and "pdf"', '"html"'),
        ({"trusted_hosts": "localhost"}, "trusted_hosts", "a list of names", '"localhost"'),
        ({"numeric_columns": []}, "numeric_columns", "at least one", "none"),
        ({"numeric_columns": ["a", "a"]}, "numeric_columns", "each column once", "a"),
        ({"categorical_columns": ["number_of_employees"]}, "categorical_columns", "once", "number"),
        ({"target_column": "corporation"}, "target_column", "a column of its own", "corporation"),
        ({"id_column": "number_of_employees"}, "id_column", "of its own or null", "number_of"),
        ({"id_column": 7}, "id_column", "text or null", "7"),
        ({"target_column": None}, "target_column", "text", "null"),
        ({"positive_label": "0.0"}, "positive_label", "two different labels", "'0.0'"),
        ({"high_risk_threshold": 1.5}, "high_risk_threshold", "between 0 and 1 or null", "1.5"),
        ({"medium_risk_threshold": 0.3}, "medium_risk_threshold", "null where", "0.3 and null"),
        (
            {"high_risk_threshold": 0.3, "medium_risk_threshold": 0.3},
            "medium_risk_threshold",
            "less than high_risk_threshold",
            "0.3 and 0.3",
        ),
        ({"clients_with_reasons": 0}, "clients_with_reasons", "at least 1", "0"),
        ({"promotion": "ask"}, "promotion", '"automatic" or "propose"', '"ask"'),
        ({"promotion": True}, "promotion", "text", "true"),
        ({"memory_limit": "lots"}, "memory_limit", '"3GB"', '"lots"'),
        (
            {"value_column": "c", "categorical_columns": ["c"]},
            "value_column",
            "a column of numbers",
            "'c'",
        ),
        ({"levers": ["revenue"]}, "levers", "columns of numeric_columns", "'revenue'"),
        ({"levers": "revenue"}, "levers", "a list of names", '"revenue"'),
        ({"monotone": ["revenue"]}, "monotone", 'for each column "increasing"', '["revenue"]'),
        ({"monotone": {"v": "rising"}}, "monotone", 'or "decreasing"', '{"v": "rising"}'),
        ({"monotone": {"v": ["increasing"]}}, "monotone", "an object", '{"v": ["increasing"]}'),
        ({"monotone": {"v": "increasing"}}, "monotone", "columns of numeric_columns", "'v'"),
        (
            {"categorical_columns": ["plan"], "monotone": {"plan": "increasing"}},
            "monotone",
            "these are lastmonth_activity, lastyear_activity",
            "'plan'",
        ),
        (
            {"monotone": {"lastmonth_activities": "increasing"}},
            "monotone",
            "did you mean 'lastmonth_activity'?",
            "'lastmonth_activities'",
        ),
        (
            {"segment_columns": ["corporation"]},
            "segment_columns",
            "columns of text such as a branch",
            "'corporation' used again as number, id",
        ),
        ({"segment_columns": ["a=b"]}, "segment_columns", "names without =", "'a=b'"),
        ({"segment_columns": ["A", "a"]}, "segment_columns", "differ by more than case", "A, a"),
        ({"input_folder_path": "actions"}, "actions_folder_path", "of its own", "the same as"),
        ({"contact_cost": -1, **PROFIT}, "contact_cost", "at least 0 or null", "-1"),
        ({"contact_cost": 10**400, **PROFIT}, "contact_cost", "at least 0 or null", "1000"),
        ({"contact_cost": True, **PROFIT}, "contact_cost", "at least 0 or null", "true"),
        ({"contact_cost": 5, "success_rate": 0.3}, "value_column", "beside contact_cost", "null"),
        ({"contact_cost": 5, "value_column": "v"}, "success_rate", "beside contact_cost", "null"),
        ({**COSTS, "offer_share": 1}, "offer_share", "at least 0 and below 1", "1"),
        ({**COSTS, "offer_cost": -2}, "offer_cost", "at least 0", "-2"),
        (
            {**COSTS, "offer_share": 0.1, "offer_cost": 20},
            "offer_cost",
            "0 where offer_share says what is offered",
            "20",
        ),
        ({**COSTS, "success_rate": 30}, "success_rate", "a range of two such as", "30"),
        ({**COSTS, "success_rate": 0}, "success_rate", "a fraction above 0", "0"),
        ({**COSTS, "success_rate": [0.3, 0.1]}, "success_rate", "a range of two", "[0.3, 0.1]"),
        ({**COSTS, "success_rate": [0.3]}, "success_rate", "a range of two", "[0.3]"),
        ({**COSTS, "success_rate": "guess"}, "success_rate", '"measured" or null', '"guess"'),
        (
            {**COSTS, "success_rate": "measured"},
            "success_rate",
            "a number or a range where holdout_share is 0",
            '"measured"',
        ),
        ({**COSTS, "calls_per_list": 0}, "calls_per_list", "at least 1 or null", "0"),
        ({"rank_by": "value"}, "rank_by", '"risk", "value at risk" or "profit"', '"value"'),
        ({"rank_by": "value at risk"}, "value_column", 'as rank_by is "value at risk"', "null"),
        ({"rank_by": "profit", "value_column": "v"}, "contact_cost", "beside rank_by", "null"),
        ({"offer_share": 0.1}, "contact_cost", "a number beside offer_share", "null"),
        ({"success_rate": 0.1}, "contact_cost", "a number beside success_rate", "null"),
        (
            {"high_risk_threshold": "profit", "value_column": "v"},
            "contact_cost",
            "a number beside high_risk_threshold",
            "null",
        ),
        (
            {**COSTS, "high_risk_threshold": "profit", "medium_risk_threshold": 0.1},
            "medium_risk_threshold",
            'null where that is null or "profit"',
            '0.1 and "profit"',
        ),
        ({"alert_webhook": "ftp://a/b"}, "alert_webhook", "an http or https address", '"ftp'),
        ({"alert_webhook": "https://"}, "alert_webhook", "an http or https address", '"https'),
        ({"alert_webhook": "https:///x"}, "alert_webhook", "an http or https address", '"https'),
        ({"alert_webhook": "http://a/b c"}, "alert_webhook", "an http or https address", '"http'),
        ({"alert_webhook": "http://a\n"}, "alert_webhook", "an http or https address", '"http'),
        (
            {"alert_webhook": "https://u:secret@h/x"},
            "alert_webhook",
            "without user",
            '"https://..."',
        ),
        ({"alert_webhook": 7}, "alert_webhook", "text or null", "7"),
        ({"alert_command": "mail me"}, "alert_command", "a list of words, or null", '"mail me"'),
        ({"alert_command": []}, "alert_command", "a list of words, or null", "[]"),
        ({"alert_command": [" ", "x"]}, "alert_command", "a list of words", '[" ", "x"]'),
        ({"alert_command": ["mail", 7]}, "alert_command", "a list of words", '["mail", 7]'),
        ({"alert_command": ["a", "\0"]}, "alert_command", "a list of words", '["a"'),
        ({"input_folder_path": 3}, "input_folder_path", "the path of a folder", "3"),
        ({"output_folder_path": "sourcedata"}, "output_folder_path", "of its own", "the same as"),
        ({"models": 1}, "models", "unknown key", "known keys"),
        ({"test_data_path": "sourcedata/t"}, "test_data_path", "of its own", "inside input_folder"),
        ({"input_folder_path": "nowhere"}, "input_folder_path", "an existing folder", "nothing at"),
    ],
)
def test_a_mistake_names_the_key_the_finding_and_the_expectation(
    project: Project, settings: dict[str, Any], key: str, expected: str, found: str
) -> None:
    project.configure(**settings)
    with pytest.raises(ConfigError) as caught:
        load_config(project.config_path)
    message = str(caught.value)
    assert str(project.config_path) in message
    assert key in message
    assert expected in message
    assert found in message
    assert "\n" not in message
    assert "secret" not in message


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("sourcdata", "; did you mean 'sourcedata'?"),
        ("arrivals", "; create it with: mkdir -p '{}/arrivals'"),
        ("model", "; create it with: mkdir -p '{}/model'"),  # `models` has its own use
        ("no/where", "; create it with: mkdir -p '{}/no/where'"),
    ],
)
def test_a_missing_folder_is_to_be_made_but_for_one_that_is_misspelt(
    project: Project, name: str, advice: str
) -> None:
    project.configure(input_folder_path=name)
    with pytest.raises(ConfigError) as caught:
        load_config(project.config_path)
    assert str(caught.value).endswith(advice.format(project.config_path.parent))


@pytest.mark.parametrize("key", FOLDER_KEYS)
def test_a_missing_folder_key_is_named(project: Project, key: str) -> None:
    project.config_path.write_text(json.dumps({k: v for k, v in FOLDERS.items() if k != key}))
    with pytest.raises(ConfigError, match=f"{key}: missing"):
        load_config(project.config_path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"{", "not valid JSON"),
        (b"[]", "expected a JSON object, found \\[\\]"),
        (b"\xff\xfe{}", "cannot be read as UTF-8"),
        (b'{"input_folder_path": "a", "input_folder_path": "b"}', "occurs twice"),
        (b"[" * 100_000, "not valid JSON"),
    ],
)
def test_a_file_that_is_no_json_object_is_refused(
    project: Project, content: bytes, message: str
) -> None:
    project.config_path.write_bytes(content)
    with pytest.raises(ConfigError, match=message):
        load_config(project.config_path)


def test_a_missing_file_says_how_to_name_one(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="--config"):
        load_config(tmp_path / "none.json")


def test_a_byte_order_mark_is_accepted(project: Project) -> None:
    text = project.config_path.read_text()
    project.config_path.write_text(text, encoding="utf-8-sig")
    assert load_config(project.config_path).id_column == "corporation"


def test_risk_thresholds_are_null_or_fractions_the_high_one_above_the_medium_one(
    project: Project,
) -> None:
    project.configure(high_risk_threshold=None, medium_risk_threshold=None)
    assert project.config.high_risk_threshold is None
    project.configure(high_risk_threshold=0.6, medium_risk_threshold=0.3)
    config = project.config
    assert (config.high_risk_threshold, config.medium_risk_threshold) == (0.6, 0.3)


def test_a_success_rate_is_a_number_a_range_or_what_is_measured(project: Project) -> None:
    project.configure(**COSTS, high_risk_threshold="profit", rank_by="profit", calls_per_list=80)
    config = project.config
    assert (config.success_rate, config.calls_per_list) == (0.3, 80)
    assert (config.high_risk_threshold, config.rank_by) == ("profit", "profit")
    project.configure(**{**COSTS, "success_rate": [0.1, 0.3], "offer_cost": 20, "contact_cost": 0})
    assert project.config.success_rate == (0.1, 0.3)
    measured = {"success_rate": "measured", "holdout_share": 0.2, "holdout_salt": "spring"}
    project.configure(**{**COSTS, **measured})
    config = project.config
    assert config.success_rate == "measured"


@pytest.mark.parametrize(
    "url", [None, "https://hooks.example.com/a?b=c", "http://[::1]:80/", "http://h:1"]
)
def test_alerts_go_to_a_web_address_and_a_command(project: Project, url: str | None) -> None:
    project.configure(alert_webhook=url, alert_command=["mail", "-s", "", "me@example.com"])
    assert project.config.alert_webhook == url
    assert project.config.alert_command == ("mail", "-s", "", "me@example.com")
    project.configure(alert_command=None)
    assert project.config.alert_command is None


def test_labels_given_as_numbers_are_accepted(project: Project) -> None:
    project.configure(positive_label=2, negative_label=1)
    config = project.config
    assert (config.positive_label, config.negative_label) == ("2", "1")


def test_labels_compare_as_numbers_where_both_are_numbers_else_as_trimmed_text() -> None:
    assert value_key("1") == value_key(" 1.0 ") == value_key("1e0")
    assert value_key("-0") == value_key("0")
    assert value_key(" Yes ") == "Yes"
    assert value_key("yes") != value_key("Yes")


def test_the_value_column_is_stored_once_even_if_it_is_a_feature(project: Project) -> None:
    project.configure(value_column="lastyear_activity")
    assert project.config.stored_columns.count("lastyear_activity") == 1
    project.configure(value_column="revenue")
    assert project.config.stored_columns[-2:] == ("revenue", "exited")
    assert project.config.numeric_stored_columns[-1] == "revenue"


def test_a_segment_column_is_stored_and_is_no_feature(project: Project) -> None:
    digest = project.config.schema_digest
    project.configure(segment_columns=["branch"])
    config = project.config
    assert config.stored_columns[-2:] == ("branch", "exited")
    assert "branch" not in (*config.feature_columns, *config.numeric_stored_columns)
    assert config.schema_digest != digest
    project.configure(segment_columns=["region"], categorical_columns=["region"])
    assert project.config.stored_columns.count("region") == 1


def test_another_meaning_of_the_rows_gives_another_schema_digest(project: Project) -> None:
    digest = project.config.schema_digest
    project.configure(drift_threshold=0.2)
    assert project.config.schema_digest == digest
    project.configure(positive_label="0", negative_label="1")
    assert project.config.schema_digest != digest


@pytest.mark.slow
def test_a_slip_of_the_pen_is_answered_with_the_key_that_was_meant_and_no_list(
    project: Project,
) -> None:
    project.configure(numeric_colums=["x"])
    result = project.run("ingestion.py", check=False)
    assert result.returncode == 2
    assert result.stderr == (
        f"error: {project.config_path}: unknown key 'numeric_colums'; "
        f"did you mean 'numeric_columns'?\n"
    )


@pytest.mark.slow
def test_a_settings_mistake_exits_with_2_and_one_line(project: Project) -> None:
    project.configure(drift_threshold=5)
    result = project.run("scoring.py", check=False)
    assert result.returncode == 2
    assert result.stdout == ""
    assert len(result.stderr.splitlines()) == 1
    assert "Traceback" not in result.stderr


def test_a_folder_in_place_of_the_settings_file_is_answered_with_the_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"a folder; name the settings file in it: --config "):
        load_config(tmp_path)


def test_a_date_of_the_rows_and_its_days_belong_together(project: Project) -> None:
    digest = project.config.schema_digest
    project.configure(snapshot_column="month", outcome_days=90)
    config = project.config
    assert config.stored_columns[-2:] == ("month", "exited")
    assert "month" not in config.feature_columns
    later = config.schema_digest
    project.configure(snapshot_column="month", outcome_days=91)
    assert len({digest, later, project.config.schema_digest}) == 3
    project.configure(snapshot_column=None, outcome_days=None)
    assert project.config.schema_digest == digest
