"""Two studies side by side: what differs, what it can do, and how it is said in eighty columns."""

import dataclasses
from typing import Any

import pytest
from rich.cells import cell_len

from platform.records.record import Record
from platform.results.against.mismatches import circumstances, mismatches, texts
from platform.results.against.side_by_side import Side, SideBySide, nearest, studies, trials
from platform.results.against.text import BROKEN, proposals, render
from tests.support import invented_study as invented
from tests.support.nasty_names import NASTY

NAMES = ("source only", "FDA", "adversarial")


def side(names: tuple[str, ...] = NAMES, trial: dict[str, Any] | None = None, **changes: Any) -> Side:
    """A study that ran to its end; all its trials with changed settings, and its header too."""
    header, asks, records, _ = invented.made(*names)
    header = dataclasses.replace(header, **changes)
    if trial:
        old, asks = asks, [dataclasses.replace(ask, trial=dataclasses.replace(ask.trial, **trial)) for ask in asks]
        records = {
            ask.trial.id: dataclasses.replace(records[before.trial.id], trial=ask.trial)
            for before, ask in zip(old, asks, strict=True)
        }
    return Side("a study", header, asks, {arm.name: records for arm in header.arms}, records)


def weights(both: SideBySide) -> dict[str, str]:
    found = [*both.everywhere, *(each for row in both.rows for each in row.mismatches)]
    return {each.name: each.weight for each in found}


def test_equal_studies_differ_in_nothing() -> None:
    found = studies(side(), side())
    assert weights(found) == {}
    assert {row.gap.way for row in found.rows} == {"same trials"}
    assert not found.missing
    assert found.promise.trials == 21
    assert "all of their numbers are equal" in render(found)
    assert "Nothing differs that decides the numbers of source only, FDA and adversarial." in render(found)


def test_a_study_of_more_seeds_differs_in_the_seeds_alone() -> None:
    more, fewer = side(seeds=5, looks=(5,)), side(seeds=3, looks=(3,))
    kept = [ask for ask in fewer.asks if ask.phase == "search" or ask.trial.seed <= 2]
    found = studies(more, dataclasses.replace(fewer, asks=kept))
    assert weights(found) == {"seeds": "numbers", "hours": "nothing"}
    text = " ".join(render(found).split())
    assert "Equal: the seeds that both sides have are the same trials" in text
    assert "paired" not in text


RECIPE = {"learning_rate": 0.02, "momentum": 0.9, "batch": 4}


@pytest.mark.parametrize(
    ("trial", "name", "weight"),
    [
        ({"recipe": RECIPE | {"momentum": 0.5}}, "momentum", "numbers"),
        ({"recipe": RECIPE | {"new": 1}}, "new", "numbers"),
        ({"steps": 800}, "steps", "numbers"),
        ({"code": "another"}, "code", "numbers"),
        ({"data": {"FDA": "0123"}}, "files of FDA", "numbers"),
        ({"evaluations": 8}, "evaluations", "choice"),
        ({"threads": 2}, "threads", "last bits"),
        ({"shift": invented.HEADER.shift | {"size": [96, 128]}}, "shift.size", "numbers"),
        ({"shift": invented.HEADER.shift | {"source": {"files": "0123"}}}, "shift.source.files", "numbers"),
    ],
)
def test_what_differs_in_all_rows_is_said_once_with_what_it_can_do(
    trial: dict[str, Any], name: str, weight: str
) -> None:
    base = side(trial={"recipe": RECIPE})
    found = studies(base, side(trial={"recipe": RECIPE} | trial))
    assert [(each.name, each.weight) for each in found.everywhere] == [(name, weight)]
    assert all(row.mismatches == () for row in found.rows)


@pytest.mark.parametrize(
    ("changes", "weight"),
    [
        ({"select": "source/accuracy"}, "choice"),
        ({"search_trials": 8}, "choice"),
        ({"rungs": (200,)}, "choice"),
        ({"checkpoint": "selected"}, "choice"),
        ({"seeds": 2}, "numbers"),
        ({"reference": "FDA"}, "nothing"),
        ({"source": "another text"}, "nothing"),
    ],
)
def test_what_differs_between_the_studies_is_said(changes: dict[str, Any], weight: str) -> None:
    found = studies(side(), side(**changes))
    (name,) = changes
    assert weights(found)[name.replace("_", " ")] == weight


def test_a_row_says_where_its_value_comes_from() -> None:
    searched = dataclasses.replace(invented.arm("FDA"), searched={"beta": "LogUniform(0.01, 0.1)"})
    given = dataclasses.replace(invented.arm("FDA"), given={"beta": "0.05"}, searched={})
    this = side(arms=(invented.arm("source only"), searched))
    fixed = {"hyperparameters": {"beta": 0.05, "entropy_weight": 0.005}, "resolved": {"beta": {"band": 9}}}
    other = side(trial=fixed, arms=(invented.arm("source only"), given))
    (row,) = (row for row in studies(this, other).rows if row.name == "FDA")
    beta = next(each for each in row.mismatches if each.name == "beta")
    assert (beta.this, beta.other, beta.note) == ("0.0117 (band 6)", "0.05 (band 9)", "searched, given")
    assert "range of beta" in {each.name for each in row.mismatches}


def test_a_field_that_acts_through_an_integer_differs_where_that_does() -> None:
    trial = invented.ask(invented.HEADER, "FDA", "confirm", 0).trial
    same = dataclasses.replace(trial, hyperparameters=trial.hyperparameters | {"beta": 0.0118})
    assert same.id == trial.id
    assert [(each.name, each.weight) for each in mismatches(trial, same)] == [("beta", "nothing")]
    other = dataclasses.replace(same, resolved={"beta": {"band": 7}})
    assert [(each.name, each.weight) for each in mismatches(trial, other)] == [("beta", "numbers")]


@pytest.mark.parametrize(
    ("this", "other", "said"),
    [
        (0.1, 0.2, ("0.1", "0.2")),
        (0.12345, 0.12346, ("0.12345", "0.12346")),
        (1, True, ("1", "True")),
        (1, "1", ("1", "'1'")),
        ([64, 128], [96, 128], ("64 x 128", "96 x 128")),
        ([[0], [1, 2]], [[0]], ("2 classes: road, sidewalk+building", "1 classes: road")),
        (None, "0123", ("None", "0123")),
    ],
)
def test_two_values_are_told_apart_in_few_characters(this: object, other: object, said: tuple[str, str]) -> None:
    assert texts(this, other) == said


def provenances(record: Record, reports: dict[str, Any], **provenance: str) -> Record:
    changed = tuple(dataclasses.replace(report, **reports) for report in record.reports)
    return dataclasses.replace(record, reports=changed, provenance=provenance)


@pytest.mark.parametrize(
    ("reports", "provenance", "same_code", "expected"),
    [
        ({}, {"host": "b"}, True, {"host": "nothing"}),
        ({}, {"ray": "2.0"}, True, {"ray": "nothing"}),
        ({}, {"optuna": "4.0"}, True, {"optuna": "choice"}),
        ({}, {"git_commit": "bb"}, True, {"git commit": "nothing"}),
        ({}, {"git_commit": "bb", "torch": "2.0"}, False, {"git commit": "numbers", "torch": "numbers"}),
        ({}, {"processor": "b"}, True, {"processor": "last bits"}),
        ({"device": "NVIDIA T4"}, {}, True, {"device": "last bits"}),
        ({"precision": "bfloat16"}, {}, True, {"precision": "numbers"}),
        ({"parts": 2}, {}, True, {"batches": "numbers"}),
        ({"seconds": 3600.0}, {}, True, {"hours": "nothing"}),
        ({"device": ""}, {"host": ""}, True, {}),
    ],
)
def test_where_and_with_what_trials_ran(
    reports: dict[str, Any], provenance: dict[str, str], same_code: bool, expected: dict[str, str]
) -> None:
    noted = {"host": "a", "processor": "a", "torch": "1", "ray": "1", "optuna": "1", "git_commit": "aa"}
    known: dict[str, Any] = {"device": "cpu", "precision": "float32"}
    record = invented.record(invented.ask(invented.HEADER, "FDA", "confirm", 0))
    this, other = provenances(record, known, **noted), provenances(record, known | reports, **noted | provenance)
    assert {each.name: each.weight for each in circumstances([this], [other], same_code)} == expected


def test_rows_that_only_one_side_has_are_named() -> None:
    found = studies(side(), side(("source only", "FDA", "target supervised")))
    assert found.alone == (("adversarial",), ("target supervised",))
    text = render(found)
    assert "Only this has adversarial." in text
    assert "Only other has target supervised." in text


def test_a_study_that_has_not_finished_says_what_is_missing() -> None:
    whole = side()
    left = [ask for ask in whole.asks if (ask.arm, ask.phase, ask.number) != ("FDA", "confirm", 2)]
    found = studies(whole, dataclasses.replace(whole, asks=left))
    assert found.missing
    assert found.notes == ((), ("FDA: 1 of 3 seeds missing",))
    (row,) = (row for row in found.rows if row.name == "FDA")
    assert (row.gap.way, row.gap.seeds) == ("same trials", (3, 2))
    nothing = studies(whole, dataclasses.replace(whole, asks=[], records={}, by_arm={}))
    assert "! other: FDA: nothing ran yet" in render(nothing)
    assert "    -" in render(nothing)


def test_a_broken_promise_comes_first_and_loud() -> None:
    this, other = dict[str, Record](), dict[str, Record]()
    for records, value in ((this, 0.25), (other, 0.75)):
        for trial_id, record in side().records.items():
            reports = tuple(dataclasses.replace(each, device="cpu") for each in record.reports)
            reports[0].metrics["source/miou"] = value
            records[trial_id] = dataclasses.replace(record, reports=reports)
    found = studies(dataclasses.replace(side(), records=this), dataclasses.replace(side(), records=other))
    assert len(found.promise.broken) == found.promise.trials == 21
    text = render(found)
    assert text.index(BROKEN) < text.index("this - other")
    assert "source/miou is 0.25, and 0.75" in text
    assert "and 16 more" in text


def test_rows_are_marked_by_tests_of_all_of_them_and_the_text_says_so() -> None:
    this, other = side(), side(trial={"steps": 800})
    qualities = {"source only": 0.3, "FDA": 0.1, "adversarial": 0.5}
    asks, records = invented.full(this.header, qualities)
    this = dataclasses.replace(this, asks=asks, records=records, by_arm=dict.fromkeys(qualities, records))
    found = studies(this, other)
    tested = [row.gap for row in found.rows]
    assert [each.way for each in tested] == ["paired"] * 3
    assert [row.name for row in found.rows if row.gap.told] == ["FDA"]
    text = render(found)
    for row in found.rows:
        line = next(line for line in text.splitlines() if line.startswith(row.name))
        assert (" *" in line) is row.gap.told
    said = " ".join(text.split())
    assert "p of the paired t-test, adjusted by Holm's method for the 3 rows that are tested, is at most 0.05;" in said
    sizes = sorted(each.detectable for each in tested)
    assert f"by the spread that rows have, here {sizes[0]:.3f}. A row without it" in said
    assert "adjusted" not in render(studies(this, this)), "there is nothing to test"


def test_the_text_names_the_test_and_what_was_adjusted_for() -> None:
    def said(found: SideBySide) -> str:
        return " ".join(render(found).split())

    paired = studies(side(("source only", "FDA")), side(("source only", "FDA"), trial={"steps": 800}))
    apart = studies(side(("source only", "FDA")), side(("source only", "FDA"), trial={"code": "another"}))
    assert "p of Welch's t-test, adjusted by Holm's method for the 2 rows that are tested, is at most" in said(apart)
    one = studies(side(("source only", "FDA")), side(("FDA", "adversarial"), trial={"steps": 800}))
    assert "p of the paired t-test is at most 0.05 (one row is tested: nothing is to be adjusted for);" in said(one)
    mixed = said(dataclasses.replace(paired, rows=(paired.rows[0], apart.rows[1])))
    assert "p of the paired t-test, of Welch's for rows that are not paired, adjusted by Holm's method for" in mixed


def test_two_trials_are_compared() -> None:
    _, asks, records, _ = invented.made(*NAMES)
    one, two = (records[ask.trial.id] for ask in asks if (ask.phase, ask.number) == ("confirm", 0) and ask.arm != "FDA")
    found = trials(one, two, ("one", "two"))
    assert found.rows[0].gap.way == "one run each"
    text = render(found)
    assert "Their reports differ from step 100 on: source/miou is" in text
    assert "method                SourceOnly              Adversarial" in text
    assert not found.missing
    unfinished = trials(one, dataclasses.replace(two, end=None), ("one", "two"))
    assert unfinished.missing
    assert "! other: it has not ended: step 400 of 400" in render(unfinished)


def test_the_nearest_trial_has_the_same_seed_and_the_fewest_differences() -> None:
    mine = side()
    ask = next(ask for ask in mine.asks if (ask.arm, ask.phase, ask.number) == ("FDA", "confirm", 1))
    record = mine.records[ask.trial.id]
    other = dataclasses.replace(record, trial=dataclasses.replace(record.trial, steps=800))
    assert nearest(other, mine) == record
    stranger = dataclasses.replace(record, trial=dataclasses.replace(record.trial, seed=77))
    assert nearest(stranger, mine) is None


@pytest.mark.parametrize("name", NASTY)
def test_every_line_fits_a_terminal(name: str) -> None:
    recipe = RECIPE | {"network": f"BiSeNet18({name}, width=0.5)", name: name}
    this, other = side(("source only", name)), side(("source only", name, "third"), trial={"recipe": recipe}, seeds=2)
    text = render(studies(this, other))
    assert all(cell_len(line) <= 80 for line in text.splitlines()), text
    assert "\x1b" not in text
    assert proposals(["a: b"], {"for a reason": [name]}, ["do this"]).endswith("  - do this")
