"""Effects in the page and as CSV: largest first, with their aliases, and told how they are to be read."""

import csv
import dataclasses
import io

import pytest

from platform.design.ablation.designs import Design
from platform.results.ablation.effects import ablations
from platform.results.lines import p_value
from platform.results.report import comma_separated, markdown, terminal
from platform.results.report.page.effects import of_ablations
from platform.results.report.sections.effects import of_the_path, reading
from platform.study import AblationPath, AddOneIn, FractionalFactorial, FullFactorial, LeaveOneOut
from tests.support.ablated import ablated
from tests.support.invented_study import made


def lines_of(design: Design) -> list[str]:
    *_, table = ablated(design)
    return "\n".join(of_ablations(table)).split("### ")[0].splitlines()


def test_a_study_without_an_ablation_has_no_section() -> None:
    *_, table = made()
    assert of_ablations(table) == []
    assert "Ablation" not in markdown.render(table)


def test_the_page_has_the_section_behind_its_table() -> None:
    *_, table = ablated(LeaveOneOut())
    page = markdown.render(table)
    assert page.index("| arm ") < page.index("## Ablation of ours: leave one out") < page.index("## Which checkpoint")


@pytest.mark.parametrize(
    "design", [LeaveOneOut(), AddOneIn(), FullFactorial(), FractionalFactorial(most=4), AblationPath()]
)
def test_each_effect_has_its_line_the_largest_first_and_bold_where_it_is_told_from_chance(design: Design) -> None:
    *_, table = ablated(design)
    (found,) = ablations(table)
    shown = [line for line in lines_of(design) if line.startswith("| ")][2:]
    assert len(shown) == len(found.effects)
    for line, effect in zip(shown, found.in_order, strict=True):
        name, miou, p, seeds, *beside = (cell.strip() for cell in line.strip("|").split(" | "))
        assert name == effect.contrast.name
        assert miou.startswith("**") == effect.worth.told
        assert f"{effect.worth.miou:+.3f} ± {effect.worth.miou_ci:.3f}" in miou
        assert p == p_value(effect.worth.p)
        assert seeds == "3"
        said = next(iter(effect.contrast.weights)) if found.is_path else " ".join(effect.contrast.aliases)
        assert [each.replace("\\", "") for each in beside] == [said] * bool(beside)


def test_a_full_factorial_has_its_path_in_the_order_of_its_steps() -> None:
    *_, table = ablated(FullFactorial())
    (found,) = ablations(table)
    text = "\n\n".join(of_ablations(table)).split("### ours part by part")[1]
    shown = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("| ")][2:]
    assert [line[0] for line in shown] == [step.part for step in found.path]
    for (_, miou, p, _, gives), step in zip(shown, found.path, strict=True):
        assert f"{step.worth.miou:+.3f} ± {step.worth.miou_ci:.3f}" in miou
        assert miou.startswith("**") == step.worth.told
        assert (p, gives) == (p_value(step.worth.p), step.row)
    *_, other = ablated(LeaveOneOut())
    assert "part by part" not in "\n".join(of_ablations(other))


def test_what_one_row_has_and_another_lacks_is_no_interaction() -> None:
    names = [line.split(" | ")[0] for line in lines_of(AddOneIn()) if line.startswith("| ")]
    assert "| flips + adversary + entropy" in names
    assert not any(" x " in line for line in lines_of(AddOneIn()))


def test_a_single_seed_has_no_interval() -> None:
    *_, table = ablated(LeaveOneOut(), seeds=1)
    text = "\n".join(of_ablations(table))
    assert "A single seed has no interval: do not rank these effects." in text
    assert "±" not in text


def test_a_fraction_names_what_it_cannot_tell_apart() -> None:
    lines = lines_of(FractionalFactorial(most=4))
    assert "together with" in next(line for line in lines if line.startswith("| effect"))
    assert any("| \\+ flips x adversary |" in line for line in lines)
    assert any("of resolution III: effects cannot be told from interactions of two parts" in line for line in lines)
    assert not any("resolution" in line for line in lines_of(FullFactorial()))


def test_the_csv_has_one_line_per_effect() -> None:
    *_, table = ablated(FractionalFactorial(most=4), name="=ours")
    found = ablations(table)
    lines = list(csv.DictReader(io.StringIO(comma_separated.render_effects(found))))
    assert [line["effect"] for line in lines] == ["flips", "adversary", "entropy"]
    assert [line["aliases"] for line in lines] == [
        "'+ adversary x entropy",
        "'+ flips x entropy",
        "'+ flips x adversary",
    ]
    assert {(line["ablation"], line["design"], line["retuned"]) for line in lines} == {
        ("'=ours", "fractional factorial", "")
    }
    assert [float(line["miou"]) for line in lines] == [effect.worth.miou for effect in found[0].effects]
    assert [float(line["p"]) for line in lines] == [effect.worth.p for effect in found[0].effects]


def test_a_path_that_ends_before_its_end_says_so() -> None:
    *_, table = ablated(AblationPath())
    (found,) = ablations(table)
    assert "It ends" not in of_the_path(found)
    cut = dataclasses.replace(found, path=found.path[:1])
    assert "It ends 2 steps before that, for want of rows with scores." in of_the_path(cut)
    assert reading(found)[0] == of_the_path(found)
    assert "adjusted by Holm's method for all that was tried" in reading(found)[-1]


@pytest.mark.parametrize("design", [LeaveOneOut(), FractionalFactorial(most=4), AblationPath()])
def test_the_terminal_has_every_effect_with_its_aliases(design: Design) -> None:
    *_, table = ablated(design)
    (found,) = ablations(table)
    text = " ".join(terminal.render(table, 120).split())
    for effect in found.in_order:
        name = " ".join((effect.contrast.name, *effect.contrast.aliases))
        star = " *" if effect.worth.told else ""
        assert f"{name} {effect.worth.miou:+.3f}±{effect.worth.miou_ci:.3f}{star} {p_value(effect.worth.p)} 3" in text
    assert max(map(len, terminal.render(table, 52).splitlines())) <= 52


def test_effects_of_rows_that_raced_say_so() -> None:
    *_, table = ablated(LeaveOneOut())
    raced = dataclasses.replace(table, header=dataclasses.replace(table.header, seeds=12, looks=(3, 6, 12)))
    (found,) = ablations(raced)
    said = reading(found)[-1]
    assert said.startswith("± is the half-width of the 98.3 % Student-t interval")
    assert "for all 3 effects, and for the 3 looks of the race, is at most 0.05" in said
    assert f"Effects of {found.name}: * where p, adjusted" in " ".join(terminal.render(raced).split())
    assert reading(ablations(table)[0])[-1].startswith("± is the half-width of the 95 % Student-t interval")
