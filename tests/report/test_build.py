"""The report: the page and the document tell the truth, in order, to everybody, whatever comes."""

from __future__ import annotations

import csv
import itertools
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from attrition.core import atomic_files, formatting
from attrition.data.synthetic import client_rows, csv_text
from attrition.model.uncertainty import Z95
from attrition.runs import history
from tests.conftest import FORMS, HEADER, Project, book, new_project
from tests.support.pages import Element, document, document_text, page, tables
from tests.support.releases import deploy, labelled_rows, quiet_month_card

pytestmark = pytest.mark.slow

DASH, MINUS = "\N{EN DASH}", "\N{MINUS SIGN}"
HOSTILE = [
    "<script>alert(1)</script>",
    "=cmd()",
    "#set page(width: 1cm)",
    "$x^2$ #panic()",
    "abc\u202edef",
    "two\nlines",
    "n" * 10_000,
    "{{7*7}} {% include 'x' %}",
    "</style><img src=x onerror=alert(1)>",
    "中文 العربية 😀 \u0007",
]


def html(project: Project) -> Element:
    return page(project.root / "models/report.html")


def first_ten(project: Project) -> list[dict[str, str]]:
    with project.config.client_risk.open(encoding="utf-8-sig", newline="") as stream:
        return list(csv.DictReader(stream))[:10]


@pytest.fixture(scope="session")
def second_run(finished: Path, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """The finished project after a second run in which the world has changed."""
    root = tmp_path_factory.mktemp("drifted") / "project"
    shutil.copytree(finished, root, symlinks=True)
    project = Project(root, FORMS)
    project.configure()
    rows = client_rows(2000, seed=9, drift=1.0, first_client=90_000)
    project.write("sourcedata/may.csv", csv_text(rows) + "Broken,abc,1,1,1\n")
    project.run("fullprocess.py")
    return project


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """An empty project that tells all it knows."""
    return new_project(tmp_path / "project", FORMS)


@pytest.fixture
def finished_copy(finished_copy: Project) -> Project:
    """A copy of the finished project, which tells from now on."""
    project = Project(finished_copy.root, FORMS)
    project.configure()
    return project


# --- form -------------------------------------------------------------------------------------


def test_the_page_is_accessible(second_run: Project) -> None:
    root = html(second_run)
    assert root.all("html")[0].attributes["lang"] == "en"
    levels = [int(one.tag[1]) for one in root.all("h1", "h2", "h3", "h4")]
    assert levels.count(1) == 1
    assert levels[0] == 1
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels))
    assert [len(root.all(tag)) for tag in ("main", "header", "footer")] == [1, 1, 1]
    ids = [one.attributes["id"] for one in root.all() if "id" in one.attributes]
    assert len(ids) == len(set(ids))
    skip = next(one for one in root.all("a") if one.attributes["class"] == "skip")
    assert skip.attributes["href"][1:] in ids
    for one in root.all():
        for label in one.attributes.get("aria-labelledby", "").split():
            assert label in ids
    pictures = root.all("svg")
    assert len(pictures) >= 8
    for picture in pictures:
        assert picture.attributes["role"] == "img"
        assert len(picture.all("desc")[0].text) > 40
    for table in root.all("table"):
        assert table.all("caption")[0].text
        assert all(cell.attributes.get("scope") in ("col", "row") for cell in table.all("th"))
        widths = {len(row.all("th", "td")) for row in table.all("tr")}
        assert len(widths) == 1


def test_the_page_needs_no_network_and_runs_nothing(second_run: Project) -> None:
    path = second_run.root / "models/report.html"
    assert path.stat().st_size < 2_000_000
    root = page(path)
    assert not root.all("script", "link", "img", "iframe", "object", "base", "form")
    policy = next(one for one in root.all("meta") if one.attributes.get("http-equiv"))
    assert policy.attributes["content"].startswith("default-src 'none'; style-src 'unsafe-inline'")
    for one in root.all():
        assert not any(name.startswith("on") for name in one.attributes)
        for name in ("href", "xlink:href", "src"):
            assert one.attributes.get(name, "#").startswith("#")
    style = root.all("style")[0].text
    assert "url(" not in style
    assert "@import" not in style
    for needed in ("prefers-color-scheme: dark", "@media print", "@page"):
        assert needed in style


def test_the_chapters_come_in_the_order_of_their_readers(second_run: Project) -> None:
    titles = ["Whom to call", "What changed"]
    titles += ["How it was decided", "The model", "Data and engineering"]
    assert [one.text for one in html(second_run).all("h2")] == titles
    text = document_text(second_run.root / "models/report.pdf")
    places = [text.index(title) for title in titles]
    assert places == sorted(places)


def test_the_document_is_tagged_dated_and_short(second_run: Project) -> None:
    reader = document(second_run.root / "models/report.pdf")
    assert 3 <= len(reader.pages) <= 8
    assert {tuple(round(x) for x in one.mediabox[2:]) for one in reader.pages} == {(595, 842)}
    record = atomic_files.read_json(second_run.config.decision)
    assert reader.metadata is not None
    assert html(second_run).all("h1")[0].text in str(reader.metadata.title)
    assert reader.metadata.creation_date is not None
    assert reader.metadata.creation_date.isoformat()[:19] == record["time"][:19]
    catalog: Any = reader.trailer["/Root"]
    assert catalog["/Lang"] == "en"
    assert catalog["/MarkInfo"]["/Marked"]
    assert "/StructTreeRoot" in catalog
    assert b"pdfuaid:part" in catalog["/Metadata"].get_object().get_data()
    pages: Any = reader.pages
    fonts = {
        str(font.get_object()["/BaseFont"])
        for one in pages
        for font in one["/Resources"].get("/Font", {}).values()
    }
    assert all("Libertinus" in font or "DejaVu" in font for font in fonts), fonts


def test_told_again_the_report_is_the_same_to_the_byte(finished_copy: Project) -> None:
    paths = [finished_copy.root / "models" / name for name in ("report.html", "report.pdf")]
    finished_copy.run("reporting.py")
    first = [path.read_bytes() for path in paths]
    finished_copy.run("reporting.py")
    assert [path.read_bytes() for path in paths] == first


# --- profit -----------------------------------------------------------------------------------


def test_with_costs_the_report_says_what_calls_are_worth_and_draws_it(
    finished_copy: Project,
) -> None:
    costs = {"value_column": "lastyear_activity", "contact_cost": 5, "success_rate": [0.1, 0.4]}
    finished_copy.configure(**costs, calls_per_list=20, rank_by="profit")
    finished_copy.run("reporting.py")
    with finished_copy.config.client_risk.open(encoding="utf-8-sig", newline="") as stream:
        profits = [float(row["profit"]) for row in csv.DictReader(stream) if row["profit"]]
    assert profits == sorted(profits, reverse=True)
    earned = formatting.amount(round(sum(profits[:20])))
    root = html(finished_copy)
    text = " ".join(root.text.split())
    assert f"The 20 calls that pay best are expected to earn {earned} (90%: " in text
    assert text.index(f"expected to earn {earned}") < text.index("Whom to call")
    assert "20 calls can be made" in text
    (table, *_) = [one for one in root.all("table") if one.attributes.get("class") == "calls"]
    assert [cell.text for cell in table.all("tr")[0].all("th")][-2:] == ["Value at risk", "Profit"]
    assert "contact cost" in text
    shown = " ".join(document_text(finished_copy.config.report_pdf).split())
    assert f"expected to earn {earned}" in shown


def test_a_report_by_risk_says_where_the_teams_calls_end(finished_copy: Project) -> None:
    finished_copy.configure(calls_per_list=2, reports=["html"])
    finished_copy.run("reporting.py")
    second = first_ten(finished_copy)[1]
    text = " ".join(html(finished_copy).text.split())
    assert f"2 calls end at rank 2, at a risk of {float(second['probability']):.1%}." in text
    assert "Call these two first." in text


# --- truth ------------------------------------------------------------------------------------


def test_the_ten_clients_are_those_of_the_list(second_run: Project) -> None:
    listed = first_ten(second_run)
    shown = tables(html(second_run))["The clients most likely to leave"][1:]
    text = document_text(second_run.root / "models/report.pdf")
    assert len(listed) == len(shown) == 10
    for row, cells in zip(listed, shown, strict=True):
        assert cells[0] == row["rank"]
        assert cells[1] == row["client"]
        assert cells[2] == f"{float(row['probability']):.1%} {row['tier']}"
        reasons = [row[f"reason_{k}"] for k in (1, 2, 3) if row[f"reason_{k}"]]
        assert cells[3] == " ".join(reasons)
        if row["rank_change"] == "new":
            assert cells[4] == "new"
        else:
            climbed, moved = int(row["rank_change"]), 100 * float(row["probability_change"])
            step = f"{'up' if climbed > 0 else 'down'} {abs(climbed)}" if climbed else "same place"
            moved_text = f"{moved:+.1f} pts".replace("-", MINUS)
            if f"{abs(moved):.1f}" == "0.0":
                moved_text = "as before"
            assert cells[4] == f"{step}, risk {moved_text}"
        assert row["client"] in text
    counts = atomic_files.read_json(second_run.config.decision)["ranking"]
    headline = html(second_run).all("h1")[0].text
    now, before = counts["thresholds"]["high"], counts["earlier_line"]["least"]
    assert headline == (
        f"{counts['high']:,} of {counts['clients']:,} open clients are at high risk of leaving, "
        f"which now begins at {now:.0%} (before: {before:.0%}). Call these ten first."
    )
    assert f"High risk now begins at {now:.0%}, set by the model; on the list of" in text
    assert "not always the one a call will keep" in text
    assert "random part of the clients" in html(second_run).text


def number(value: float | None, form: str = ".3f") -> str:
    if value is None:
        return DASH
    text = f"{value:{form}}"
    return text.lstrip("+-") if float(text) == 0 else text.replace("-", MINUS)


def between(interval: list[float]) -> str:
    return f"{interval[0]:.3f} to {interval[1]:.3f}"


def test_the_numbers_of_the_changes_are_those_of_the_record(second_run: Project) -> None:
    record, root = atomic_files.read_json(second_run.config.decision), html(second_run)
    shown = tables(root)
    assert root.text.count(record["reason"]) == 1
    for sample, found in record["drift"]["performance"].items():
        assert root.text.count(found["reason"][1:]) == 1, sample
    evidence = shown["The deployed model against the candidate, on the same rows"][1:]
    for position, cells in enumerate(evidence):
        part = record["evidence"][("test", "unseen", "pooled")[position // 2]]
        measure, difference = (("log_loss", "gain"), ("f1", "difference"))[position % 2]
        assert cells[1:5] == [
            f"{part['rows']:,}",
            measure.replace("f1", "F1").replace("_", " "),
            number(part[f"champion_{measure}"]),
            number(part[f"challenger_{measure}"]),
        ]
        half = Z95 * part["gain_error"]
        of_loss = [part["gain"] - half, part["gain"] + half]
        ends = part["difference_interval"] if position % 2 else of_loss
        assert cells[5] == (
            f"{number(part[difference], '+.3f')} ({number(ends[0], '+.3f')} to "
            f"{number(ends[1], '+.3f')})"
        )
    assert len(evidence) == 6


def test_the_numbers_of_the_performance_are_those_of_the_record(second_run: Project) -> None:
    record = atomic_files.read_json(second_run.config.decision)
    shown = tables(html(second_run))
    table = shown["The model that was deployed when the run began, against its own deployment"]
    performance = {cells[0]: cells[1:] for cells in table[1:]}
    believed = {
        cells[0]: cells[1:]
        for cells in shown["How it ranks, and whether its probabilities can be believed"][1:]
    }
    for sample, found in record["drift"]["performance"].items():
        score, measures = record["scores"][sample], record["drift"]["measures"][sample]
        expected = record["drift"]["expected_scores"][sample]
        assert performance[sample] == [
            f"{found['at_deployment']:.3f} ({between(found['interval_at_deployment'])})",
            f"{found['now']:.3f} ({between(score['f1_interval'])})",
            found["verdict"],
            number(None if expected["disbelieved"] else expected["f1"]),
        ]
        rows = {"new rows": "in cross-validation"}.get(sample, "on the test data")
        assert f"at deployment {found['at_deployment']:.3f} {rows} (" in found["reason"]
        auc, gap = measures["roc_auc"], measures["calibration_gap"]
        assert believed[sample] == [
            f"{auc['at_deployment']:.3f} ({between(auc['interval_at_deployment'])})",
            f"{auc['now']:.3f} ({between(score['roc_auc_interval'])})",
            f"{number(100 * gap['at_deployment'], '+.1f')} ± "
            f"{195.9964 * gap['error_at_deployment']:.1f}",
            f"{number(100 * gap['now'], '+.1f')} ± {195.9964 * gap['standard_error']:.1f}",
        ]
    # Then is what the release that was live when the run began says of itself.
    before = second_run.config.prod_deployment_path / "releases" / record["release_before"]
    scored = atomic_files.read_json(before / "scores.json")
    assert (
        record["drift"]["performance"]["test data"]["interval_at_deployment"]
        == (scored["f1_interval"])
    )
    assert record["drift"]["expected_scores"]["open clients"]["disbelieved"]
    assert "open clients" not in performance, "there is nothing to say of them but an estimate"


def test_the_numbers_of_the_drift_are_those_of_the_record(second_run: Project) -> None:
    record = atomic_files.read_json(second_run.config.decision)
    shown = tables(html(second_run))
    data, impact = (record["drift"][key]["new rows"] for key in ("data", "impact"))
    assert data["verdict"] == "drift"
    columns = {cells[0]: cells[1:] for cells in shown["Drift by column in the new rows"][1:]}
    changes = {term["term"]: term["change"] for term in impact["terms"]}
    drifted = [one for one in data["columns"] if one["verdict"] == "drift"]
    assert 0 < len(drifted) < len(data["columns"])
    assert len(columns) == len(drifted) + 1, "the predictions, and no column that has not drifted"
    for one in drifted:
        cells = columns[one["column"]]
        assert cells[:3] == [one["verdict"], one["change"], number(one["psi"], ".2f")]
        assert cells[-2] == number(one["wasserstein"], ".2f")
        assert cells[-1] == number(changes[one["column"]], "+.2f")


def test_the_numbers_of_the_model_and_the_data_are_their_sources(second_run: Project) -> None:
    live = second_run.root / "production_deployment/current"
    scores, training = (
        atomic_files.read_json(live / f"{name}.json") for name in ("scores", "training")
    )
    shown, record = tables(html(second_run)), atomic_files.read_json(second_run.config.decision)
    metrics = {cells[0]: cells[1:] for cells in shown["The model's score when it was made"][1:]}
    crossed = training["cross_validated"]
    for name, key in (
        ("Brier score", "brier_score"),
        ("Log loss, nats per client", "log_loss"),
        ("Recall: leavers who are found", "recall"),
        ("Share who left", "base_rate"),
    ):
        assert metrics[name] == [number(scores[key]), number(crossed[key])]
    low, high = scores["f1_interval"]
    assert metrics["F1 (95% interval)"][0] == f"{scores['f1']:.3f} ({low:.3f} to {high:.3f})"
    low, high = scores["roc_auc_interval"]
    auc = f"{scores['roc_auc']:.3f} ({low:.3f} to {high:.3f})"
    assert metrics["AUC: a leaver stands above one who stays"][0] == auc
    diagnosed = atomic_files.read_json(second_run.config.diagnostics)
    batches = shown["How many left, by batch"][1:]
    for cells, batch in zip(batches, reversed(diagnosed["batches"]), strict=True):
        assert cells[1:] == [f"{batch['rows']:,}", f"{batch['base_rate']:.1%}"]
    missing = {
        cells[0]: cells[1:]
        for cells in shown["Missing values, in percent of the rows; the largest change first"][1:]
    }
    for column, shares in diagnosed["missing_data_changes"].items():
        assert missing[column][2] == f"{shares['newest_batch']:.1f}%"
        assert missing[column][3] == number(shares["change"], "+.1f") + " pts"
    troubled = shown["Files that could not, or not wholly, be read; the newest first"][1:]
    assert [(cells[0], cells[3]) for cells in troubled] == [("may.csv", "1")]
    stages = {cells[0]: cells[1] for cells in shown["How long each stage took"][1:]}
    assert stages["ingestion"] == f"{record['timings']['ingestion']:.2f} s"
    settings = {cells[0]: cells[1] for cells in shown["Settings that decide"][1:]}
    assert settings["random seed"] == str(second_run.config.random_seed)
    facts = html(second_run).text
    for text in (
        f"Trained on {training['rows']:,}",
        f"Labelled rows {diagnosed['rows']:,}",
        f"Threshold {training['threshold']:.2f}",
        "In quarantine 1",
    ):
        assert text in facts
    runs = [run["verdict"] for run in history.runs(second_run.config.history)]
    assert [cells[1] for cells in shown["Runs that were not idle, newest first"][1:]] == runs


def test_when_outcomes_come_the_report_says_whether_the_list_helped(
    finished_copy: Project,
) -> None:
    project = finished_copy
    clients = [row["client"] for row in first_ten(project)]
    rows = [f'"{name}",1,2,{place},{int(place < 7)}' for place, name in enumerate(clients)]
    project.write("sourcedata/outcomes.csv", "\n".join([HEADER, *rows, ""]))
    project.run("fullprocess.py")
    shown = tables(html(project))["What became of the clients on earlier lists"]
    assert shown[0][2] == "Left, first 10"
    assert shown[1][2] == "70% (7 of 10)"
    assert "7 of 10 known outcomes are leavers (70%)" in html(project).text


# --- whatever comes ---------------------------------------------------------------------------


def test_hostile_names_of_clients_and_columns_are_texts(project: Project) -> None:
    columns = ["lastmonth_activity", *HOSTILE[:5], *HOSTILE[7:9]]
    project.configure(numeric_columns=columns)
    rng = np.random.default_rng(5)
    for name, label in (("sourcedata/hostile.csv", None), ("testdata/test.csv", 1)):
        with (project.root / name).open("w", encoding="utf-8", newline="") as stream:
            writer = csv.writer(stream)
            writer.writerow(["corporation", *columns, "exited"])
            for row in range(400):
                busy = int(rng.integers(0, 100))
                left = int(busy + rng.normal(0, 20) < 30)
                is_open = label is None and row < len(HOSTILE)
                client = HOSTILE[row] if is_open else f"client {row} {label}"
                writer.writerow(
                    [client, busy, *rng.integers(0, 9, len(columns) - 1), "" if is_open else left]
                )
    project.run("fullprocess.py")
    root = html(project)
    assert not root.all("script", "img")
    assert len(root.all("style")) == 1
    shown = [cells[1] for cells in tables(root)["The clients most likely to leave"][1:]]
    assert len(shown) == len(HOSTILE)
    assert {"=cmd()", "<script>alert(1)</script>", "{{7*7}} {% include 'x' %}"} <= set(shown)
    assert max(map(len, shown)) == 80
    assert not re.search("[\u202a-\u202e\u2066-\u2069\x00-\x08]", root.text)
    assert (project.root / "models/report.html").stat().st_size < 2_000_000
    reader = document(project.root / "models/report.pdf")
    assert {round(one.mediabox[2]) for one in reader.pages} == {595}
    text = document_text(project.root / "models/report.pdf")
    for name in ("<script>alert(1)</script>", "#set page(width: 1cm)", "{{7*7}}", "=cmd()"):
        assert name in text


def report(project: Project, *, code: int = 0) -> str:
    """What the report says after `reporting.py`, as one text; both forms are there."""
    result = project.run("reporting.py", check=False)
    assert result.returncode == code, result.stderr
    assert "Traceback" not in result.stderr
    assert len(document(project.root / "models/report.pdf").pages) >= 1
    return html(project).text


def test_without_any_model_the_report_is_calm(project: Project) -> None:
    text = report(project, code=1)
    assert "There is no list of clients yet: no model is deployed." in text
    assert "No run is recorded yet." in text


def test_a_candidate_is_shown_as_one(project: Project) -> None:
    project.write("testdata/testdata.csv", labelled_rows(stayed=(10, 60), left=(22, 8)))
    atomic_files.write_json(project.root / "models/scorecard.json", quiet_month_card().to_json())
    text = report(project)
    assert "candidate, not deployed" in text
    assert "no model is deployed" in text


@pytest.mark.parametrize("damage", ["history", "decision", "diagnostics"])
def test_damaged_records_are_done_without(finished_copy: Project, damage: str) -> None:
    path = getattr(finished_copy.config, damage)
    path.write_bytes(b"\x00 not this " * 100)
    text = report(finished_copy)
    assert "Call these ten first." in text
    if damage == "decision":
        assert "No run is recorded yet." in text
        path.write_text('{"verdict": 7}')
        assert "No run is recorded yet." in report(finished_copy)


@pytest.mark.slow
def test_where_the_live_model_is_weak_is_said_where_there_is_something_to_say(
    finished_copy: Project,
) -> None:
    record = atomic_files.read_json(finished_copy.config.decision)
    assert record["segments"]["weak"] == []
    assert record["segments"]["looked_at"] > 0
    weak = {
        "conditions": ["lastmonth_activity from 0 to 7", "number_of_employees missing"],
        "rows": 1350,
        "log_loss": 0.79,
        "difference": 0.42,
        "interval": [0.29, 0.56],
        "adjusted_p": 0.001,
        "left": 0.32,
        "left_interval": [0.29, 0.34],
        "predicted": 0.17,
        "expected_left": 0.2,
    }
    record["segments"]["weak"] = [weak]
    atomic_files.write_json(finished_copy.config.decision, record)
    text = report(finished_copy)
    assert "For some clients it is clearly worse than for the rest" in text
    shown = tables(html(finished_copy))["Where the model is weak"]
    assert shown[1] == [
        "lastmonth_activity from 0 to 7 and number_of_employees missing",
        "1,350",
        "0.79",
        "+0.42 (0.29 to 0.56)",
        "32% (29% to 34%)",
        "17%",
    ]
    record["release_after"] = "000009-other"
    atomic_files.write_json(finished_copy.config.decision, record)
    assert "Where the model is weak" not in report(finished_copy)


@pytest.mark.slow
def test_test_data_of_one_class_leave_the_rest_standing(finished_copy: Project) -> None:
    rows = book(300, 3, open_share=0.0).splitlines()
    kept = [row for row in rows if not row.endswith(",1")]
    finished_copy.write("testdata/testdata.csv", "\n".join([*kept, ""]))
    text = report(finished_copy, code=1)
    assert "Call these ten first." in text
    assert "ROC" in text


def test_a_model_whose_records_are_empty_is_told_calmly(project: Project) -> None:
    project.write("testdata/testdata.csv", labelled_rows(stayed=(10, 60), left=(22, 8)))
    deploy(project)
    assert "The columns that count most" in report(project)


def test_where_the_test_data_cannot_tell_the_report_gives_the_cross_validated_score(
    project: Project,
) -> None:
    project.write("testdata/testdata.csv", labelled_rows(stayed=(10, 60), left=(22, 8)))
    known = {"f1": 0.732, "f1_interval": [0.7, 0.76], "rows": 942, "recall": 0.7, "precision": 0.8}
    blind: dict[str, Any] = {"f1": None, "undefined": "too few labelled rows: 0"}
    deploy(project, cross_validated=known, **blind)
    text = report(project)
    assert (
        "The ranking is reliable: from a risk of 50% on, the model finds 7 of 10 clients who "
        "leave, and 8 of 10 of its alarms are right, in cross-validation." in " ".join(text.split())
    )
    scores = tables(html(project))["The model's score when it was made"]
    assert scores[1][0::2] == ["F1 (95% interval)", "0.732 (0.700 to 0.760)"]
    assert "obody knows" not in text
    deploy(project, intercept=1.0, **blind)
    nobody = "Nobody knows yet how far this ranking can be relied on: too few labelled rows: 0"
    assert nobody in " ".join(report(project).split())


Change = Callable[[list[str], int], list[str]]


OF_A_KIND = {
    "numeric_columns": ["lastmonth_activity", "lastyear_activity"],
    "categorical_columns": ["number_of_employees"],
}
ODDITIES: dict[str, tuple[Change, dict[str, Any]]] = {
    "constant": (lambda cells, _: [cells[0], cells[1], "7", *cells[3:]], {}),
    "all missing": (lambda cells, _: [*cells[:3], "", cells[4]], {}),
    "categories": (lambda cells, row: [*cells[:3], f"kind {row % 7}", cells[4]], OF_A_KIND),
    "never seen": (
        lambda cells, row: [*cells[:3], f"kind {row % 7}" if cells[4] else "never seen", cells[4]],
        OF_A_KIND,
    ),
    "no id": (lambda cells, _: cells, {"id_column": None}),
    "values": (lambda cells, _: cells, {"value_column": "lastyear_activity"}),
}
SAMPLED = ("never seen", "no id", "values")


@pytest.mark.parametrize(
    "oddity",
    [
        pytest.param(name, marks=[] if name in SAMPLED else pytest.mark.complete)
        for name in ODDITIES
    ],
)
def test_odd_columns_and_settings_give_a_report(project: Project, oddity: str) -> None:
    change, settings = ODDITIES[oddity]
    project.configure(**settings | {"reports": []})
    for path, seed, open_share in (("sourcedata/a.csv", 1, 0.05), ("testdata/t.csv", 2, 0.0)):
        head, *rows = book(700, seed, open_share=open_share).splitlines()
        changed = (change(next(csv.reader([row])), place) for place, row in enumerate(rows))
        lines = [",".join(f'"{cell}"' if cell else "" for cell in cells) for cells in changed]
        project.write(path, "\n".join([head, *lines, ""]))
    project.run("fullprocess.py")
    project.configure(**settings)
    report(project)
    assert "at high risk of leaving" in html(project).all("h1")[0].text
    found = tables(html(project))
    if "value_column" in settings:
        listed = first_ten(project)
        with project.config.client_risk.open(encoding="utf-8-sig", newline="") as stream:
            ranked = {row["value_rank"]: row for row in csv.DictReader(stream)}
        shown = found["By value at risk: where the most is at stake"][1:]
        ten = found["The clients most likely to leave"][1:]
        assert not [cells[-1] for cells in ten if "." in cells[-1]], "whole, as on the page"
        assert [cells[1] for cells in shown] == [ranked[str(k)]["client"] for k in range(1, 11)]
        assert [cells[5] for cells in shown] == [ranked[str(k)]["rank"] for k in range(1, 11)]
        assert found["The clients most likely to leave"][0][-1] == "Value at risk"
        assert len(listed) == 10
    if settings.get("id_column", "") is None:
        assert found["The clients most likely to leave"][1][1].startswith("row ")


@pytest.mark.parametrize("case", ["ten rows", "one class"])
def test_rows_that_give_no_model_give_a_report(project: Project, case: str) -> None:
    head, *rows = book(400, 1, open_share=0.0).splitlines()
    kept = rows[:10] if case == "ten rows" else [row for row in rows if row.endswith(",0")]
    for path in ("sourcedata/a.csv", "testdata/t.csv"):
        project.write(path, "\n".join([head, *kept, ""]))
    project.run("fullprocess.py")
    text = report(project, code=1)
    assert "no model is deployed" in text
    assert "no candidate: " in text
    assert "Labelled rows" in text
    assert len(document(project.root / "models/report.pdf").pages) <= 4


def test_one_run_alone_and_an_empty_history_are_told_calmly(project: Project) -> None:
    project.write("sourcedata/january.csv", book(600, 1))
    project.write("testdata/testdata.csv", book(300, 2, open_share=0.0))
    project.run("fullprocess.py")
    shown = tables(html(project))["Runs that were not idle, newest first"]
    assert len(shown) == 2
    assert shown[1][-1] == DASH  # a run that tells of itself is still at work
    project.config.history.unlink()
    report(project)
    shown = tables(html(project))["Runs that were not idle, newest first"]
    assert len(shown) == 2
    seconds = sum(atomic_files.read_json(project.config.decision)["timings"].values())
    assert shown[1][-1] == formatting.seconds(seconds)
    project.config.decision.unlink()
    assert "No run is recorded yet." in report(project)


def test_sixty_columns_stay_small_and_say_what_was_left_out(project: Project) -> None:
    """A hand-made drift in all of sixty columns, told of a hand-made model."""
    project.write("testdata/testdata.csv", labelled_rows(stayed=(10, 60), left=(22, 8)))
    deploy(project)
    columns = [
        {
            "column": f"column {'x' * 70} {place}",
            "verdict": "drift",
            "missing_now": 0.1,
            "adjusted_p": 0.0,
            "psi": place / 10,
            "wasserstein": 1.0,
            "changed": ["values"],
            "change": "y" * 500,
        }
        for place in range(60)
    ]
    predictions = {**columns[0], "column": "predictions"}
    found = {
        "verdict": "drift",
        "rows": 9,
        "reference_rows": 9,
        "level": 0.05,
        "columns": columns,
        "predictions": predictions,
    }
    record = {
        "run_id": "r",
        "time": "2026-03-01T06:00:00+00:00",
        "verdict": "kept",
        "reason": "no",
        "drift": {"data": {"new rows": found, "open clients": found}},
        "warnings": [{"text": "w " * 5000}],
    }
    project.config.decision.write_text(json.dumps(record))
    text = report(project)
    assert "48 more columns stand in decision.json" in text
    assert (project.root / "models/report.html").stat().st_size < 2_000_000
    shown = tables(html(project))["Drift by column in the new rows"]
    assert len(shown) == 1 + 12 + 1
    assert shown[1][3] == "5.90"
