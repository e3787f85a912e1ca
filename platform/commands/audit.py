"""Which selector deserves trust: each one's choices among recorded trials, beside what they are worth on the target.

    python -m platform.audit results/quickstart
    python -m platform.audit results elsewhere/results --to audit

Nothing is trained: scores are computed from the evidence that evaluations have left. Target labels are used, to judge
selectors, and never to choose.
"""

import argparse
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from platform.commands.before.beside import load
from platform.commands.exits import COMPLETE, EPILOG, BadInput, MachineFailed, Parser, bad_input, ending, say
from platform.commands.terminal.text import damage_notes, shown
from platform.design.loading import StudyFileError
from platform.records.location import check_folder, recorded
from platform.records.one_line import one_line
from platform.records.storage.files import write_whole
from platform.records.store import Store
from platform.scores.selectors import SHELF
from platform.scores.selectors.judgement import Misjudged
from platform.scores.selectors.selector import Selector

if TYPE_CHECKING:
    from platform.results.audit.checkpoints import Checkpoint

FOLDER = Path("audit")


@ending(Misjudged, StudyFileError)
def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    options = _parser().parse_args(arguments)
    with bad_input():
        found = [recorded(results) for results in options.results]
        check_folder("--to must name a folder", options.to)
    selectors = _selectors(options.study)
    _audit([(store, study) for store, studies in found for study in studies], selectors, options.to)
    for note in damage_notes({damage for store, _ in found for damage in store.damages}):
        say(note)
    return COMPLETE


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="python -m platform.audit",
        description="Judge every selector by the recorded trials of studies.",
        epilog=f"exit codes: 0 done, {EPILOG}",
    )
    parser.add_argument("results", nargs="+", metavar="RESULTS", help="results/<study>, or a results folder for all")
    parser.add_argument(
        "--to", type=Path, default=FOLDER, metavar="DIR", help="where audit.md, .json and figures go (default: audit)"
    )
    parser.add_argument("--study", type=Path, metavar="FILE", help="a study file, whose own selector is judged as well")
    return parser


def _selectors(file: Path | None) -> dict[str, Selector]:
    """The shelf's selectors by name, and the one of a study file."""
    selectors = {selector.name: selector for selector in SHELF}
    if file is not None:
        study = load(file).study
        if study.selector is None or study.selected_by in selectors:
            raise BadInput(
                f"--study must name a file with a selector of its own, got {study.selected_by}; leave it out"
            )
        selectors[study.selected_by] = study.selector
    return selectors


def _audit(studies: Sequence[tuple[Store, str]], selectors: dict[str, Selector], folder: Path) -> None:
    # Matplotlib takes a second to import, which a mistake should not wait for.
    from platform.results.audit import audit, checkpoints, tables
    from platform.results.figures.audit import scatter
    from platform.results.figures.png import png

    found = {
        called: checkpoints.checkpoints(store, study, called, selectors, say)
        for called, (store, study) in _called(studies).items()
    }
    every = [checkpoint for own in found.values() for checkpoint in own]
    if not every:
        raise BadInput(
            f"an audit needs evaluations that have left evidence, got none of {', '.join(found)}; run it until a trial "
            "has reported, with this version, whose trials leave evidence"
        )
    _note_what_counts_twice(found)
    audited = audit.audit(every, selectors)
    figures = _figures([study for study, own in found.items() if own])
    names = [*selectors]
    files = {name: png(scatter(study, found[study], names)) for name, study in figures.items()}
    files["audit.md"] = tables.markdown(audited, list(figures)).encode()
    files["audit.json"] = tables.document(audited).encode()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        written = [write_whole(folder / name, content) for name, content in files.items()]
    except OSError as error:
        raise MachineFailed(f"the audit cannot be written to {folder}: {one_line(error)}") from error
    print(tables.terminal(audited))
    for file in written:
        print(f"  {shown(str(file))}")


def _note_what_counts_twice(found: "Mapping[str, Sequence[Checkpoint]]") -> None:
    """Say how many trials are of several studies."""
    times = Counter(trial for own in found.values() for trial in {each.ask.trial.id for each in own})
    if again := sum(count > 1 for count in times.values()):
        say(f"note: {again} of {len(times)} trials are of several of these studies, and count in each")


def _called(studies: Sequence[tuple[Store, str]]) -> dict[str, tuple[Store, str]]:
    """The studies by their names, and where two share one, by that of their results too."""
    places = dict.fromkeys((str(store.storage), study) for store, study in studies)
    if len(places) < len(studies):
        raise BadInput("an audit takes each study once, got one that is named twice; name results once")
    named = [study for _, study in studies]
    return {
        f"{study} in {store.storage}" if named.count(study) > 1 else study: (store, study) for store, study in studies
    }


def _figures(studies: Sequence[str]) -> dict[str, str]:
    """The studies by the names of their figures, which any file system and any link takes."""
    plain = [re.sub(r"[^A-Za-z0-9_.-]", "_", study) for study in studies]
    numbered = (f"{name}-{number}" if plain.count(name) > 1 else name for number, name in enumerate(plain, start=1))
    return {f"{name}.png": study for name, study in zip(numbered, studies, strict=True)}
