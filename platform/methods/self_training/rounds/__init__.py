"""Self-training in rounds: frozen teachers label the target, by thresholds that are found over all of its images."""

from platform.methods.self_training.rounds.confidence import as_probable, histogram, ranked
from platform.methods.self_training.rounds.teaching import (
    begun,
    counted,
    follow_the_surest,
    learned,
    players_of_rounds,
    probabilities,
    refuse_untaught,
    thresholds_of,
)

__all__ = [
    "as_probable",
    "begun",
    "counted",
    "follow_the_surest",
    "histogram",
    "learned",
    "players_of_rounds",
    "probabilities",
    "ranked",
    "refuse_untaught",
    "thresholds_of",
]
