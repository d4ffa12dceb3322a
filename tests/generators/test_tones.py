from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from pbg_env import Generator
from pbg_env.generators.tones import ToneGenerator

CPU = torch.device("cpu")
GENERATOR = ToneGenerator(CPU)
SECOND_VOICE, VIBRATO = 2, 7


def tone(components: dict[int, float] | None = None) -> Tensor:
    """The wave (samples,) in [−1, 1] of one voice without vibrato; noise is 0 but for these components."""
    noise = torch.zeros(1, 8)
    for component, value in {SECOND_VOICE: -4.0, VIBRATO: -4.0, **(components or {})}.items():
        noise[0, component] = value
    return 2.0 * GENERATOR.generate(noise)[0] - 1.0


def spectrum(wave: Tensor) -> Tensor:
    """Magnitudes at 0, 1, 2, … Hz."""
    return torch.fft.rfft(wave * torch.hann_window(len(wave)), n=16000).abs()


def test_members_of_the_protocol() -> None:
    assert isinstance(GENERATOR, Generator)
    assert (GENERATOR.noise_dim, GENERATOR.media.shape, GENERATOR.media.rate) == (8, (8000,), 16000)
    assert isinstance(hash(GENERATOR), int)


def test_sounds_are_within_0_and_1_and_functions_of_their_own_noise() -> None:
    noise = GENERATOR.sample_noise(64, np.random.default_rng(0))
    sounds = GENERATOR.generate(noise)
    assert sounds.shape == (64, 8000)
    assert 0.0 <= sounds.min() < sounds.max() <= 1.0
    assert torch.equal(sounds, GENERATOR.generate(noise))
    alone = torch.cat([GENERATOR.generate(one[None]) for one in noise[:8]])
    torch.testing.assert_close(sounds[:8], alone, atol=1e-6, rtol=0)
    assert (sounds - 0.5).abs().amax(dim=1).min() > 0.1


@pytest.mark.parametrize("bound", [-4.0, 4.0, -40.0, 40.0])
def test_the_edges_of_the_prior_and_what_lies_beyond_are_sounds(bound: float) -> None:
    sounds = GENERATOR.generate(torch.full((1, 8), bound))
    assert sounds.isfinite().all()
    assert 0.0 <= sounds.min() < 0.4 < 0.6 < sounds.max() <= 1.0


def test_different_noises_sound_different() -> None:
    features = GENERATOR.media.features(GENERATOR.generate(GENERATOR.sample_noise(100, np.random.default_rng(1))))
    distances = torch.cdist(features, features) / features.shape[1] ** 0.5
    distances = distances[~torch.eye(100, dtype=torch.bool)]
    assert 0.5 < distances.mean() < 2.0
    assert distances.min() > 0.05


def test_it_begins_and_ends_in_silence() -> None:
    sounds = GENERATOR.generate(GENERATOR.sample_noise(32, np.random.default_rng(2)))
    torch.testing.assert_close(sounds[:, [0, -1]], torch.full((32, 2), 0.5), atol=1e-4, rtol=0)


def test_pitch_spreads_evenly_over_two_octaves() -> None:
    quarters = torch.special.ndtri(torch.tensor([0.0001, 0.25, 0.5, 0.75, 0.9999]))
    pitches = [int(spectrum(tone({0: float(noise)})).argmax()) for noise in quarters]
    np.testing.assert_allclose(pitches, 130 * 2.0 ** np.array([0.0, 0.5, 1.0, 1.5, 2.0]), atol=2)


def test_the_second_voice_is_half_an_octave_above_and_rises() -> None:
    for component, semitones in ((0.0, 6.0), (4.0, 12.0)):
        magnitudes = spectrum(tone({1: component, SECOND_VOICE: 4.0, 3: -4.0, 4: -4.0}))
        above = round(260 * 2 ** (semitones / 12))
        assert magnitudes[above - 4 : above + 5].max() > 0.5 * magnitudes[256:265].max()


@pytest.mark.parametrize(
    ("component", "measure"),
    [
        (2, lambda wave: spectrum(wave)[364:372].max() / spectrum(wave)[256:265].max()),
        (3, lambda wave: spectrum(wave)[1000:].square().sum() / spectrum(wave).square().sum()),
        (4, lambda wave: spectrum(wave)[516:525].max() / spectrum(wave)[256:265].max()),
        # When half of the energy has gone by.
        (5, lambda wave: (wave.square().cumsum(0) < 0.5 * wave.square().sum()).sum()),
        (6, lambda wave: (wave.square().cumsum(0) < 0.5 * wave.square().sum()).sum()),
        # How far the energy of the first harmonic spreads.
        (7, lambda wave: spectrum(wave)[245:257].sum() / spectrum(wave)[258:263].sum()),
    ],
    ids=["second voice", "brightness", "even harmonics", "attack", "decay", "vibrato"],
)
def test_what_a_component_sets_rises_with_it(component: int, measure: object) -> None:
    values = [float(measure(tone({component: noise}))) for noise in (-2.5, -1.0, 0.0, 1.0, 2.5)]  # type: ignore[operator]
    assert values == sorted(values)
    assert values[-1] > 1.1 * values[0]


def test_harmonics_beyond_half_the_rate_do_not_fold_down() -> None:
    # The highest and brightest tone: harmonics of 520 and 1040 Hz, of which the last would be at 21 kHz.
    magnitudes = spectrum(tone({0: 4.0, 1: 4.0, SECOND_VOICE: 4.0, 3: 4.0, 4: 4.0, 6: 4.0}))
    apart = torch.arange(len(magnitudes)) % 520
    assert magnitudes[(apart > 60) & (apart < 460)].max() < 1e-3 * magnitudes.max()


def test_gradient_of_every_component_is_the_slope() -> None:
    generator = ToneGenerator(CPU, torch.float64)
    noise = generator.sample_noise(4, np.random.default_rng(3)).requires_grad_(True)

    def mean_loudness(noise: Tensor) -> Tensor:
        return generator.media.features(generator.generate(noise)).mean(dim=1)

    (gradient,) = torch.autograd.grad(mean_loudness(noise).sum(), noise)
    steps = 1e-6 * torch.eye(8, dtype=torch.float64)
    with torch.no_grad():
        slopes = torch.stack([(mean_loudness(noise + s) - mean_loudness(noise - s)) / 2e-6 for s in steps], dim=1)
    assert (gradient != 0).all()
    torch.testing.assert_close(gradient, slopes, atol=1e-7, rtol=1e-4)


def test_single_precision_is_precise_enough() -> None:
    noise = GENERATOR.sample_noise(8, np.random.default_rng(4))
    exact = ToneGenerator(CPU, torch.float64).generate(noise.double())
    assert exact.dtype == torch.float64
    torch.testing.assert_close(GENERATOR.generate(noise).double(), exact, atol=1e-5, rtol=0)


def test_noise_of_the_wrong_shape_is_refused() -> None:
    with pytest.raises(ValueError, match=r"noise of shape \(8,\), expected \(batch, 8\)"):
        GENERATOR.generate(torch.zeros(8))
