"""Another share or salt is a new study, which is said once; the old one is named."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256

from attrition.calls.study import Study, current_study
from attrition.core import atomic_files
from attrition.ranking import call_list
from tests.conftest import Project
from tests.support.records import decision_json, texts

MAY, JUNE = "2026-05-01T06:00:00.000+00:00", "2026-06-01T06:00:00.000+00:00"
SPRING = Study(0.2, sha256(b"spring").hexdigest(), MAY)


def test_without_a_share_there_is_no_study_and_nothing_is_said() -> None:
    assert current_study(0.0, "", None, MAY) == (None, None)


def test_a_study_lasts_as_long_as_share_and_salt() -> None:
    study, notice = current_study(0.2, SPRING.salt_digest, None, MAY)
    assert study == SPRING
    assert notice == "a study of calls begins, 20% of the open clients are held out"
    assert current_study(0.2, SPRING.salt_digest, study, JUNE) == (SPRING, None)


def test_another_share_or_salt_is_a_new_study_and_the_old_one_is_named() -> None:
    for share, salt, shown in ((0.2, "june", "20%"), (0.125, "spring", "12.5%")):
        digest = sha256(salt.encode()).hexdigest()
        study, notice = current_study(share, digest, SPRING, JUNE)
        assert study == Study(share, digest, JUNE)
        assert notice == (
            f"a new study of calls begins, {shown} of the open clients are held out; "
            f"the one since 2026-05-01 (20%) is kept in the history"
        )


def test_the_end_of_a_study_is_said() -> None:
    assert current_study(0.0, "", SPRING, JUNE) == (
        None,
        "the study of calls has ended, nobody is held out: "
        "the one since 2026-05-01 (20%) is kept in the history",
    )


def test_a_list_made_between_two_runs_begins_the_study(
    make_project: Callable[[str], Project],
) -> None:
    project = make_project("project")
    project.configure(holdout_share=0.2, holdout_salt="spring")
    path = project.config.decision
    atomic_files.write_json(path, decision_json(warnings=["old"]))
    call_list.record_anew(project.config, "there are no clients")
    record = atomic_files.read_json(path)
    assert texts(record["warnings"]) == [
        "old",
        "a study of calls begins, 20% of the open clients are held out",
    ]
    assert (record["study"]["share"], record["no_ranking"]) == (0.2, "there are no clients")
    call_list.record_anew(project.config, "there are no clients")
    assert atomic_files.read_json(path) == record
    atomic_files.write_json(path, record | {"study": "junk"})
    call_list.record_anew(project.config, "none")  # a damaged record keeps nobody from the list
    assert atomic_files.read_json(path) == record | {"study": "junk", "no_ranking": "none"}
