"""A synthesiser of single tones: a generator of sounds that has no weights."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from pbg_env.media import SoundMedium
from pbg_env.noise import sample_noise

_SAMPLES = 8000
_RATE = 16000
_HARMONICS = 20
# Harmonics fade out between these frequencies, so that half the rate is never reached, vibrato included.
_FADE_FROM, _FADE_TO = 6000.0, 7500.0
_QUIETEST = 0.03
_VIBRATO_RATE = 6.0
_RELEASE_SECONDS = 0.03
_PEAK = 0.95


class ToneGenerator:
    """Half a second of a tone in two voices, at 16 kHz.

    Each of the 8 components of noise sets one thing. Φ, the normal distribution function, maps it to a share p between
    0 and 1, so that the prior covers every range evenly; all of them rise with their component.

    | component | what | from p = 0 | to p = 1 | |
    |---|---|---|---|---|
    | 0 | pitch of the first voice | 130 Hz | 520 Hz | even in octaves |
    | 1 | interval of the second voice above it | 0 semitones | 12 semitones | even |
    | 2 | amplitude of the second voice to that of the first | 0.03 | 1 | even in decibels |
    | 3 | brightness: harmonic k has amplitude k^−s | s = 3 | s = 0.5 | even in s |
    | 4 | amplitude of the even harmonics to that of the odd ones: hollow to full | 0.03 | 1 | even in decibels |
    | 5 | attack: time constant of the rise | 2 ms | 200 ms | even in its logarithm |
    | 6 | decay: time constant of the fall | 50 ms | 1 s | even in its logarithm |
    | 7 | vibrato of 6 Hz: depth as share of the pitch | 0 | 0.05 | even |

    All phases start at 0. The amplitudes of all harmonics sum to the same, so that no value leaves [0, 1].

    Args:
        device: where it works.
        dtype: of noise and media.
    """

    weights = "tones-1"
    """Names what it makes, for caches."""

    noise_dim = 8

    def __init__(self, device: torch.device, dtype: torch.dtype = torch.float32) -> None:
        self.device = device
        self.dtype = dtype

    @property
    def media(self) -> SoundMedium:
        return SoundMedium(_SAMPLES, _RATE)

    def generate(self, noise: Tensor) -> Tensor:
        """Noise (batch, 8) → sounds (batch, 8000) in [0, 1]."""
        noise = torch.as_tensor(noise, dtype=self.dtype, device=self.device)
        if noise.ndim != 2 or noise.shape[1] != self.noise_dim:
            raise ValueError(f"noise of shape {tuple(noise.shape)}, expected (batch, {self.noise_dim})")
        # A phase of hundreds of turns needs double precision; what is left of a turn does not.
        shares = torch.special.ndtr(noise.double())  # (B, 8)
        pitch, interval, second, brightness, even, attack, decay, vibrato = shares.split(1, dim=1)  # (B, 1)
        time = torch.arange(_SAMPLES, device=self.device, dtype=torch.float64) / _RATE  # (samples,)
        working = torch.promote_types(self.dtype, torch.float32)

        low = 130.0 * 4.0**pitch
        high = low * 2.0**interval
        swing = 2.0 * math.pi * _VIBRATO_RATE
        turns = time + 0.05 * vibrato * ((1.0 - (swing * time).cos()) / swing)  # (B, samples), of 1 Hz
        slope = 3.0 - 2.5 * brightness
        even, second = _QUIETEST ** (1.0 - even), _QUIETEST ** (1.0 - second)
        first_voice, second_voice = _amplitudes(low, slope, even), second * _amplitudes(high, slope, even)
        # All harmonics at their highest at once would just reach the peak.
        loudness = _PEAK / (first_voice + second_voice).sum(dim=1, keepdim=True)
        tone = _harmonics(low * turns, (loudness * first_voice).to(working))
        tone = tone + _harmonics(high * turns, (loudness * second_voice).to(working))
        tone = tone * _envelope(time.to(working), (0.002 * 100.0**attack).to(working), (0.05 * 20.0**decay).to(working))
        return (0.5 + 0.5 * tone).to(self.dtype)

    def sample_noise(self, count: int, rng: np.random.Generator) -> Tensor:
        """Draws (count, 8) from the prior, on the generator's device."""
        return torch.from_numpy(sample_noise((count, self.noise_dim), rng)).to(self.device, self.dtype)


def _amplitudes(pitch: Tensor, slope: Tensor, even: Tensor) -> Tensor:
    """Pitch in Hz, slope and share of even harmonics, each (batch, 1) → amplitudes of the harmonics (batch, 20)."""
    numbers = torch.arange(1, _HARMONICS + 1, device=pitch.device, dtype=pitch.dtype)
    audible = ((_FADE_TO - numbers * pitch) / (_FADE_TO - _FADE_FROM)).clamp(0.0, 1.0)
    faded = audible.square() * (3.0 - 2.0 * audible)
    return numbers**-slope * faded * torch.where(numbers % 2 == 0, even, 1.0)


def _harmonics(turns: Tensor, amplitudes: Tensor) -> Tensor:
    """Σₖ amplitude k · sin(2πk · turns), by Clenshaw's recurrence: one sine and one cosine for all harmonics.

    Args:
        turns: of the first harmonic, (batch, samples).
        amplitudes: (batch, harmonics), whose type the result (batch, samples) has.
    """
    angle = 2.0 * math.pi * (turns - turns.detach().floor()).to(amplitudes.dtype)
    twice = 2.0 * angle.cos()
    last = torch.zeros_like(angle)
    before = torch.zeros_like(angle)
    for amplitude in amplitudes.flip(1).split(1, dim=1):
        last, before = torch.addcmul(amplitude - before, twice, last), last
    return last * angle.sin()


def _envelope(time: Tensor, attack: Tensor, decay: Tensor) -> Tensor:
    """Rise and fall, (batch, samples) in [0, 1]; 0 at both ends, and 1 where rise and fall are at their highest.

    Args:
        time: (samples,), s.
        attack, decay: time constants (batch, 1), s.
    """
    highest = decay / (attack + decay) * (attack / (attack + decay)) ** (attack / decay)
    release = ((time[-1] - time) / _RELEASE_SECONDS).clamp(max=1.0)
    return -torch.expm1(-time / attack) * (-time / decay).exp() / highest * release
