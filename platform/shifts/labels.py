"""The 19 evaluated classes of Cityscapes: the one table of names, ids and colours that everything uses."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

VOID = 255
"""Train id of pixels of no evaluated class."""


class Class(NamedTuple):
    """One evaluated class; its train id is its position in `CLASSES`."""

    name: str
    label_id: int
    """The id in `*_labelIds.png` of Cityscapes and in the palette of GTA5's labels."""
    colour: tuple[int, int, int]


CLASSES = (
    Class("road", 7, (128, 64, 128)),
    Class("sidewalk", 8, (244, 35, 232)),
    Class("building", 11, (70, 70, 70)),
    Class("wall", 12, (102, 102, 156)),
    Class("fence", 13, (190, 153, 153)),
    Class("pole", 17, (153, 153, 153)),
    Class("traffic light", 19, (250, 170, 30)),
    Class("traffic sign", 20, (220, 220, 0)),
    Class("vegetation", 21, (107, 142, 35)),
    Class("terrain", 22, (152, 251, 152)),
    Class("sky", 23, (70, 130, 180)),
    Class("person", 24, (220, 20, 60)),
    Class("rider", 25, (255, 0, 0)),
    Class("car", 26, (0, 0, 142)),
    Class("truck", 27, (0, 0, 70)),
    Class("bus", 28, (0, 60, 100)),
    Class("train", 31, (0, 80, 100)),
    Class("motorcycle", 32, (0, 0, 230)),
    Class("bicycle", 33, (119, 11, 32)),
)

NAMES = tuple(entry.name for entry in CLASSES)
NUM_CLASSES = len(CLASSES)
LARGEST_LABEL_ID = 34
"""GTA5's palette ends at 34 (licence plate); Cityscapes writes its licence plate, -1, as 255."""

Groups = tuple[tuple[int, ...], ...]
"""What a ground truth distinguishes: groups of train ids. A prediction of any member counts as the group; train ids in
no group are void."""

SINGLE_CLASSES: Groups = tuple((train_id,) for train_id in range(NUM_CLASSES))


def train_id(name: str) -> int:
    """The train id of a class name; raises ValueError for a name that is not in the table."""
    if name not in NAMES:
        raise ValueError(f"{name!r} is not a class. The classes are: {', '.join(NAMES)}")
    return NAMES.index(name)


def groups(*members: str) -> Groups:
    """Groups from class names, members of one group joined by '+': `groups("road", "wall+fence")`."""
    named = tuple(tuple(train_id(name) for name in group.split("+")) for group in members)
    flat = [member for group in named for member in group]
    if repeated := {NAMES[member] for member in flat if flat.count(member) > 1}:
        raise ValueError(f"a class belongs to one group at most; {', '.join(sorted(repeated))} is in several")
    return named


def check_groups(evaluated: Groups) -> None:
    """Raise ValueError unless groups are two or more disjoint tuples of train ids."""
    flat = [member for group in evaluated for member in group] if isinstance(evaluated, tuple) else []
    if not flat or not all(type(member) is int and 0 <= member < NUM_CLASSES for member in flat) or () in evaluated:
        raise ValueError(
            f"groups must be tuples of train ids from 0 to {NUM_CLASSES - 1}, got {evaluated!r}; "
            'platform.shifts.groups("road", "wall+fence") makes them from names'
        )
    if len(set(flat)) < len(flat):
        raise ValueError(f"a class belongs to one group at most, got {evaluated!r}; name each train id once")
    if len(evaluated) < 2:
        raise ValueError(f"a shift evaluates two groups or more, got {evaluated!r}: every prediction of one scores 1")


def group_names(evaluated: Groups) -> tuple[str, ...]:
    """The name of each group: its members' names, joined by '+'."""
    return tuple("+".join(NAMES[member] for member in group) for group in evaluated)


CAMVID_11 = groups(
    "road",
    "sidewalk",
    "building",
    "wall+fence",
    "pole",
    "traffic light+traffic sign",
    "vegetation+terrain",
    "sky",
    "person",
    "rider+motorcycle+bicycle",
    "car+truck+bus+train",
)
"""CamVid's 11 classes (Brostow, Fauqueur, Cipolla, 2009) in Cityscapes' terms."""


def label_id_to_train_id() -> npt.NDArray[np.uint8]:
    """Lookup table of 256 entries from label id to train id, void for ids that are not evaluated."""
    table = np.full(256, VOID, np.uint8)
    for position, entry in enumerate(CLASSES):
        table[entry.label_id] = position
    return table


def palette() -> npt.NDArray[np.uint8]:
    """Colours, shape (256, 3), indexed by train id; void is black."""
    colours = np.zeros((256, 3), np.uint8)
    colours[:NUM_CLASSES] = [entry.colour for entry in CLASSES]
    return colours
