"""The factors of a drawn portrait: what varies from one face to the next, each drawn independently of the others."""

from __future__ import annotations

import colorsys
from typing import Literal, NamedTuple, TypeVar

import numpy as np

Colour = tuple[int, int, int]
Choice = TypeVar("Choice", bound=str)

Collar = Literal["crew", "v-neck", "shirt", "scarf"]
Glasses = Literal["none", "round", "square"]
Beard = Literal["none", "moustache", "goatee", "full"]
Hat = Literal["none", "beanie", "cap"]
Earrings = Literal["none", "stud", "hoop"]

COLLARS: tuple[Collar, ...] = ("crew", "v-neck", "shirt", "scarf")
GLASSES: tuple[Glasses, ...] = ("none", "round", "square")
BEARDS: tuple[Beard, ...] = ("none", "moustache", "goatee", "full")
HATS: tuple[Hat, ...] = ("none", "beanie", "cap")
EARRINGS: tuple[Earrings, ...] = ("none", "stud", "hoop")

# From deep to pale; a skin is a mixture of two neighbours.
_SKINS = np.array([(84, 52, 38), (124, 78, 54), (168, 112, 80), (205, 152, 116), (232, 188, 154), (248, 214, 188)])
# From black over brown, red and blond to grey and white.
_HAIRS = np.array(
    [(28, 24, 28), (62, 40, 30), (106, 66, 40), (158, 74, 40), (196, 140, 72), (232, 198, 128), (168, 166, 170)]
)
_IRISES = np.array([(62, 42, 30), (106, 72, 40), (84, 112, 72), (72, 112, 156), (96, 110, 120)])


class Factors(NamedTuple):
    """One portrait. Numbers are in [0, 1] unless said otherwise and independent of each other."""

    background: Colour
    """Upper colour of the background."""
    background_low: Colour
    """Lower colour of the background, of the same hue."""
    clothes: Colour
    accent: Colour
    """Colour of collar, hat band and scarf."""
    skin: Colour
    hair: Colour
    iris: Colour
    hair_length: float
    """0 cropped above the ears, 1 over the shoulders."""
    hair_volume: float
    fringe: float
    """0 a high forehead, 1 down to the brows."""
    parting: float
    """Where the fringe parts: 0 left, 1 right."""
    face_width: float
    jaw: float
    """0 pointed, 1 square."""
    eye_size: float
    eye_spacing: float
    gaze: float
    """0 to the left, 1 to the right."""
    brow_tilt: float
    """0 worried, 1 stern."""
    brow_thickness: float
    nose_length: float
    nose_width: float
    smile: float
    """0 frown, 1 smile."""
    mouth_width: float
    lips: float
    """0 thin and pale, 1 full and red."""
    blush: float
    shoulders: float
    """0 narrow, 1 broad."""
    collar: Collar
    glasses: Glasses
    beard: Beard
    hat: Hat
    earrings: Earrings


def _hsv(hue: float, saturation: float, value: float) -> Colour:
    red, green, blue = colorsys.hsv_to_rgb(hue % 1.0, saturation, value)
    return int(255 * red), int(255 * green), int(255 * blue)


def _between(palette: np.ndarray, place: float) -> Colour:
    """The colour at `place` in [0, 1] along a palette of shape (colours, 3)."""
    x = place * (len(palette) - 1)
    i = min(int(x), len(palette) - 2)
    red, green, blue = palette[i] + (x - i) * (palette[i + 1] - palette[i])
    return int(red), int(green), int(blue)


def _choose(options: tuple[Choice, ...], place: float, none: float) -> Choice:
    """The first option with probability `none`, the others equally likely; `place` is uniform in [0, 1)."""
    if place < none:
        return options[0]
    return options[1 + int((place - none) / (1.0 - none) * (len(options) - 1))]


def sample_factors(rng: np.random.Generator) -> Factors:
    """Draws the factors of one portrait, each independently of all others."""
    u = rng.random(36)
    background = (u[0], 0.15 + 0.4 * u[1], 0.55 + 0.43 * u[2])
    return Factors(
        background=_hsv(*background),
        background_low=_hsv(background[0] + 0.06 * (u[3] - 0.5), background[1], background[2] * (0.62 + 0.38 * u[4])),
        clothes=_hsv(u[5], 0.25 + 0.6 * u[6], 0.25 + 0.65 * u[7]),
        accent=_hsv(u[8], 0.15 + 0.6 * u[9], 0.45 + 0.5 * u[10]),
        skin=_between(_SKINS, u[11]),
        hair=_between(_HAIRS, u[12]),
        iris=_between(_IRISES, u[13]),
        hair_length=u[14],
        hair_volume=u[15],
        fringe=u[16],
        parting=u[17],
        face_width=u[18],
        jaw=u[19],
        eye_size=u[20],
        eye_spacing=u[21],
        gaze=u[22],
        brow_tilt=u[23],
        brow_thickness=u[24],
        nose_length=u[25],
        nose_width=u[26],
        smile=u[27],
        mouth_width=u[28],
        lips=u[29],
        blush=u[30],
        shoulders=u[31],
        collar=_choose(COLLARS, u[32], none=0.4),
        glasses=_choose(GLASSES, u[33], none=0.7),
        beard=_choose(BEARDS, u[34], none=0.65),
        hat=_choose(HATS, u[35], none=0.75),
        earrings=_choose(EARRINGS, rng.random(), none=0.7),
    )
