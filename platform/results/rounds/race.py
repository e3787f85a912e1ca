"""A race of the rows: more seeds for those alone that the seeds so far do not tell apart."""

import itertools
from collections.abc import Mapping, Sequence

from platform.results.comparison import BySeed, placed
from platform.results.runs import first


def raced(scores: Mapping[str, BySeed], asked: Mapping[str, int], looks: Sequence[int]) -> dict[str, int]:
    """The seeds of each row of equal budget, by its name, once all that was `asked` for has ended.

    At each look a row whose rank is open, since there is another that it is not told from, gets the seeds of the next
    one. A row that was told from all others keeps what it has, unless a later look leaves its rank open again. What is
    seen at a look never changes later.
    """
    seeds = dict.fromkeys(scores, looks[0])
    for look, more in itertools.pairwise(looks):
        seen = {name: first(scores[name], min(seeds[name], look)) for name in scores}
        open_ = [name for name, rank in placed(seen, len(looks)).items() if rank.best < rank.worst]
        seeds |= dict.fromkeys(open_, more)
        if all(asked[name] <= look for name in open_):
            break
    return seeds
