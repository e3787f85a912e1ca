"""The forms answer every field that records can, by counts of their own, and leave the others to the authors."""

import dataclasses
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import pytest

from platform.records.record import ArmHeader, Ask, Record, Report, StudyHeader
from platform.results.lines import p_value
from platform.results.submission.answers import Answer, Section, open_fields
from platform.results.submission.checklist import checklist
from platform.results.submission.compute_form import compute_form
from platform.results.submission.data import KNOWN, NOT_SAID, licences
from platform.results.submission.facts import Facts, facts
from platform.results.table import Table
from platform.study import LeaveOneOut
from tests.support.ablated import ablated
from tests.support.invented_study import STEPS, arm, ask, failed, full, made, mishaps, record, stopped, study
from tests.support.seen_alike import by_arm

ASKED = {
    "1 Hardware specifications (required)": (
        *("CPU model and cores", "CPU threads used", "System memory", "Storage type", "GPU model", "Number of GPUs"),
        *("GPU memory", "Infrastructure type", "Cloud provider and instance types", "Framework", "Mixed precision"),
        "Distributed training",
    ),
    "2 Task and data": (
        *("Task category", "Dataset name", "Training set size", "Test set size", "Performance metric"),
        *("Compute metric", "Steps", "Batch size", "Gradient accumulation"),
    ),
    "2 Compute and performance: FDA": (
        *("Method performance", "Baseline method", "Baseline performance", "Improvement", "Efficiency ratio"),
        *("Model parameters", "FLOPs of a forward pass", "Compute of one result", "Compute of the row in total"),
        "Inference compute per 1,000 images",
    ),
    "3 Development": (
        *("Total development compute", "Training of reported results", "Fine-tuning and distillation"),
        *("Hyperparameter search", "Failed runs", "Ablation studies", "Inference", "Other", "Energy in kWh"),
        *("Development began", "Development ended", "Calendar months", "Compute before this study"),
    ),
    "4 Logs": (
        *("Log files", "Log file size", "Experiment date range", "Logs are anonymised", "Logs are reviewed"),
        *("Consent to publish logs", "Weights & Biases"),
    ),
    "5 Verification and submission (required)": (
        *("Paper title and ID", "The report is accurate", "Name, contact and date", "Additional notes"),
    ),
}
"""What the form asks, section by section."""
OPEN = {
    *("Storage type", "Infrastructure type", "Cloud provider and instance types", "Ablation studies"),
    *("Development ended", "Calendar months", "Compute before this study", "Experiment date range"),
    *(
        "Logs are reviewed",
        "Consent to publish logs",
        *ASKED["5 Verification and submission (required)"],
    ),
}
"""What no record of a study on `town` can answer."""


def known(header: StudyHeader, asks: Sequence[Ask], records: Mapping[str, Record], *rest: Table) -> Facts:
    return facts(header, asks, asks, by_arm(asks, records))


def answers(sections: Sequence[Section], title: str) -> dict[str, Answer]:
    return {answer.field: answer for section in sections if section.title == title for answer in section.answers}


def on_town(*arms: ArmHeader) -> tuple[StudyHeader, list[Ask], dict[str, Record]]:
    """A study that noted all that trials note today."""
    header = study(*arms)
    shift = {**header.shift, "source_images": [100, 20], "target_images": [80, 20, 40]}
    header = dataclasses.replace(header, shift=shift)
    asks, records = full(header, dict.fromkeys((each.name for each in header.arms), 0.5))
    told = {"processor": "AMD EPYC 7B13, 8 cores", "memory": "31 GiB", "python": "3.11.7", "torch": "2.14.1"}

    def noted(report: Report) -> Report:
        own: dict[str, Any] = {
            "starting": 0.5,
            "saving": 0.25,
            "evaluating": 0.5,
            "precision": "float32",
            "latency": 0.02,
        }
        return dataclasses.replace(report, device="cpu", node="a", **own)

    for trial, kept in records.items():
        provenance = {**kept.provenance, **told}
        records[trial] = dataclasses.replace(kept, provenance=provenance, reports=tuple(map(noted, kept.reports)))
    return header, asks, records


def test_every_field_is_there_and_only_what_nobody_noted_is_open() -> None:
    sections = compute_form(known(*on_town(arm("source only"), arm("FDA"))), 12_345_678)
    assert {section.title for section in sections} == {*ASKED, "2 Compute and performance: source only"}
    for title, fields in ASKED.items():
        assert tuple(answers(sections, title)) == fields
    assert set(open_fields(sections)) == OPEN


def test_answers_are_those_of_the_records() -> None:
    header, asks, records = on_town(arm("source only"), arm("FDA"))
    sections = compute_form(known(header, asks, records), 12_345_678)
    hardware, task = answers(sections, "1 Hardware specifications (required)"), answers(sections, "2 Task and data")
    assert hardware["CPU model and cores"].said == "AMD EPYC 7B13, 8 cores, 31 GiB"
    assert hardware["System memory"].said == "31 GiB"
    assert hardware["CPU threads used"].said == "1 thread per trial"
    assert hardware["GPU model"].said == "none: all trials were trained on CPUs"
    assert hardware["Framework"].said == "Python 3.11.7, PyTorch 2.14.1"
    assert task["Training set size"].said == "100 images (source train), 80 images (target adapt)"
    assert task["Test set size"].said == "40 images (target test)"
    assert task["Batch size"].said == "4"
    assert task["Steps"].note == f"{STEPS * 4 / 100:g} epochs of the source"
    assert answers(sections, "4 Logs")["Log file size"].said == "12.35 MB"


def test_hours_and_shares_are_counted_from_every_trial() -> None:
    header, asks, records, _ = mishaps()
    sections = compute_form(known(header, asks, records), 0)
    development = answers(sections, "3 Development")
    seconds = {"search": 0.0, "confirm": 0.0, "failed": 0.0}
    for each in asks:
        run = records[each.trial.id]
        lost = run.end is not None and run.end.state == "failed"
        seconds["failed" if lost else each.phase] += sum(report.seconds for report in run.reports)
    total = sum(seconds.values())
    assert development["Total development compute"].said == f"{total / 3600:.3g} CPU hours"
    for field, name in (("Training of reported results", "confirm"), ("Failed runs", "failed")):
        share = f"{seconds[name] / 3600:.3g} CPU hours ({seconds[name] / total:.0%})"
        assert development[field].said == share
    assert development["Hyperparameter search"].said.startswith(f"{seconds['search'] / 3600:.3g} CPU hours")
    assert development["Hyperparameter search"].note == "16 configurations"
    assert development["Failed runs"].note == "9 trials"
    assert development["Energy in kWh"].said == "processors: not measured"


def test_development_ends_with_the_last_report() -> None:
    header, asks, records, _ = made()
    at = datetime(2026, 5, 31, 23, 59, tzinfo=UTC).timestamp()
    noted = {
        trial: dataclasses.replace(
            kept,
            reports=tuple(
                dataclasses.replace(report, metered=(at - 60 - place, at - place)) for report in kept.reports
            ),
        )
        for place, (trial, kept) in enumerate(records.items())
    }
    sections = compute_form(known(header, asks, noted), 0)
    assert answers(sections, "3 Development")["Development ended"].said == "2026-05-31"
    assert answers(sections, "4 Logs")["Experiment date range"].said == f"{header.began[:10]} to 2026-05-31"


def test_what_a_study_asked_for_before_it_was_changed_was_paid_as_well() -> None:
    header, asks, records, _ = made()
    before = ask(header, "FDA", "confirm", 0, recipe={"learning_rate": 0.5, "momentum": 0.9, "batch": 4})
    every = [before, *asks]
    paid = facts(header, asks, every, by_arm(every, {**records, before.trial.id: record(before)}))
    alone = known(header, asks, records)
    assert paid.table.rows == alone.table.rows
    assert paid.trials == alone.trials + 1
    assert paid.spent.confirm.cpu == pytest.approx(alone.spent.confirm.cpu + 4 * 1.5 / 3600)


def test_one_result_costs_the_runs_that_it_begins_from_as_well() -> None:
    first, second = arm("source only"), dataclasses.replace(arm("FDA"), after=("source only",))
    header = study(first, second)
    asks, records = full(header, {"source only": 0.4, "FDA": 0.5})
    one, both = (result.one.cpu for result in known(header, asks, records).results)
    assert one == pytest.approx(4 * 1.5 / 3600)
    assert both == pytest.approx(2 * one)
    development = answers(compute_form(known(header, asks, records), 0), "3 Development")
    assert development["Fine-tuning and distillation"].said.startswith("FDA: ")


def test_a_row_that_takes_another_searchs_values_rests_on_that_search() -> None:
    header, asks, records, _ = made()
    reference, fda = header.arms
    fda = dataclasses.replace(fda, search_trials=0, tuned_as="source only")
    header = dataclasses.replace(header, arms=(reference, fda))
    asks = [each for each in asks if (each.arm, each.phase) != ("FDA", "search")]
    found = known(header, asks, records)
    searched = sum(records[each.trial.id].hours for each in asks if each.phase == "search")
    alone, tuned = found.results
    assert alone.behind == alone.whole.total
    assert tuned.whole.search.cpu == 0
    assert tuned.behind.cpu == pytest.approx(tuned.whole.total.cpu + searched)
    row = answers(compute_form(found, 0), "2 Compute and performance: FDA")
    assert row["Compute of the row in total"].note.endswith(
        f"; {tuned.behind.cpu:.3g} CPU hours with what other rows took that it begins from or is tuned as"
    )
    points = 100 * tuned.row.comparison.to_reference.miou
    assert row["Efficiency ratio"].said == f"{points / tuned.behind.cpu:.3g} points of mIoU per CPU hour"


def test_gpus_count_by_the_share_that_a_trial_has() -> None:
    header, asks, records, _ = made()
    header = dataclasses.replace(header, arms=tuple(dataclasses.replace(each, gpus=0.5) for each in header.arms))
    device = "NVIDIA H100 80GB HBM3, 132 multiprocessors"
    on_gpu = {
        trial: dataclasses.replace(
            kept, reports=tuple(dataclasses.replace(report, device=device) for report in kept.reports)
        )
        for trial, kept in records.items()
    }
    found = known(header, asks, on_gpu)
    hardware = answers(compute_form(found, 0), "1 Hardware specifications (required)")
    assert hardware["GPU model"].said == f"NVIDIA H100 80GB HBM3 ({len(records)} trials)"
    assert hardware["Number of GPUs"].said == "0.5 per trial"
    assert hardware["GPU memory"].said == ""
    seconds = sum(report.seconds for kept in records.values() for report in kept.reports)
    assert found.spent.total.gpu == pytest.approx(seconds / 3600 / 2)
    assert found.spent.total.cpu == 0
    energy = answers(compute_form(found, 0), "3 Development")["Energy in kWh"].said
    assert energy == "GPUs: not measured; processors: not measured"


def test_improvement_is_the_tables_paired_difference() -> None:
    header, asks, records, table = made()
    fda = answers(compute_form(known(header, asks, records), 0), "2 Compute and performance: FDA")
    reference, row = table.rows
    points, spread = 100 * row.comparison.to_reference.miou, 100 * row.comparison.to_reference.miou_ci
    relative = row.comparison.to_reference.miou / reference.scores.miou
    assert fda["Improvement"].said == f"{points:+.1f} ± {spread:.1f} points of mIoU, {relative:+.1%} of the baseline"
    p, told = row.comparison.to_reference.p, row.comparison.to_reference.told
    marked = "marked" if told else "not marked"
    assert fda["Improvement"].note.endswith(f"p {p_value(p)} by Holm's method, {marked} in the table")
    assert fda["Baseline performance"].said == f"{reference.scores.miou:.3f}"


def test_the_checklist_has_its_sixteen_questions_in_order() -> None:
    (section,) = checklist(known(*on_town(arm("source only"), arm("FDA"))))
    assert [answer.field.split()[0] for answer in section.answers] == [str(number) for number in range(1, 17)]
    answered = [answer.field.split()[0] for answer in section.answers if answer.said]
    assert answered == ["4", "6", "7", "8", "12"]
    assert all(answer.hint for answer in section.answers if not answer.said)


def test_error_bars_are_said_with_their_method_and_a_single_seed_has_none() -> None:
    said = answers(checklist(known(*made(seeds=3))), "NeurIPS paper checklist")[
        "7 Experiment statistical significance"
    ].said
    assert "95 % Student-t intervals over 3 seeds" in said
    assert "Confirm seeds are 1, 2, 3, which no search used." in said
    able = known(*made(seeds=3)).table.detectable
    assert f"Holm's method for 1 rows, is at most 0.05, and it is {able.difference:.3f} or more" in said
    one = answers(checklist(known(*made(seeds=1))), "NeurIPS paper checklist")[
        "7 Experiment statistical significance"
    ].said
    assert one == "No. A single seed gives no interval."


def test_the_compute_of_ablations_is_that_of_their_rows() -> None:
    found = known(*ablated(LeaveOneOut()))
    taken = sum(result.whole.total.cpu for result in found.results if result.row.arm != found.header.reference)
    (section,) = [each for each in compute_form(found, 0) if each.title == "3 Development"]
    (answer,) = [each for each in section.answers if each.field == "Ablation studies"]
    assert answer.said == f"ours: {taken:.3g} CPU hours"


def test_failed_compute_is_said_beside_the_total() -> None:
    found = known(*mishaps())
    said = answers(checklist(found), "NeurIPS paper checklist")["8 Experiments compute resources"].said
    assert f"failed trials {found.spent.failed.cpu:.3g} CPU hours (9 trials)" in said
    assert found.spent.failed.cpu > 0


def test_selection_by_target_labels_is_said() -> None:
    found = known(*made(select="oracle/miou"))
    said = answers(checklist(found), "NeurIPS paper checklist")["6 Experimental setting and details"].said
    assert "selected by oracle/miou, which uses target labels" in said


def test_terms_are_those_of_the_data_sets_and_of_others_not_said() -> None:
    header = study()
    assert licences(header) == KNOWN["town"]
    published = dataclasses.replace(header, shift={**header.shift, "name": "gta5_to_cityscapes"})
    assert list(licences(published)) == ["GTA5", "Cityscapes"]
    pair = {
        "name": "game+renderings to photographs",
        "source": {
            "name": "game+renderings",
            "identity": {"domains": [{"name": "game", "identity": {}}, {"name": "renderings", "identity": {}}]},
        },
        "target": {"name": "photographs", "identity": {}},
    }
    own = dataclasses.replace(header, shift={**header.shift, **pair}, licences={"photographs": "CC BY 4.0"})
    assert licences(own) == {"game": NOT_SAID, "renderings": NOT_SAID, "photographs": "CC BY 4.0"}
    nobodys = dataclasses.replace(header, shift={**header.shift, "name": "mine"})
    assert licences(nobodys) == {"mine": NOT_SAID}
    asks, records = full(own, dict.fromkeys((each.name for each in own.arms), 0.5))
    answer = answers(checklist(known(own, asks, records)), "NeurIPS paper checklist")["12 Licenses for existing assets"]
    assert "photographs: CC BY 4.0" in answer.said
    assert answer.note == f"the terms of game and renderings are {NOT_SAID}"


def test_a_trial_of_two_rows_is_paid_once() -> None:
    header = study(arm("source only"), arm("FDA"), seeds=1, search_trials=1)
    one = ask(header, "source only", "search", 0)
    other = dataclasses.replace(one, arm="FDA")
    records = {"source only": {one.trial.id: stopped(one)}, "FDA": {one.trial.id: record(other)}}
    found = facts(header, [one, other], [one, other], records)
    assert (found.trials, found.configurations) == (1, 1)
    assert found.spent.total.cpu == pytest.approx(4 * 1.5 / 3600)


def test_halves_of_batches_are_said() -> None:
    header, asks, records, _ = made()
    first = asks[0]
    records[first.trial.id] = failed(first, "out of memory")
    whole = answers(compute_form(known(header, asks, records), 0), "2 Task and data")["Gradient accumulation"]
    assert whole.said == "none"
    last = asks[-1]
    records[last.trial.id] = record(last, parts=2)
    halved = answers(compute_form(known(header, asks, records), 0), "2 Task and data")["Gradient accumulation"]
    assert halved.said == "1 trials in two parts"
