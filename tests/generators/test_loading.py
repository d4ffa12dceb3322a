"""Generators that are no StackGAN-v2: the synthesiser, and functions of the user's own."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from pbg_env import load_discriminator, load_generator
from pbg_env.generators.sharing import shared_generator
from pbg_env.generators.stackgan_v2.model import StackGANGenerator
from pbg_env.generators.tones import ToneGenerator

MODULE = """
import torch
from pbg_env import ImageMedium

class Complete:
    noise_dim = 2
    media = ImageMedium(4)
    device = torch.device("cpu")
    def generate(self, noise): ...
    def sample_noise(self, count, rng): ...

class Incomplete:
    noise_dim = 2
    def generate(self, noise): ...

class Judge:
    def score(self, media): ...
    def features(self, media): ...

def make():
    return Complete()

def fail():
    raise RuntimeError("no weights here")

def make_incomplete():
    return Incomplete()

def make_nothing():
    return None

judge = Judge
ready = Complete()
"""


@pytest.fixture(autouse=True)
def my_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "my_package").mkdir()
    (tmp_path / "my_package" / "my_module.py").write_text(MODULE)
    (tmp_path / "my_package" / "broken.py").write_text("import not_installed_anywhere")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.chdir(tmp_path)


def test_tones_are_loaded_by_name() -> None:
    generator = load_generator("tones", device="cpu", dtype=torch.float64)
    assert isinstance(generator, ToneGenerator)
    assert (generator.device, generator.dtype) == (torch.device("cpu"), torch.float64)
    assert generator.generate(torch.zeros(1, 8)).dtype == torch.float64
    assert isinstance(load_generator("tones", scale=0), ToneGenerator)


def test_tones_have_one_scale_and_no_configuration() -> None:
    for scale in (1, -2):
        with pytest.raises(ValueError, match=f"scale {scale} asked for, but 'tones' has the scale 0 alone, or -1"):
            load_generator("tones", scale=scale)
    with pytest.raises(ValueError, match=r"config 'eval\.yml' given, but 'tones' is no checkpoint"):
        load_generator("tones", config="eval.yml")


def test_tones_have_no_discriminator() -> None:
    with pytest.raises(ValueError, match="'tones' is a synthesiser and has no discriminator"):
        load_discriminator("tones")


def test_functions_of_ones_own_are_called() -> None:
    generator = load_generator("my_package.my_module:make")
    assert type(generator).__name__ == "Complete"
    discriminator = load_discriminator("my_package.my_module:judge")
    assert type(discriminator).__name__ == "Judge"


def test_an_error_inside_the_function_stays_as_it_is() -> None:
    with pytest.raises(RuntimeError, match="no weights here"):
        load_generator("my_package.my_module:fail")


@pytest.mark.parametrize(
    ("load", "source", "message"),
    [
        (load_generator, "my_other_module:make", "generator .* cannot be imported: No module named 'my_other_module'"),
        (load_generator, "my_package.broken:make", "cannot be imported: No module named 'not_installed_anywhere'"),
        (load_generator, "my_package.my_module:mka", "cannot be imported: .* has no attribute 'mka'"),
        (load_discriminator, "my_package.my_module:mka", "discriminator .* cannot be imported"),
        (
            load_generator,
            "my_package.my_module:make_incomplete",
            "returned, a Incomplete, lacks media, device, sample_noise; expected an object with the members noise_",
        ),
        (load_generator, "my_package.my_module:make_nothing", "returned, a NoneType, lacks noise_dim, media"),
        (load_discriminator, "my_package.my_module:make", "returned, a Complete, lacks score, features"),
        (load_generator, "my_package.my_module:ready", "is a Complete; expected a function, called without arguments"),
    ],
)
def test_functions_that_give_no_generator(load: Callable[[str], object], source: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        load(source)


def test_functions_take_no_scale_and_no_configuration() -> None:
    with pytest.raises(ValueError, match=r"scale 2 asked for, but 'my_package\.my_module:make' has the scale 0 alone"):
        load_generator("my_package.my_module:make", scale=2)
    with pytest.raises(ValueError, match="is no checkpoint; leave it out"):
        load_discriminator("my_package.my_module:judge", config="eval.yml")


def test_a_file_is_a_file_whatever_its_name(checkpoint: Callable[..., Path], tmp_path: Path) -> None:
    shutil.copy(checkpoint(), tmp_path / "my_package:make")
    assert isinstance(load_generator("my_package:make"), StackGANGenerator)
    for path in (r"C:\x.pth", "C:x.safetensors"):
        with pytest.raises(FileNotFoundError, match="no such checkpoint: C:"):
            load_generator(path)


@pytest.mark.parametrize("source", ["avatar", r"C:\weights", "my_module:", ":make", "http://example.org/netG"])
def test_unknown_names_are_told_what_there_is(source: str) -> None:
    with pytest.raises(ValueError, match=r"unknown generator .*\(avatars, tones\), a file .* or 'module:function'"):
        load_generator(source)
    with pytest.raises(ValueError, match=r"unknown discriminator .*\(avatars\), a file .* or 'module:function'"):
        load_discriminator(source)


def test_a_file_that_is_replaced_is_loaded_anew(
    checkpoint: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "netG_1.pth"
    shutil.copy(checkpoint(), path)
    first = shared_generator(path, -1, "cpu")
    monkeypatch.chdir(tmp_path)
    assert shared_generator("netG_1.pth", -1, "cpu").noise_dim == first.noise_dim == 6
    assert shared_generator(str(path), -1, "cpu") is first
    shutil.copy(checkpoint("other.pth", noise_dim=5), path)
    assert shared_generator(path, -1, "cpu").noise_dim == 5
    (tmp_path / "elsewhere").mkdir()
    shutil.copy(checkpoint(), tmp_path / "elsewhere" / "netG_1.pth")
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert shared_generator("netG_1.pth", -1, "cpu").noise_dim == 6
