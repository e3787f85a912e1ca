"""The data of a training run: which images each step sees, in which style, how augmented."""
