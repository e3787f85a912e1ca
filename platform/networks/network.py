"""What every network is: from images to a prediction."""

from torch import nn


class Network(nn.Module):
    """What is trained and deployed: images (batch, 3, height, width) in [0, 255] to a `Prediction`.

    `network(images)` gives what is deployed, `network(images, auxiliary=True)` adds the heads that only training needs.
    """

    def published(self) -> nn.Module:
        """The network as its authors published it, as its cost is compared with theirs: images to logits at their size.

        Itself, unless it is computed in another order here or lacks something that is never used.
        """
        return self
