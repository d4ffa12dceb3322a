"""Draws a portrait from its factors with Pillow: shapes on a canvas several times the size, averaged down."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from PIL import Image, ImageDraw

from pbg_env.generators.avatars.factors import Colour, Factors, sample_factors

_SUPERSAMPLING = 4
_INK: Colour = (38, 30, 36)
_EYE_WHITE: Colour = (250, 248, 244)
_GOLD: Colour = (232, 190, 84)


def _mix(colour: Colour, other: Colour, share: float) -> Colour:
    """`colour` with a share in [0, 1] of `other`."""
    r, g, b = (int(a + share * (z - a)) for a, z in zip(colour, other, strict=True))
    return r, g, b


@lru_cache(maxsize=8)
def _circle(points: int) -> tuple[np.ndarray, np.ndarray]:
    angle = np.linspace(0.0, 2 * np.pi, points, endpoint=False)
    return np.cos(angle), np.sin(angle)


class _Canvas:
    """A drawing surface with coordinates in [0, 1] from the upper left."""

    def __init__(self, size: int, top: Colour, bottom: Colour) -> None:
        self.pixels = size * _SUPERSAMPLING
        gradient = Image.new("RGB", (1, 2), top)
        gradient.putpixel((0, 1), bottom)
        self.image = gradient.resize((1, self.pixels), Image.Resampling.BILINEAR).resize((self.pixels, self.pixels))
        self.draw = ImageDraw.Draw(self.image)

    def ellipse(self, x: float, y: float, rx: float, ry: float, colour: Colour) -> None:
        n = self.pixels
        self.draw.ellipse(((x - rx) * n, (y - ry) * n, (x + rx) * n, (y + ry) * n), fill=colour)

    def ring(self, x: float, y: float, rx: float, ry: float, colour: Colour, width: float) -> None:
        n = self.pixels
        box = ((x - rx) * n, (y - ry) * n, (x + rx) * n, (y + ry) * n)
        self.draw.ellipse(box, outline=colour, width=max(1, round(width * n)))

    def box(self, x: float, y: float, rx: float, ry: float, radius: float, colour: Colour) -> None:
        n = self.pixels
        box = ((x - rx) * n, (y - ry) * n, (x + rx) * n, (y + ry) * n)
        self.draw.rounded_rectangle(box, radius * n, fill=colour)

    def frame(self, x: float, y: float, rx: float, ry: float, radius: float, colour: Colour, width: float) -> None:
        n = self.pixels
        box = ((x - rx) * n, (y - ry) * n, (x + rx) * n, (y + ry) * n)
        self.draw.rounded_rectangle(box, radius * n, outline=colour, width=max(1, round(width * n)))

    def polygon(self, xs: np.ndarray, ys: np.ndarray, colour: Colour) -> None:
        points = np.stack((xs, ys), axis=1) * self.pixels
        self.draw.polygon(points.ravel().tolist(), fill=colour)

    def corners(self, points: tuple[tuple[float, float], ...], colour: Colour) -> None:
        n = self.pixels
        self.draw.polygon([(x * n, y * n) for x, y in points], fill=colour)

    def line(self, points: tuple[tuple[float, float], ...], colour: Colour, width: float) -> None:
        n = self.pixels
        thick = max(1, round(width * n))
        self.draw.line([(x * n, y * n) for x, y in points], fill=colour, width=thick, joint="curve")
        for x, y in (points[0], points[-1]):
            r = thick / 2
            self.draw.ellipse((x * n - r, y * n - r, x * n + r, y * n + r), fill=colour)


class _Face:
    """The measures of one face, from which every part takes its place."""

    def __init__(self, f: Factors) -> None:
        self.x = 0.5
        self.y = 0.46
        self.rx = 0.185 + 0.055 * f.face_width
        self.ry = 0.265
        self.eyes_y = 0.45
        self.eye_dx = 0.082 + 0.03 * f.eye_spacing
        self.nose_y = 0.52 + 0.04 * f.nose_length
        self.mouth_y = 0.635
        self.chin_y = self.y + self.ry
        # Exponent of the superellipse below the cheeks: 2 is an oval, more is a square jaw.
        self.squareness = 1.75 + 1.6 * f.jaw

    def outline(self, grow: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
        """The contour of the face, 48 points."""
        cos, sin = _circle(48)
        power = np.where(sin > 0, 2.0 / self.squareness, 1.0)
        xs = self.x + self.rx * grow * np.sign(cos) * np.abs(cos) ** power
        ys = self.y + self.ry * grow * np.sign(sin) * np.abs(sin) ** np.where(sin > 0, 0.95, 1.0)
        return xs, ys


def _hair_behind(canvas: _Canvas, f: Factors, face: _Face) -> None:
    dark = _mix(f.hair, _INK, 0.25)
    volume = 0.02 + 0.07 * f.hair_volume
    canvas.ellipse(face.x, face.y - 0.04, face.rx + volume, face.ry + 0.3 * volume, dark)
    if f.hair_length > 0.25:
        low = 0.45 + 0.5 * f.hair_length
        half = (low - (face.y - 0.06)) / 2
        canvas.box(face.x, low - half, face.rx + volume, half, 0.09, dark)


def _body(canvas: _Canvas, f: Factors) -> None:
    shade = _mix(f.skin, _INK, 0.22)
    half = 0.28 + 0.14 * f.shoulders
    dark = _mix(f.clothes, _INK, 0.3)
    canvas.box(0.5, 1.05, half, 0.25, 0.14, f.clothes)
    if f.collar == "crew":
        canvas.ellipse(0.5, 0.8, 0.135, 0.07, f.accent)
    canvas.box(0.5, 0.72, 0.078, 0.12, 0.05, shade)
    if f.collar == "crew":
        canvas.ellipse(0.5, 0.805, 0.09, 0.045, shade)
    elif f.collar == "v-neck":
        canvas.corners(((0.385, 0.79), (0.5, 0.98), (0.615, 0.79)), f.accent)
        canvas.corners(((0.415, 0.78), (0.5, 0.94), (0.585, 0.78)), shade)
    elif f.collar == "shirt":
        canvas.corners(((0.42, 0.8), (0.5, 0.88), (0.58, 0.8)), shade)
        canvas.corners(((0.41, 0.77), (0.355, 0.84), (0.45, 0.93), (0.5, 0.87)), f.accent)
        canvas.corners(((0.59, 0.77), (0.645, 0.84), (0.55, 0.93), (0.5, 0.87)), f.accent)
        canvas.line(((0.5, 0.89), (0.5, 1.0)), dark, 0.012)
    else:
        canvas.box(0.5, 0.81, 0.15, 0.06, 0.05, f.accent)
        canvas.box(0.42, 0.9, 0.045, 0.1, 0.02, _mix(f.accent, _INK, 0.15))


def _ears(canvas: _Canvas, f: Factors, face: _Face) -> None:
    if f.hair_length > 0.8:
        return
    for side in (-1, 1):
        x = face.x + side * (face.rx + 0.005)
        canvas.ellipse(x, 0.475, 0.032, 0.05, _mix(f.skin, _INK, 0.1))
        if f.earrings == "stud":
            canvas.ellipse(x, 0.53, 0.017, 0.017, _GOLD)
        elif f.earrings == "hoop":
            canvas.ring(x, 0.55, 0.03, 0.036, _GOLD, 0.013)


def _beard(canvas: _Canvas, f: Factors, face: _Face) -> None:
    if f.beard == "full":
        xs, ys = face.outline(1.02)
        low = ys > 0.52
        t = np.linspace(-1.0, 1.0, 13)
        # From ear to ear below the cheeks, rising to neither nose nor eyes.
        cheeks_x, cheeks_y = face.x + 0.95 * face.rx * t, 0.595 - 0.08 * t**4
        canvas.polygon(np.concatenate((xs[low], cheeks_x)), np.concatenate((ys[low], cheeks_y)), f.hair)
    if f.beard in ("goatee", "full"):
        canvas.ellipse(face.x, face.mouth_y + 0.055, 0.075, 0.06, f.hair)
    if f.beard in ("moustache", "full"):
        canvas.ellipse(face.x - 0.035, face.mouth_y - 0.035, 0.05, 0.022, f.hair)
        canvas.ellipse(face.x + 0.035, face.mouth_y - 0.035, 0.05, 0.022, f.hair)


def _mouth(canvas: _Canvas, f: Factors, face: _Face) -> None:
    t = np.linspace(-1.0, 1.0, 13)
    half = 0.055 + 0.04 * f.mouth_width
    bend = 0.055 * (2 * f.smile - 1)
    curve = face.mouth_y + bend * (0.5 - t**2)
    thick = (0.011 + 0.014 * f.lips) * np.sqrt(1.0 - t**2) + 0.004
    colour = _mix(_mix(f.skin, _INK, 0.45), (190, 48, 62), 0.25 + 0.6 * f.lips)
    xs = face.x + half * t
    canvas.polygon(np.concatenate((xs, xs[::-1])), np.concatenate((curve - thick, (curve + thick)[::-1])), colour)
    if f.smile > 0.66:
        # A broad smile shows its teeth.
        opening = thick * (f.smile - 0.66) * 1.8
        inner = slice(2, -2)
        canvas.polygon(
            np.concatenate((xs[inner], xs[inner][::-1])),
            np.concatenate(((curve - opening)[inner], (curve + opening)[inner][::-1])),
            _EYE_WHITE,
        )


def _nose(canvas: _Canvas, f: Factors, face: _Face) -> None:
    half = 0.018 + 0.02 * f.nose_width
    shade = _mix(f.skin, _INK, 0.2)
    canvas.corners(
        ((face.x, face.nose_y - 0.085), (face.x - half, face.nose_y), (face.x + half, face.nose_y)),
        _mix(f.skin, _INK, 0.1),
    )
    canvas.ellipse(face.x, face.nose_y, half, 0.014, shade)


def _eyes(canvas: _Canvas, f: Factors, face: _Face) -> None:
    rx, ry = 0.04 + 0.015 * f.eye_size, 0.022 + 0.018 * f.eye_size
    look = 0.022 * (f.gaze - 0.5)
    brow = _mix(f.hair, _INK, 0.35)
    tilt = 0.035 * (f.brow_tilt - 0.5)
    for side in (-1, 1):
        x = face.x + side * face.eye_dx
        canvas.ellipse(x, face.eyes_y - 0.004, rx + 0.006, ry + 0.006, _mix(f.skin, _INK, 0.55))
        canvas.ellipse(x, face.eyes_y, rx, ry, _EYE_WHITE)
        canvas.ellipse(x + look, face.eyes_y, 0.82 * ry, 0.92 * ry, f.iris)
        canvas.ellipse(x + look, face.eyes_y, 0.4 * ry, 0.45 * ry, _INK)
        y = face.eyes_y - ry - 0.035
        width = 0.012 + 0.016 * f.brow_thickness
        canvas.line(((x - side * 0.045, y + tilt), (x, y - 0.008), (x + side * 0.05, y - tilt + 0.006)), brow, width)


def _hair_in_front(canvas: _Canvas, f: Factors, face: _Face) -> None:
    t = np.linspace(-1.0, 1.0, 17)
    top = face.y - face.ry
    volume = 0.015 + 0.045 * f.hair_volume
    wide = face.rx + 0.6 * volume
    part = -0.75 + 1.5 * f.parting
    # The hairline: highest at the parting, falling to the temples.
    hairline = top + 0.055 + 0.1 * f.fringe + 0.05 * np.clip(np.abs(t - part), 0, 1) ** 1.5
    hairline = np.minimum(hairline, face.eyes_y - 0.075) + 0.09 * np.abs(t) ** 6
    crown = face.y - 0.05 - (face.ry - 0.05 + volume) * np.sqrt(1 - 0.93 * t**2)
    xs = face.x + wide * t
    canvas.polygon(np.concatenate((xs, xs[::-1])), np.concatenate((crown, hairline[::-1])), f.hair)
    if f.hair_length > 0.25:
        # Locks beside the cheeks, as long as the hair behind.
        low = 0.4 + 0.42 * f.hair_length
        for side in (-1, 1):
            canvas.box(face.x + side * wide, (0.33 + low) / 2, 0.018 + 0.3 * volume, (low - 0.33) / 2, 0.02, f.hair)


def _hat(canvas: _Canvas, f: Factors, face: _Face) -> None:
    if f.hat == "none":
        return
    top = face.y - face.ry
    wide = face.rx + 0.035
    band = _mix(f.accent, _INK, 0.35)
    y = top + 0.085
    n = canvas.pixels
    dome = ((face.x - wide) * n, (top - 0.075) * n, (face.x + wide) * n, (2 * y - top + 0.075) * n)
    canvas.draw.pieslice(dome, 180, 360, fill=f.accent)
    if f.hat == "beanie":
        canvas.box(face.x, y, wide + 0.008, 0.032, 0.02, band)
        canvas.ellipse(face.x, top - 0.08, 0.04, 0.04, band)
    else:
        canvas.box(face.x + 0.06, y + 0.004, wide + 0.055, 0.022, 0.02, band)


def _glasses(canvas: _Canvas, f: Factors, face: _Face) -> None:
    if f.glasses == "none":
        return
    for side in (-1, 1):
        x = face.x + side * (face.eye_dx + 0.004)
        if f.glasses == "round":
            canvas.ring(x, face.eyes_y, 0.075, 0.072, _INK, 0.016)
        else:
            canvas.frame(x, face.eyes_y, 0.078, 0.056, 0.015, _INK, 0.018)
    inner = face.eye_dx - 0.07
    canvas.line(((face.x - inner, face.eyes_y - 0.01), (face.x + inner, face.eyes_y - 0.01)), _INK, 0.014)


def draw_portrait(factors: Factors, size: int = 64) -> Image.Image:
    """Draws one portrait.

    Args:
        factors: what to draw.
        size: side of the square picture in pixels, at least 1.

    Returns:
        An RGB picture of `size` × `size` pixels.

    Raises:
        ValueError: when `size` is below 1.
    """
    if size < 1:
        raise ValueError(f"size is {size}, expected a number of pixels of at least 1")
    face = _Face(factors)
    canvas = _Canvas(size, factors.background, factors.background_low)
    _hair_behind(canvas, factors, face)
    _body(canvas, factors)
    _ears(canvas, factors, face)
    canvas.polygon(*face.outline(), factors.skin)
    for side in (-1, 1):
        blush = _mix(factors.skin, (226, 92, 92), 0.35 * factors.blush)
        canvas.ellipse(face.x + side * (face.rx - 0.075), 0.555, 0.045, 0.032, blush)
    _beard(canvas, factors, face)
    _nose(canvas, factors, face)
    _mouth(canvas, factors, face)
    _eyes(canvas, factors, face)
    _hair_in_front(canvas, factors, face)
    _hat(canvas, factors, face)
    _glasses(canvas, factors, face)
    return canvas.image.reduce(_SUPERSAMPLING)


def sample_portrait(rng: np.random.Generator, size: int = 64) -> Image.Image:
    """Draws one portrait of random factors; the same generator state gives the same picture."""
    return draw_portrait(sample_factors(rng), size)
