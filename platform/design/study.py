"""A study: a question, asked of arms that share a shift, a recipe, a budget and a way to be searched."""

import difflib
import functools
import graphlib
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from platform.design.ablation.check import check_ablations
from platform.design.arm import LONGEST_NAME, Arm
from platform.design.asha import ASHA
from platform.design.budget import Budget
from platform.design.ranges import check_whole
from platform.design.row import Row
from platform.records.plain import check_name, plain
from platform.records.record import LAST, SELECTED
from platform.scores.selectors import NormAndPrior
from platform.scores.selectors.choice import chosen, name_of
from platform.scores.selectors.selector import Selector
from platform.shifts.shift import SMALLEST_SIDE, Shift
from platform.training.recipe import Recipe

SMOKE_BATCH = 2
FEWEST_RACED = 2
"""Seeds that show a spread."""


@dataclass(frozen=True, kw_only=True)
class Study:
    """A question, everything known before anything runs; checked when it is made."""

    shift: Shift
    arms: Mapping[str, Arm]
    reference: str
    """The arm that differences are taken to."""
    select: str | Selector = NormAndPrior.name
    """What stops and picks in the search, by its name, or a selector of your own; `oracle/` uses target labels.

    The default is what the audits in docs/science.md justify.
    """
    checkpoint: Literal["last", "selected"] = "last"
    """Which checkpoint of a confirm trial the table scores: the last, or the one that `select` picks."""
    search: ASHA | None = None
    """How arms with ranges are searched; None where no arm has any."""
    budget: Budget
    seeds: int = 5
    """Confirm trials per arm, each on a fresh seed; where rows race, at most."""
    race_from: int | None = None
    """Seeds that every row has before rows race: only those whose rank is open get twice as many, and twice again, up
    to `seeds`. None gives all rows all of them."""
    recipe: Recipe = field(default_factory=Recipe)
    """The base that arms may override field by field."""

    def __post_init__(self) -> None:
        for name, kind in (("shift", Shift), ("budget", Budget), ("recipe", Recipe)):
            if not isinstance(getattr(self, name), kind):
                value = getattr(self, name)
                call = f"; call it: {value.__name__}()" if callable(value) and hasattr(value, "__name__") else ""
                raise ValueError(f"Study.{name} must be a {kind.__name__}, got {value!r}{call}")
        if min(self.shift.size) < SMALLEST_SIDE:
            raise ValueError(
                f"Study.shift must have images of at least {SMALLEST_SIDE} pixels a side, got {self.shift.size}"
            )
        if self.search is not None and not isinstance(self.search, ASHA):
            raise ValueError(f"Study.search must be an ASHA or None, got {self.search!r}; write search=ASHA(trials=12)")
        check_whole(self, "seeds", least=1)
        self._check_race()
        self._check_arms()
        if not self.shift.few and (reading := [name for name, arm in self.arms.items() if "few" in arm.reads]):
            raise ValueError(
                f"arm {reading[0]!r} reads labelled target images, of which Study.shift grants none; "
                "set few, the number of them, in the shift"
            )
        selector = chosen(self.select)
        if self.checkpoint not in (LAST, SELECTED):
            raise ValueError(f"Study.checkpoint must be {LAST!r} or {SELECTED!r}, got {self.checkpoint!r}")
        if self.checkpoint == SELECTED and selector is not None and selector.compares():
            raise ValueError(
                f"Study.checkpoint must be {LAST!r} with {name_of(self.select)}, which compares trials at one step and "
                f"cannot pick among steps, got {SELECTED!r}"
            )
        if self.search is None and (searched := [name for name, arm in self.arms.items() if arm.ranges]):
            raise ValueError(f"arm {searched[0]!r} has ranges but Study.search is missing; add search=ASHA(trials=12)")

    def _check_race(self) -> None:
        if self.race_from is None:
            return
        check_whole(self, "race_from", least=FEWEST_RACED)
        if self.race_from >= self.seeds:
            raise ValueError(
                f"Study.race_from must be less than seeds, which is {self.seeds}, got {self.race_from}; give seeds the "
                "most that a row may have, or leave race_from out"
            )

    def _check_arms(self) -> None:
        if not isinstance(self.arms, Mapping) or not self.arms:
            raise ValueError(f"Study.arms must map at least one name to an Arm, got {self.arms!r}")
        # Names from a data frame or an array are texts of NumPy's.
        object.__setattr__(self, "arms", {plain(name): arm for name, arm in self.arms.items()})
        object.__setattr__(self, "reference", plain(self.reference))
        folded: dict[str, str] = {}
        for name, arm in self.arms.items():
            if isinstance(arm, Mapping) and arm and all(isinstance(each, Arm) for each in arm.values()):
                raise ValueError(
                    f"arm {name!r} must be an Arm, got {len(arm)} of them by their names; write **ablate(...)"
                )
            if not isinstance(arm, Arm):
                raise ValueError(f"arm {name!r} must be an Arm, got {arm!r}; write Arm(FDA, beta=0.01)")
            check_name("an arm's name", name, LONGEST_NAME)
            key = " ".join(unicodedata.normalize("NFC", name).casefold().split())
            if key in folded:
                raise ValueError(f"arm names must differ by more than case and blanks: {folded[key]!r} and {name!r}")
            folded[key] = name
            try:
                arm.warm_up(self.recipe)
                arm.check_norms(self.recipe)
            except ValueError as error:
                raise ValueError(f"arm {name!r}: {error}") from error
        self._require_arm("Study.reference", self.reference)
        for name, arm in self.arms.items():
            for followed in arm.follows:
                self._require_arm(f"arm {name!r}: what it comes after", followed, besides=name)
            if arm.tuner:
                self._require_arm(f"arm {name!r}: what it is tuned as", arm.tuner, besides=name)
                _check_lent(name, arm, self.arms[arm.tuner])
        try:
            graphlib.TopologicalSorter(self._waits_for).prepare()
        except graphlib.CycleError as error:
            circle = " after ".join(map(repr, error.args[1][::-1]))
            raise ValueError(
                f"an arm must not come after itself, got {circle}; leave one `after` or `tuned_as` out"
            ) from error
        check_ablations(self.arms)

    @property
    def _waits_for(self) -> dict[str, tuple[str, ...]]:
        """By arm, those of which something must be known before its own trials are."""
        return {name: (*arm.follows, *([arm.tuner] if arm.tuner else [])) for name, arm in self.arms.items()}

    def _require_arm(self, what: str, name: str, besides: str | None = None) -> None:
        if name not in list(self.arms):
            offered = [arm for arm in self.arms if arm != besides]
            near = difflib.get_close_matches(str(name), offered, n=1)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            names = ", ".join(map(repr, offered))
            raise ValueError(f"{what} must be one of the arms, {names}, got {name!r}.{hint}")

    @functools.cached_property
    def rungs(self) -> tuple[int, ...]:
        """The steps at which search trials may be stopped: the same in every arm, so that every row is judged alike."""
        return () if self.search is None else self.search.rungs(self.budget.evaluated_steps, self.warm_up)

    @functools.cached_property
    def looks(self) -> tuple[int, ...]:
        """The seeds at which a race looks at a row, each twice those before, up to `seeds`; one without a race."""
        looks = [self.seeds if self.race_from is None else self.race_from]
        while looks[-1] < self.seeds:
            looks.append(min(2 * looks[-1], self.seeds))
        return tuple(looks)

    @property
    def warm_up(self) -> float:
        """The longest warm-up that a trial of any arm may have, as a fraction of the steps."""
        return max(arm.warm_up(self.recipe) for arm in self.arms.values())

    @property
    def selector(self) -> Selector | None:
        """What `select` means; None where target labels select."""
        return chosen(self.select)

    @property
    def selected_by(self) -> str:
        """What tables call it."""
        return name_of(self.select)

    @functools.cached_property
    def rows(self) -> tuple[Row, ...]:
        """The arms, each with what the study gives to all of them."""
        made: dict[str, Row] = {}
        for name in graphlib.TopologicalSorter(self._waits_for).static_order():
            tuner = self.arms[name].tuner
            made[name] = Row(
                name=name,
                arm=self.arms[name],
                shift=self.shift,
                recipe=self.recipe,
                budget=self.budget,
                search=self.search,
                select=self.selected_by,
                seeds=self.seeds,
                given=tuple(made[followed] for followed in self.arms[name].follows),
                lender=made[tuner] if tuner else None,
                starts_searches=self._starts_searches(name),
            )
        return tuple(made[name] for name in self.arms)

    def _starts_searches(self, name: str) -> bool:
        """Whether search trials of another arm begin from a trial of this one, or from one that begins from it."""
        after = (other for other, arm in self.arms.items() if name in arm.follows)
        return any(self.arms[other].searches or self._starts_searches(other) for other in after)

    def row(self, name: str) -> Row:
        """The row of an arm."""
        return self._rows[name]

    @functools.cached_property
    def _rows(self) -> dict[str, Row]:
        return {row.name: row for row in self.rows}

    def smoke(self) -> "Study":
        """The same rows, reference and selector on a tiny shift, with a budget that a laptop spends in seconds."""
        return replace(
            self,
            shift=self.shift.smoke(),
            arms={name: arm.smoke() for name, arm in self.arms.items()},
            budget=Budget(steps=4, evaluations=4, cpus=self.budget.cpus, silence=self.budget.silence),
            search=None
            if self.search is None
            else ASHA(trials=2, grace=0.25, smoothing=2, promote=self.search.promote),
            seeds=1,
            race_from=None,
            recipe=replace(self.recipe, batch=SMOKE_BATCH, network=self.recipe.network.smoke()),
        )


def _check_lent(name: str, arm: Arm, lender: Arm) -> None:
    """Raise ValueError unless an arm's ranges are searched by the arm whose values it takes."""
    if not lender.searches:
        raise ValueError(
            f"arm {name!r} must be tuned as an arm that searches, and {arm.tuner!r} searches nothing of its own; name "
            "the one whose search it takes part in, or leave tuned_as out"
        )
    for searched, range_ in arm.ranges.items():
        if lender.ranges.get(searched) != range_:
            there = lender.ranges.get(searched, "no range")
            raise ValueError(
                f"arm {name!r} takes {searched} from the search of {arm.tuner!r}, which must be over the same range, "
                f"{range_}, and has {there}; give both the same, or {searched} one value"
            )
