"""From a game to photographs: GTA5 to Cityscapes."""

from platform.shifts.gta5_to_cityscapes.shift import GTA5ToCityscapes, gta5_to_cityscapes

__all__ = ["GTA5ToCityscapes", "gta5_to_cityscapes"]
