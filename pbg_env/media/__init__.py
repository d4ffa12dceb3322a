"""What a medium is: how it is read, seen, shown, saved and logged."""

from pbg_env.media.audio import SoundMedium
from pbg_env.media.base import MediaError, Medium, as_perceived
from pbg_env.media.image import ImageMedium

__all__ = ["ImageMedium", "MediaError", "Medium", "SoundMedium", "as_perceived"]
