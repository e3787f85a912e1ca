"""The submission kit: every file of it, from the records alone."""

import dataclasses
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from platform.records.record import Ask, Journal, Record, Score, StudyHeader
from platform.records.storage.lines import written
from platform.records.store import RECORD, Begun, Conclusion, Loss, journal_file, trial_file
from platform.results.report.files import made
from platform.results.report.page.text import inline
from platform.results.submission.anonymous import Disguise, disguise, left
from platform.results.submission.answers import YOURS, Section, open_fields, rendered
from platform.results.submission.checklist import checklist
from platform.results.submission.compute_form import compute_form
from platform.results.submission.crate import METADATA, crate
from platform.results.submission.facts import VERSIONS, Facts, facts

README = "README.md"
FORM, CHECKLIST = "compute_form.md", "checklist.md"
RESULTS = "results/"


@dataclasses.dataclass(frozen=True)
class Recorded:
    """A study as its store has it."""

    header: StudyHeader
    journal: Journal
    asks: tuple[Ask, ...]
    """In the order of the table."""
    records: Mapping[str, Record]
    """By trial id."""
    predictions_of: Callable[[str], Path]
    """Where a trial's predictions lie, if it left any, by its id."""

    def by_arm(self) -> dict[str, dict[str, Record]]:
        """What each arm has of each of its trials, by its id."""
        found: dict[str, dict[str, Record]] = {}
        for ask in self.journal.asks:
            if (record := self.records.get(ask.trial.id)) is not None:
                ended = record.until(self.journal.ends.get(ask.key))
                found.setdefault(ask.arm, {})[ask.trial.id] = self.journal.scored(ended, ask.arm)
        return found

    def worn(self, by: Disguise) -> "Recorded":
        """The same without what says whose it is."""
        ends = {key: kept for key, end in self.journal.ends.items() if (kept := by.end(end)) is not None}
        return dataclasses.replace(
            self,
            header=by.header(self.header),
            journal=dataclasses.replace(self.journal, ends=ends),
            records={trial: by.record(record) for trial, record in self.records.items()},
        )


class Kit(NamedTuple):
    """A kit, before anything is written."""

    files: dict[str, bytes]
    """By their paths within the kit."""
    missing: list[str]
    """Rows whose scores lack seeds."""


def kit(recorded: Recorded, names: Sequence[str], constraints: bytes, today: str) -> Kit:
    """The kit of a study; `names` are of whoever makes it, and appear nowhere; `today` is the date as ISO 8601.

    `constraints` are the versions of all packages that the checkout was tested with.
    """
    by = disguise(recorded.records.values(), names)
    recorded = recorded.worn(by)
    by_arm, study = recorded.by_arm(), recorded.header.name
    known = facts(recorded.header, recorded.asks, recorded.journal.asks, by_arm)
    report = made(known.table, recorded.asks, by_arm, recorded.predictions_of)
    results = {f"{RESULTS}{name}": content for name, content in _results(recorded).items()}
    logs = len(report["records.parquet"]) + sum(map(len, results.values()))
    form, answers = compute_form(known, logs), checklist(known)
    files = {
        FORM: f"# Compute Reporting Form\n\n{_note(known)}\n\n{rendered(form)}".encode(),
        CHECKLIST: f"# Paper checklist\n\n{_note(known)}\n\n{rendered(answers)}".encode(),
        **report,
        f"{study}.py": recorded.header.source.encode(),
        "environment.json": _environment(known),
        "constraints.txt": constraints,
        **results,
    }
    described = {name: what for name, what in _described(study).items() if name in files or name in {README, RESULTS}}
    # Of what is packed no text can be read: pictures, and records.parquet, which has the texts of results/.
    found = left({name: content for name, content in files.items() if not name.endswith((".png", ".parquet"))}, by)
    files[README] = _readme(known, described, (*form, *answers), found).encode()
    return Kit(files | {METADATA: crate(known, files, described, today)}, known.missing)


def _results(recorded: Recorded) -> dict[str, bytes]:
    """Records as a folder of results has them, from which `--report` makes the table again."""
    study, journal = recorded.header.name, recorded.journal
    lines = [written(study, "study", recorded.header), *(written(study, "ask", ask) for ask in journal.asks)]
    lines += [written(study, "loss", Loss(trial, 0)) for trial in journal.losses.elements()]
    lines += [
        written(study, "score", Score(arm, trial, step, select, value))
        for arm, trials in journal.scores.items()
        for trial, steps in trials.items()
        for step, values in steps.items()
        for select, value in values.items()
    ]
    lines += [written(study, "end", Conclusion(trial, end, arm)) for (arm, trial), end in journal.ends.items()]
    files = {journal_file(study): _whole(lines)}
    for trial, record in recorded.records.items():
        lines = [written(trial, "trial", Begun(record.trial, record.provenance, record.cost))]
        lines += [written(trial, "report", report) for report in record.reports]
        lines += [] if record.end is None else [written(trial, "end", record.end)]
        files[trial_file(trial, RECORD)] = _whole(lines)
    return files


def _whole(lines: Sequence[bytes]) -> bytes:
    return b"".join(line + b"\n" for line in lines)


def _environment(known: Facts) -> bytes:
    """Versions, commit and machines, as trials noted them when they began."""
    said = {
        "software": {VERSIONS[name]: list(found) for name, found in known.versions.items()},
        "commit": list(known.commits),
        "machines": known.machines,
        "gpus": {model: f"{count} trials" for model, count in known.gpus.items()},
        "threads per trial": list(known.threads),
        "precision": list(known.precisions),
    }
    return (json.dumps(said, indent=2, ensure_ascii=False) + "\n").encode()


def _described(study: str) -> dict[str, str]:
    return {
        README: "what each file is, and what to fill in by hand",
        FORM: "CVPR's Compute Reporting Form, field by field",
        CHECKLIST: "the NeurIPS paper checklist, question by question",
        "table.md": "the table, what went wrong, what each row was given and took, hours and energy, IoU by class",
        "table.csv": "the same, one line per row, for programs",
        "table.tex": r"the table for the paper; needs \usepackage{booktabs}",
        "records.parquet": "every report of every trial, for pandas and others",
        "curves.png": "selector and oracle mIoU while training",
        "effects.csv": "what parts of an ablation are worth, one line per effect",
        "effects.png": "the same as a figure",
        "responses.png": "the selector by the values of each searched field",
        "comparison.png": "image, ground truth and each row's prediction: images of the data, under their licence",
        f"{study}.py": "the study file, as it ran; modules of your own that it imports are yours to add",
        "environment.json": "versions, commit, processors and GPUs, as trials noted them when they began",
        "constraints.txt": "the version of every package that this checkout was tested with",
        RESULTS: "journal and records of the study, from which its table can be computed again",
    }


def _note(known: Facts) -> str:
    missing = ", ".join(map(inline, known.missing))
    unfinished = f" **The study is not complete: seeds are missing of {missing}.**" if missing else ""
    return f"Answers that records of the study {inline(known.header.name)} give; the others are {YOURS}.{unfinished}"


def _readme(known: Facts, described: Mapping[str, str], sections: Sequence[Section], found: Sequence[str]) -> str:
    study = known.header.name
    files = "\n".join(f"- `{name}`: {what}" for name, what in described.items())
    fields = "\n".join(f"- {inline(field)}" for field in open_fields(sections))
    look = "\n".join(f"- {inline(line)}" for line in found)
    parts = [
        f"# Submission kit of {inline(study)}",
        _note(known),
        f"## Files\n\n{files}\n- `{METADATA}`: all of this as an RO-Crate 1.2",
        (
            "The table again, from the records of this kit, at the root of a checkout of the commit in "
            f"`environment.json`, where KIT is this folder:\n\n    python -m platform.study 'KIT/{study}.py' --report "
            "--results KIT/results"
        ),
        f"## To fill in by hand\n\n{fields}",
        (
            "## Anonymity\n\nHost names and addresses of machines are `machine 1`, `machine 2`, ...; names of users, "
            "paths, e-mail and addresses of repositories are replaced in texts, the study file's among them. What "
            "decides a trial's id stays as it is. The commit is given: by itself it names nobody, but whoever finds it "
            "in a public repository knows whose that is. Read the study file before you submit, whose docstring "
            "`table.md`, `table.tex`, the RO-Crate and the journal in `results/` repeat, and the reasons of failures "
            "in `table.md`."
        ),
        *([f"**Look at these, which may still say whose they are:**\n\n{look}"] if found else []),
    ]
    return "\n\n".join(parts) + "\n"
