"""The question: arms, ranges, budget, early stopping; and its plan."""
