"""What a medium is: how it is read, seen, shown, saved and logged."""

from pbg_env.media.base import MediaError, Medium
from pbg_env.media.image import ImageMedium

__all__ = ["ImageMedium", "MediaError", "Medium"]
