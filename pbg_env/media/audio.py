"""Mono sounds of a fixed length."""

from __future__ import annotations

import math
import wave
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.tensorboard import SummaryWriter

from pbg_env.media.base import MediaError

_WINDOW_SECONDS = 0.064
_FEATURE_BANDS = 48
_FEATURE_COLUMNS = 32
_FRAME_SIZE = (128, 192)
# What is 60 dB below full scale counts as silence, and has finite gradients.
_FLOOR = 1e-3
# Dark to bright, each step about as much brighter as the last: quiet to loud.
_COLOURS = np.array([(6, 6, 24), (62, 32, 126), (178, 52, 116), (246, 138, 60), (255, 246, 196)], dtype=np.float64)

_RATES = (1, 1_000_000)
_MARGIN_SECONDS = 0.1


@dataclass(frozen=True)
class SoundMedium:
    """Mono sounds, values in [0, 1]: the wave is 2 · value − 1, silence 0.5.

    Args:
        samples: in one sound, at least 2.
        rate: samples a second, Hz.

    Raises:
        ValueError: fewer samples, or a rate that is not from 1 Hz to 1 MHz.
    """

    samples: int
    rate: int

    def __post_init__(self) -> None:
        if self.samples < 2 or not _RATES[0] <= self.rate <= _RATES[1]:
            raise ValueError(
                f"a sound of {self.samples} samples at {self.rate} Hz; expected at least 2 samples and a rate from "
                f"{_RATES[0]} to {_RATES[1]} Hz"
            )

    @property
    def kind(self) -> str:
        return "sound"

    @property
    def shape(self) -> tuple[int]:
        return (self.samples,)

    @property
    def levels(self) -> int:
        return 65535

    def features(self, media: Tensor) -> Tensor:
        """Sounds (batch, samples) → how loud which pitches are when, (batch, width).

        A spectrogram of 48 bands that are evenly spaced on the mel scale and of at most 32 columns, longer sounds
        averaged; in decades of amplitude above a floor of −60 dB, so that silence is 0 and a full sine about 3.
        """
        decades = self._spectrogram(media, _FEATURE_BANDS, _window_size(self.rate) // 4)
        if decades.shape[2] > _FEATURE_COLUMNS:
            decades = F.adaptive_avg_pool1d(decades, _FEATURE_COLUMNS)
        return decades.flatten(1)

    def _spectrogram(self, media: Tensor, bands: int, hop: int) -> Tensor:
        """Sounds (batch, samples) → decades above the floor (batch, bands, columns), low bands first."""
        # No Fourier transform of half precision on CPUs.
        dtype = torch.promote_types(media.dtype, torch.float32)
        size = _window_size(self.rate)
        spectrum = torch.stft(
            2.0 * media.to(dtype) - 1.0,
            size,
            hop,
            window=_window(size, media.device, dtype),
            pad_mode="constant",
            return_complex=True,
        )  # (B, size / 2 + 1, columns)
        # A sine of amplitude 1 reaches size / 4 under a Hann window. Powers are smooth at 0 where magnitudes are not.
        power = (spectrum.real.square() + spectrum.imag.square()) * (4.0 / size) ** 2
        loudness = _mel_bands(self.rate, size, bands, media.device, dtype) @ power
        return (loudness / _FLOOR**2).log1p() / (2.0 * math.log(10.0))

    def read(self, source: Any) -> Tensor:
        """A sound fitted to this length and rate: channels averaged, resampled, cut or padded with silence at its end.

        Args:
            source: a WAV file of PCM with 8, 16, 24 or 32 bits, any rate, any number of channels; or floats in [0, 1]
                of this medium's own shape (samples,).

        Returns:
            (samples,) in [0, 1], float32.

        Raises:
            MediaError: no such file, not a WAV of PCM, cut off, empty, or an array of another form.
        """
        if not isinstance(source, (str, Path)):
            return self._from_array(source)
        steps, rate = _read_wav(Path(source), self.samples / self.rate + _MARGIN_SECONDS)
        steps = _resampled(steps, rate, self.rate)[: self.samples]
        steps = np.pad(steps, (0, self.samples - len(steps)))
        return torch.from_numpy(((steps + 32768.0) / self.levels).clip(0.0, 1.0).astype(np.float32))

    def _from_array(self, source: Any) -> Tensor:
        array = source.detach().cpu().numpy() if isinstance(source, Tensor) else np.asarray(source)
        if not (np.issubdtype(array.dtype, np.floating) and array.shape == self.shape):
            raise MediaError(
                f"an array of shape {array.shape} and type {array.dtype} is no such sound; expected floats in [0, 1] "
                f"of shape {self.shape}"
            )
        if not (np.isfinite(array).all() and array.min() >= 0.0 and array.max() <= 1.0):
            raise MediaError("the sound's values are not all within [0, 1]; a wave w in [-1, 1] is (w + 1) / 2 here")
        return torch.from_numpy(array.astype(np.float32))

    def frame(self, medium: Tensor) -> NDArray[np.uint8]:
        """The spectrogram of one sound (samples,) as (128, 192, 3): later is right, higher is up, louder is brighter.

        The bands are evenly spaced on the mel scale up to half the rate.
        """
        height, width = _FRAME_SIZE
        decades = self._spectrogram(medium.detach()[None], height, max(1, self.samples // width))
        decades = F.adaptive_avg_pool1d(decades, width)[0].flip(0)
        # A full sine that falls between the bins of its band reaches a little more than full scale.
        share = (decades / -math.log10(_FLOOR)).clamp(0.0, 1.0).double().cpu().numpy()
        anchors = np.linspace(0.0, 1.0, len(_COLOURS))
        channels = [np.interp(share, anchors, channel) for channel in _COLOURS.T]
        return np.stack(channels, axis=-1).round().astype(np.uint8)

    def save(self, medium: Tensor, path: Path) -> Path:
        """Writes one sound (samples,) as a WAV file of 16 bits."""
        path = path.with_suffix(".wav")
        steps = (medium.detach().clamp(0, 1) * self.levels).round() - 32768.0
        with path.open("wb") as file, wave.open(file, "wb") as sound:
            sound.setnchannels(1)
            sound.setsampwidth(2)
            sound.setframerate(self.rate)
            sound.writeframes(steps.cpu().numpy().astype("<i2").tobytes())
        return path

    def log(self, writer: SummaryWriter, tag: str, medium: Tensor, step: int) -> None:
        """Logs one sound (samples,) to listen to, and its spectrogram as `tag`/spectrogram."""
        writer.add_audio(tag, 2.0 * medium.detach()[None] - 1.0, step, sample_rate=self.rate)
        writer.add_image(f"{tag}/spectrogram", self.frame(medium), step, dataformats="HWC")


def _window_size(rate: int) -> int:
    """Samples of one window: the power of 2 that is nearest to 64 ms."""
    return int(2 ** max(4, round(math.log2(_WINDOW_SECONDS * rate))))


@lru_cache(maxsize=8)
def _window(size: int, device: torch.device, dtype: torch.dtype) -> Tensor:
    # Tensors that are made in inference mode could not be kept for later gradients.
    with torch.inference_mode(False):
        return torch.hann_window(size, device=device, dtype=dtype)


@lru_cache(maxsize=8)
def _mel_bands(rate: int, size: int, bands: int, device: torch.device, dtype: torch.dtype) -> Tensor:
    """Overlapping triangles (bands, size / 2 + 1) of height 1 over the bins of a spectrum, in Hz as the ear has it."""
    bins = np.linspace(0.0, rate / 2.0, size // 2 + 1)
    highest = np.log1p(rate / 2.0 / 700.0)
    edges = 700.0 * np.expm1(np.linspace(0.0, highest, bands + 2))
    # A triangle narrower than the bins' distance could fall between two of them and hear nothing.
    widths = np.maximum(np.diff(edges), bins[1])[:, None]
    distance = bins - edges[1:-1, None]  # (bands, bins)
    triangles = (1.0 - np.where(distance < 0.0, -distance / widths[:-1], distance / widths[1:])).clip(0.0)
    with torch.inference_mode(False):
        return torch.from_numpy(triangles).to(device, dtype)


def _read_wav(path: Path, seconds: float) -> tuple[NDArray[np.float64], int]:
    """At most the first `seconds` of a WAV file, channels averaged, in steps of 16 bits around 0; and its rate in Hz.

    Raises:
        MediaError: as `SoundMedium.read`.
    """
    if not path.is_file():
        raise MediaError(f"no such sound: {path}; give the path of a WAV file")
    wanted = "give a WAV file of PCM with 8, 16, 24 or 32 bits"
    try:
        with path.open("rb") as file, wave.open(file, "rb") as sound:
            channels, width, rate, count = sound.getparams()[:4]
            if width not in (1, 2, 3, 4) or not _RATES[0] <= rate <= _RATES[1]:
                raise MediaError(f"cannot read {path} as a sound: {8 * width} bits at {rate} Hz; {wanted}")
            frames = min(count, math.ceil(seconds * rate))
            content = sound.readframes(frames)
    except (wave.Error, EOFError, OSError) as error:
        raise MediaError(f"cannot read {path} as a sound: {str(error) or 'it is cut off'}; {wanted}") from error
    if frames == 0:
        raise MediaError(f"cannot read {path} as a sound: it is empty; {wanted}")
    if len(content) != frames * channels * width:
        raise MediaError(f"cannot read {path} as a sound: it is cut off, its header tells of {count} samples; {wanted}")
    return _steps(content, width).reshape(-1, channels).mean(axis=1), rate


def _steps(content: bytes, width: int) -> NDArray[np.float64]:
    """Little-endian PCM of `width` bytes a sample as steps of 16 bits; silence is 0 in every width."""
    if width == 1:
        return (np.frombuffer(content, dtype=np.uint8).astype(np.float64) - 128.0) * 256.0
    # As the highest bytes of 32 bits, widths of 2, 3 and 4 are read alike.
    padded = np.zeros((len(content) // width, 4), dtype=np.uint8)
    padded[:, 4 - width :] = np.frombuffer(content, dtype=np.uint8).reshape(-1, width)
    return padded.view("<i4")[:, 0] / 65536.0


def _resampled(steps: NDArray[np.float64], rate: int, wanted: int) -> NDArray[np.float64]:
    """A wave at another rate, band-limited: what both rates can carry stays, the rest is left out."""
    if rate == wanted:
        return steps
    # The transform takes the wave as a circle: silence keeps its end from running into its beginning. A length that
    # both rates divide evenly keeps the pitch exact.
    unit = rate // math.gcd(rate, wanted)
    units = math.ceil((len(steps) + _MARGIN_SECONDS * rate) / unit)
    size = units * wanted // math.gcd(rate, wanted)
    spectrum = np.fft.rfft(steps, units * unit)
    if units * unit % 2 == 0:
        # Half of the highest frequency's share belongs to its mirror image.
        spectrum[-1] *= 0.5
    resampled: Any = np.fft.irfft(spectrum[: (size + 1) // 2] * (wanted / rate), size)
    return resampled[: math.ceil(len(steps) * wanted / rate)]
