"""`ablate`: the rows of an ablation."""

from collections.abc import Mapping, Sequence
from typing import Any

from platform.design.ablation.cell import Cell
from platform.design.ablation.designs import Design, LeaveOneOut, Levels
from platform.design.ablation.parts import checked, settings, without
from platform.design.arm import LONGEST_NAME, Arm
from platform.design.ranges import Range
from platform.records.plain import check_name, listed, plain


def ablate(
    arm: Arm,
    parts: Mapping[str, Any],
    design: Design | None = None,
    *,
    name: str | None = None,
    retuned: bool | None = None,
) -> dict[str, Arm]:
    """The rows of an ablation by their names: the arm, and what it is without some of its parts.

    `ablate(Arm(FDA, Adversarial), {"adversary": Adversarial, "flips": {"augmentation": "none"}})` leaves one out, and
    gives "FDA + Adversarial", "FDA + Adversarial without adversary" and "FDA + Adversarial without flips"; another
    design takes other combinations. `name` is what the row with all parts is called, the methods' names by default.
    Of an arm with ranges, `retuned=True` has each row search them as the arm does, with as many trials, and
    `retuned=False` has all rows take the values that the search of the row with all parts has chosen.

    Raises ValueError.
    """
    design = LeaveOneOut() if design is None else design
    _check_kinds(arm, design)
    whole = arm.name if name is None else plain(name)
    check_name("an ablation's name", whole, LONGEST_NAME)
    taken = checked(arm, parts)
    _check_retuned(arm, taken, retuned)
    cells = _cells(whole, [*taken], design)
    rows = {}
    for row, cell in cells.items():
        absent = [part for part, present in cell.parts if not present]
        try:
            made = without(arm, taken, absent).again(cell=cell)
        except ValueError as error:
            raise ValueError(f"{row!r} cannot be made: {error}") from error
        rows[row] = made.tuned_as(whole) if retuned is False and made.ranges and row != whole else made
    _check_apart(rows)
    return rows


def _cells(whole: str, parts: Sequence[str], design: Design) -> dict[str, Cell]:
    """The rows of a design by their names, and which parts each has. Raises ValueError for a name that is too long."""
    levels = {called(whole, parts, row): row for row in design.rows(len(parts))}
    for row in levels:
        check_name(f"the name of a row of the ablation {whole!r}", row, LONGEST_NAME)
    held = design.centre(len(parts))
    centre = "" if held is None else called(whole, parts, held)
    return {
        row: Cell(
            ablation=whole,
            design=design.name,
            parts=tuple(zip(parts, has, strict=True)),
            centre="" if row == centre else centre,
        )
        for row, has in levels.items()
    }


def called(whole: str, parts: Sequence[str], levels: Levels) -> str:
    """A row's name: `FDA`, `FDA without flips`, `FDA with flips alone`, `FDA bare`."""
    absent = [part for part, present in zip(parts, levels, strict=True) if not present]
    present = [part for part in parts if part not in absent]
    if not absent:
        return whole
    if not present and len(parts) > 1:
        return f"{whole} bare"
    if present and len(absent) > len(present):
        return f"{whole} with {listed(present)} alone"
    return f"{whole} without {listed(absent)}"


def _check_kinds(arm: object, design: object) -> None:
    """Raise ValueError for what is no arm, or no design."""
    if not isinstance(arm, Arm):
        raise ValueError(f"an ablation must be of an Arm, got {arm!r}; write ablate(Arm(FDA, beta=0.01), ...)")
    if not isinstance(design, Design):
        call = f"; call it: {design.__name__}()" if isinstance(design, type) else ""
        raise ValueError(
            "an ablation's design must be LeaveOneOut(), AddOneIn(), FullFactorial(), FractionalFactorial(most=16) or "
            f"AblationPath(), got {design!r}{call}"
        )


def _check_retuned(arm: Arm, parts: Mapping[str, Mapping[Any, Any]], retuned: bool | None) -> None:
    """Raise ValueError where it is open, or impossible, at which values rows run."""
    if not isinstance(retuned, bool | None):
        raise ValueError(f"retuned must be True or False, got {retuned!r}")
    if arm.ranges and retuned is None:
        raise ValueError(
            f"an ablation of an arm with ranges, here {', '.join(arm.ranges)}, must say where its rows get their "
            "values; write retuned=True to have each row search, or retuned=False to have all take what the search of "
            "the row with all parts has chosen"
        )
    if retuned is False:
        for name, change in parts.items():
            for key, value in change.items():
                if isinstance(value, Range):
                    raise ValueError(
                        f"part {name!r} must give {key} one value where nothing is searched again, got {value}; write "
                        "retuned=True"
                    )


def _check_apart(rows: Mapping[str, Arm]) -> None:
    """Raise ValueError where two rows are the same: a part acts only where another one is."""
    seen: list[tuple[str, object]] = []
    for name, arm in rows.items():
        same = next((other for other, known in seen if known == settings(arm)), None)
        if same is not None:
            raise ValueError(
                f"rows {same!r} and {name!r} are the same, since a part changes nothing where another is taken away; "
                "join the two into one part, or take LeaveOneOut()"
            )
        seen.append((name, settings(arm)))
