"""The ablation that would tell: study files whose rows lead from one trial to another, setting by setting.

Records may be somebody else's: nothing of theirs is taken for code. Classes are those of the shelves, with their
fields; values are numbers, truth values and choices that a field lists; the rest are texts within quotation marks.
"""

from platform.results.against.proposal.design import Around, Proposal, propose, rows_before
from platform.results.against.proposal.factors import factors_between
from platform.results.against.proposal.setup import Unsayable
from platform.results.against.proposal.source import sources
from platform.results.against.proposal.unsaid import Unsaid, remedies, unsaid

__all__ = [
    "Around",
    "Proposal",
    "Unsaid",
    "Unsayable",
    "factors_between",
    "propose",
    "remedies",
    "rows_before",
    "sources",
    "unsaid",
]
