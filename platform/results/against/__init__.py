"""Why a number differs from another: two studies or two trials side by side, and the ablation that would tell."""
