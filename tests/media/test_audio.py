from __future__ import annotations

import struct
import wave
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch import Tensor
from torch.utils.tensorboard import SummaryWriter

from pbg_env import Medium
from pbg_env.media import MediaError, SoundMedium, as_perceived

MEDIUM = SoundMedium(8000, 16000)
SILENCE = torch.full((8000,), 0.5)


def sine(frequency: float, amplitude: float = 0.5, *, samples: int = 8000, rate: int = 16000) -> Tensor:
    time = torch.arange(samples, dtype=torch.float64) / rate
    return (0.5 + 0.5 * amplitude * (2.0 * torch.pi * frequency * time).sin()).float()


def pcm(sound: Tensor, bits: int) -> bytes:
    """A sound in [0, 1] as the samples of a WAV file."""
    steps = ((2.0 * sound.double() - 1.0) * (2 ** (bits - 1) - 1)).round().numpy().astype(np.int64)
    if bits == 8:
        return (steps + 128).astype(np.uint8).tobytes()
    return steps.astype("<i8").view(np.uint8).reshape(-1, 8)[:, : bits // 8].tobytes()


def write(path: Path, content: bytes, *, bits: int = 16, rate: int = 16000, channels: int = 1) -> Path:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(bits // 8)
        file.setframerate(rate)
        file.writeframes(content)
    return path


def test_members_of_the_protocol() -> None:
    assert isinstance(MEDIUM, Medium)
    assert (MEDIUM.kind, MEDIUM.shape, MEDIUM.levels) == ("sound", (8000,), 65535)


@pytest.mark.parametrize(("samples", "rate"), [(1, 16000), (8000, 0), (8000, 2_000_000)])
def test_impossible_sounds_are_refused(samples: int, rate: int) -> None:
    with pytest.raises(ValueError, match=f"{samples} samples at {rate} Hz; expected at least 2 samples"):
        SoundMedium(samples, rate)


def test_every_level_comes_back_from_a_file(tmp_path: Path) -> None:
    medium = SoundMedium(65536, 44100)
    sound = as_perceived(medium, torch.arange(65536) / 65535)
    path = medium.save(sound, tmp_path / "destination")
    assert path.name == "destination.wav"
    assert torch.equal(medium.read(path), sound)


def test_a_sound_is_saved_as_it_is_perceived(tmp_path: Path, rng: np.random.Generator) -> None:
    sound = torch.from_numpy(rng.random(8000)).float()
    assert torch.equal(MEDIUM.read(MEDIUM.save(sound, tmp_path / "sound")), as_perceived(MEDIUM, sound))


@pytest.mark.parametrize(("bits", "exactness"), [(8, 1e-2), (16, 5e-5), (24, 5e-5), (32, 5e-5)])
def test_every_depth_is_read(tmp_path: Path, bits: int, exactness: float) -> None:
    path = write(tmp_path / "tone.wav", pcm(sine(440), bits), bits=bits)
    torch.testing.assert_close(MEDIUM.read(path), sine(440), atol=exactness, rtol=0)
    silent = write(tmp_path / "silence.wav", pcm(SILENCE, bits), bits=bits)
    torch.testing.assert_close(MEDIUM.read(silent), as_perceived(MEDIUM, SILENCE), atol=0, rtol=0)


def test_every_depth_has_one_scale(tmp_path: Path) -> None:
    steps = np.arange(-128, 128).repeat(32)[:8000]
    paths = [write(tmp_path / "8.wav", (steps + 128).astype(np.uint8).tobytes(), bits=8)]
    for bits in (16, 24, 32):
        content = (steps << (bits - 8)).astype("<i8").view(np.uint8).reshape(-1, 8)[:, : bits // 8].tobytes()
        paths.append(write(tmp_path / f"{bits}.wav", content, bits=bits))
    expected = torch.from_numpy((steps * 256 + 32768) / 65535).float()
    for path in paths:
        assert torch.equal(MEDIUM.read(path), expected), path


def test_channels_are_averaged(tmp_path: Path) -> None:
    left, right = sine(440, 0.8), SILENCE
    path = write(tmp_path / "stereo.wav", pcm(torch.stack((left, right), dim=1).flatten(), 16), channels=2)
    torch.testing.assert_close(MEDIUM.read(path), sine(440, 0.4), atol=5e-5, rtol=0)


@pytest.mark.parametrize("rate", [8000, 22050, 44100, 48000, 11027])
def test_every_rate_is_read_without_a_change_of_pitch(tmp_path: Path, rate: int) -> None:
    sound = sine(1000, samples=rate, rate=rate)
    read = MEDIUM.read(write(tmp_path / "tone.wav", pcm(sound, 16), rate=rate))
    # The beginning rings, as the wave before it is silence.
    torch.testing.assert_close(read[400:], sine(1000)[400:], atol=2e-3, rtol=0)


def test_what_the_rate_cannot_carry_is_left_out_instead_of_folded_down(tmp_path: Path) -> None:
    path = write(tmp_path / "high.wav", pcm(sine(10000, samples=24000, rate=48000), 16), rate=48000)
    assert (MEDIUM.read(path)[400:-400] - 0.5).abs().max() < 1e-3


def test_the_highest_frequency_of_a_file_is_as_loud_as_it_was(tmp_path: Path) -> None:
    highest = 0.5 + 0.25 * torch.tensor([1.0, -1.0]).repeat(2000)
    read = MEDIUM.read(write(tmp_path / "highest.wav", pcm(highest, 16), rate=8000))
    assert float((read[1000:7000] - 0.5).abs().max()) == pytest.approx(0.25, abs=0.01)


def test_the_beginning_of_a_long_sound_is_kept(tmp_path: Path) -> None:
    sound = torch.cat((sine(440), sine(880)))
    read = MEDIUM.read(write(tmp_path / "long.wav", pcm(sound, 16)))
    torch.testing.assert_close(read, sine(440), atol=5e-5, rtol=0)


@pytest.mark.parametrize("rate", [16000, 44100])
def test_silence_follows_a_short_sound(tmp_path: Path, rate: int) -> None:
    path = write(tmp_path / "short.wav", pcm(sine(440, samples=rate // 4, rate=rate), 16), rate=rate)
    read = MEDIUM.read(path)
    torch.testing.assert_close(read[400:3600], sine(440)[400:3600], atol=2e-3, rtol=0)
    assert (read[4001:] - 0.5).abs().max() < 1e-4


def test_arrays_are_taken(rng: np.random.Generator) -> None:
    floats = rng.random(8000)
    torch.testing.assert_close(MEDIUM.read(floats), torch.from_numpy(floats).float())
    torch.testing.assert_close(MEDIUM.read(torch.from_numpy(floats)), torch.from_numpy(floats).float())


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros(7999), r"an array of shape \(7999,\) and type float64 is no such sound; expected floats .*\(8000,\)"),
        (np.zeros((1, 8000)), r"of shape \(1, 8000\)"),
        (np.zeros(8000, dtype=np.int16), "type int16"),
        (np.full(8000, -0.1), r"not all within \[0, 1\]; a wave w"),
        (np.full(8000, 1.1), r"not all within \[0, 1\]"),
        (np.full(8000, np.nan), r"not all within \[0, 1\]"),
    ],
)
def test_arrays_that_are_no_sounds(array: NDArray[np.generic], message: str) -> None:
    with pytest.raises(MediaError, match=message):
        MEDIUM.read(array)


def _float_wav(path: Path) -> None:
    data = sine(440).numpy().tobytes()
    form = struct.pack("<4sIHHIIHH", b"fmt ", 16, 3, 1, 16000, 64000, 4, 32)
    path.write_bytes(b"RIFF" + struct.pack("<I", 28 + 8 + len(data)) + b"WAVE" + form + b"data")
    path.write_bytes(path.read_bytes() + struct.pack("<I", len(data)) + data)


def _cut_in_its_header(path: Path) -> None:
    write(path, pcm(sine(440), 16))
    path.write_bytes(path.read_bytes()[:18])


def _cut(path: Path) -> None:
    write(path, pcm(sine(440), 16))
    path.write_bytes(path.read_bytes()[:6001])


def _at_no_rate(path: Path) -> None:
    write(path, pcm(sine(440), 16))
    content = bytearray(path.read_bytes())
    content[24:28] = struct.pack("<I", 0)
    path.write_bytes(bytes(content))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path: None, "no such sound: .*target.wav; give the path of a WAV file"),
        (lambda path: path.mkdir(), "no such sound"),
        (lambda path: path.write_text("no sound at all"), "file does not start with RIFF id; give a WAV file of PCM"),
        (lambda path: path.write_bytes(b""), "it is cut off; give a WAV file of PCM"),
        (_cut_in_its_header, "cannot read .*target.wav as a sound: .*; give a WAV file of PCM"),
        (_cut, "it is cut off, its header tells of 8000 samples"),
        (lambda path: write(path, b""), "it is empty"),
        (_float_wav, "unknown format: 3; give a WAV file of PCM with 8, 16, 24 or 32 bits"),
        (_at_no_rate, "16 bits at 0 Hz"),
    ],
)
def test_files_that_are_no_sounds(tmp_path: Path, make: object, message: str) -> None:
    path = tmp_path / "target.wav"
    make(path)  # type: ignore[operator]
    with pytest.raises(MediaError, match=message):
        MEDIUM.read(path)


def test_features_tell_silence_loudness_and_pitch() -> None:
    sounds = torch.stack((SILENCE, sine(440, 1.0), sine(440, 0.1), sine(466, 1.0), sine(2000, 1.0)))
    features = MEDIUM.features(sounds)
    assert features.shape == (5, 48 * 32)
    silence, loud, quiet, next_pitch, far_pitch = features
    assert silence.abs().max() < 1e-6
    # Twenty decibels are one decade.
    assert float(loud.max()) == pytest.approx(3.0, abs=0.15)
    assert float(loud.max() - quiet.max()) == pytest.approx(1.0, abs=0.01)
    assert 0.05 < (loud - next_pitch).square().mean() < (loud - far_pitch).square().mean() < 4.0


def test_features_tell_when() -> None:
    early = torch.cat((sine(440)[:4000], SILENCE[:4000]))
    features = MEDIUM.features(early[None]).view(48, 32)
    assert features[:, :12].max() > 2.0
    assert features[:, 20:].max() < 0.01


@pytest.mark.parametrize(("samples", "rate"), [(2, 16000), (100, 8000), (441000, 44100), (3000, 100)])
def test_features_of_any_length_are_few_and_none_is_deaf(samples: int, rate: int) -> None:
    medium = SoundMedium(samples, rate)
    noise = torch.rand(1, samples, generator=torch.Generator().manual_seed(0))
    features = medium.features(noise)
    assert features.shape[1] <= 48 * 32
    if samples > 100:
        assert (features.view(48, -1).amax(dim=1) > 0.5).all()


def test_gradient_of_the_features_is_the_slope() -> None:
    medium = SoundMedium(600, 8000)
    generator = torch.Generator().manual_seed(0)
    sound = torch.rand(1, 600, generator=generator, dtype=torch.float64).mul(0.1).add(0.45).requires_grad_(True)
    direction = torch.randn(1, 600, generator=generator, dtype=torch.float64)
    weights = torch.randn(medium.features(sound).shape, generator=generator, dtype=torch.float64)
    (gradient,) = torch.autograd.grad((medium.features(sound) * weights).sum(), sound)
    step = 1e-7 * direction
    with torch.no_grad():
        difference = ((medium.features(sound + step) - medium.features(sound - step)) * weights).sum() / 2e-7
    assert float((gradient * direction).sum()) == pytest.approx(float(difference), rel=1e-5)


@pytest.mark.parametrize("value", [0.0, 0.5, 1.0])
def test_gradient_of_the_features_is_finite_where_nothing_sounds(value: float) -> None:
    sound = torch.full((1, 8000), value, requires_grad=True)
    (gradient,) = torch.autograd.grad(MEDIUM.features(sound).sum(), sound)
    assert gradient.isfinite().all()


def test_features_have_gradients_after_a_first_use_in_inference_mode() -> None:
    medium = SoundMedium(500, 12345)
    with torch.inference_mode():
        medium.features(torch.full((1, 500), 0.4))
    sound = torch.full((1, 500), 0.4, requires_grad=True)
    (gradient,) = torch.autograd.grad(medium.features(sound).sum(), sound)
    assert gradient.abs().max() > 0


def test_half_precision_has_features() -> None:
    features = MEDIUM.features(sine(440)[None].bfloat16())
    torch.testing.assert_close(features.amax(), MEDIUM.features(sine(440)[None]).amax(), atol=0.05, rtol=0)


def test_a_frame_shows_high_sounds_above_low_ones_and_loud_ones_brighter() -> None:
    frames = {name: MEDIUM.frame(s).astype(int) for name, s in (("low", sine(200)), ("high", sine(4000)))}
    assert frames["low"].shape == (128, 192, 3)
    rows = {name: int(frame.sum(axis=(1, 2)).argmax()) for name, frame in frames.items()}
    assert rows["high"] < rows["low"] - 30
    quiet = MEDIUM.frame(sine(200, 0.05))
    assert quiet.dtype == np.uint8
    assert frames["low"].max(axis=(0, 1)).sum() > quiet.max(axis=(0, 1)).sum() > MEDIUM.frame(SILENCE).sum(axis=2).max()


def test_a_frame_shows_time_from_left_to_right() -> None:
    late = torch.cat((SILENCE[:4000], sine(440)[:4000]))
    frame = MEDIUM.frame(late).astype(int).sum(axis=2)
    assert (frame[:, :80] == frame[0, 0]).all()
    assert frame[:, 110:].max() > 2 * frame[0, 0]


@pytest.mark.parametrize(("samples", "rate"), [(2, 16000), (100, 8000), (441000, 44100)])
def test_frames_of_every_medium_have_one_shape(samples: int, rate: int) -> None:
    assert SoundMedium(samples, rate).frame(torch.zeros(samples)).shape == (128, 192, 3)


def test_tensorboard_gets_sound_and_spectrogram(tmp_path: Path) -> None:
    with SummaryWriter(str(tmp_path)) as writer:
        MEDIUM.log(writer, "destination", sine(440), 3)
    events = EventAccumulator(str(tmp_path)).Reload()
    (sound,) = events.Audio("destination")
    assert (sound.step, sound.sample_rate, sound.length_frames) == (3, 16000, 8000)
    (picture,) = events.Images("destination/spectrogram")
    assert (picture.height, picture.width) == (128, 192)
