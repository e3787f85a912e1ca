"""Source images that another program has translated: CycleGAN (Zhu et al., ICCV 2017, arXiv 1703.10593), or CyCADA
(Hoffman et al., ICML 2018, arXiv 1711.03213).

Each image that the source trains on is replaced by the image of its name in a folder, and keeps its labels:

    min  CE(S(G(x_s)), y_s),   G from source to target, trained before

Images are RGB in [0, 255], resized as the shift's are, and decoded once to the node's cache. Other translations of the
arm change what the folder holds. The source's validation images stay as they are: the folder need not have them.

Departure: CyCADA trains G, the segmentation network and discriminators of features in turn; here G is fixed.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from platform.methods.method import Method
from platform.networks.hyperparameters import hyperparameter
from platform.shifts.files.image_folder import digest_of, images_of, placed
from platform.shifts.shift import Arrays, LabelledImages


@dataclass(frozen=True, kw_only=True)
class TranslatedImages(Method):
    """Train on translations of the source's images that lie in a folder."""

    reads = frozenset({"source"})
    smoke: ClassVar[Mapping[str, Any]] = {"folder": ""}
    folder: str = hyperparameter("translated", kind=str)
    """A full path, or one in the folder that `--data` or PLATFORM_DATA names, which may be another on each machine.

    Empty for the source's own images, as in a smoke run.
    """

    def source_images(self, labelled: LabelledImages) -> Arrays | None:
        if not self.folder:
            return None
        place, (height, width) = placed(self.folder), labelled.images.pixels.shape[1:3]
        return images_of(place, digest_of(place), labelled.images.names, (height, width))

    def data(self) -> str | None:
        return digest_of(placed(self.folder)) if self.folder else None
