"""The network that tells features from noise."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from weakref import WeakKeyDictionary

import numpy as np
import pytest
import torch

from agents.particles import ParticleAgent
from agents.particles import surrogate as surrogate_module
from agents.particles.network import Network
from agents.particles.prepare import main
from agents.particles.surrogate import Surrogate
from agents.posterior import surroundings
from agents.posterior.surroundings import Surroundings
from agents.posterior.views import View
from pbg_env import load_discriminator, load_generator
from pbg_env.generators.stackgan_v2.model import StackGANDiscriminator, StackGANGenerator
from tests.conftest import CPU, small_generator_network

VIEWS = ("values", "noise", "deep")


def prepared(generator: StackGANGenerator, discriminator: StackGANDiscriminator | None) -> Surrogate:
    """As another process would."""
    views = (View.named(name, generator, discriminator) for name in VIEWS)
    return Surrogate(Surroundings(generator, tuple(view for view in views if view is not None), 6))


def test_it_tells_features_better_than_lines_do(
    generator: StackGANGenerator, discriminator: StackGANDiscriminator
) -> None:
    surrogate = prepared(generator, discriminator)
    places = 0.8 * torch.randn(64, 6, generator=torch.Generator().manual_seed(1))
    told, (features, _) = surrogate(places), surrogate.look(places)
    assert told.shape == features.shape == (64, surrogate.width)
    coordinates = surrogate.around.coordinates.of_noise(surrogate.around.noise)
    for name, view in surrogate.views.items():
        known = surrogate.around.features[name][:, : view.part.stop - view.part.start]
        line = surrogate.around.line(known)
        off = (told - features)[:, view.part].square().sum(dim=1).mean()
        by_line = ((line.at(places.double().numpy()) - features[:, view.part].numpy()) ** 2).sum(axis=1).mean()
        assert off < (1e-6 if name == "noise" else 0.3 * by_line)
        # The error that it claims is that of samples of the prior.
        at_samples = surrogate(torch.from_numpy(coordinates).float())[:, view.part].numpy()
        assert view.error == pytest.approx(((at_samples - known) ** 2).sum(axis=1).mean(), rel=1e-3)


def test_what_was_learned_is_found_again(
    generator: StackGANGenerator, discriminator: StackGANDiscriminator, monkeypatch: pytest.MonkeyPatch
) -> None:
    once = prepared(generator, discriminator)
    monkeypatch.setattr(type(generator), "generate", lambda *_: pytest.fail("it generated"))
    again = prepared(generator, discriminator)
    places = torch.randn(5, 6)
    torch.testing.assert_close(again(places), once(places), rtol=0, atol=0)
    assert again.kept


def test_components_that_are_mirrored_are_told_mirrored(
    generator: StackGANGenerator, monkeypatch: pytest.MonkeyPatch
) -> None:
    once = prepared(generator, None)
    around = once.around
    signs = np.where(np.arange(around.features["values"].shape[1]) % 3 == 0, -1.0, 1.0)
    monkeypatch.setitem(around.features, "values", around.features["values"] * signs)
    again = Surrogate(around)
    places, part = torch.randn(5, 6), once.views["values"].part
    told = once(places)[:, part] * torch.from_numpy(signs).float()[: part.stop - part.start]
    # Of components that hardly vary nothing is told, so that their sign is any.
    torch.testing.assert_close(again(places)[:, part][:, :20], told[:, :20], rtol=0, atol=0)


def test_a_network_of_other_media_is_not_believed(generator: StackGANGenerator) -> None:
    surrogate = prepared(generator, None)
    other = Surroundings(StackGANGenerator(small_generator_network(width=5), -1, CPU), (), 6)
    assert other.coordinates.shares.shape == surrogate.around.coordinates.shares.shape
    network = surrogate._network
    assert network is not None
    shuffled = network._replace(line=network.line.flip(1), last=network.last.flip(0))
    with pytest.raises(ValueError, match="tells less than lines do"):
        surrogate._adopted(shuffled.packed, {"values": surrogate.views["values"].part})
    with pytest.raises(ValueError, match="numbers, not \\(3,\\)"):
        Network.unpacked(torch.zeros(3), 6, 10)


def test_a_damaged_file_is_learned_anew(
    generator: StackGANGenerator, discriminator: StackGANDiscriminator, cache_folder: Path
) -> None:
    once = prepared(generator, discriminator)
    (network,) = (path for path in cache_folder.glob("*.npy") if np.load(path).dtype == np.float16)
    np.save(network, np.zeros(7, dtype=np.float16))
    again = prepared(generator, discriminator)
    places = torch.randn(5, 6)
    torch.testing.assert_close(again(places), once(places))


def test_its_jacobian_is_that_of_differences(
    generator: StackGANGenerator, discriminator: StackGANDiscriminator
) -> None:
    surrogate = prepared(generator, discriminator)
    place, step = 0.5 * torch.randn(6), 0.01
    ends = (surrogate(place + sign * step * torch.eye(6)) for sign in (1, -1))
    differences = (next(ends) - next(ends)) / (2 * step)
    torch.testing.assert_close(surrogate.jacobian(place), differences.T, atol=2e-3, rtol=0)


def test_that_of_the_embedded_generator_comes_with_the_code(monkeypatch: pytest.MonkeyPatch) -> None:
    # As they were before the samples became few.
    monkeypatch.setattr(surroundings, "_POOL", 1500)
    for module in (surroundings, surrogate_module):
        monkeypatch.setattr(module, "_known", WeakKeyDictionary())
    monkeypatch.setattr(Surrogate, "_trained", lambda *_: pytest.fail("it learned"))
    agent = ParticleAgent()
    generator, discriminator = load_generator("avatars", device=CPU), load_discriminator("avatars", device=CPU)
    surrogate = Surrogate.of(generator, discriminator, agent.views, agent.dimensions)
    places = torch.from_numpy(surrogate.around.coordinates.sample(32, np.random.default_rng(5))).float()
    told, (features, _) = surrogate(places), surrogate.look(places)
    for name, most in {"values": 0.03, "deep": 0.1, "noise": 1e-4}.items():
        part = surrogate.views[name].part
        assert (told - features)[:, part].square().sum(dim=1).mean() < most


def test_the_command_learns(
    checkpoint: Callable[..., Path], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    small = str(checkpoint())
    command = ["--generator", small, "--device", "cpu", "--views", "values", "deep"]
    main([*command, "--samples", "1500"])
    told = capsys.readouterr()
    lines = told.out.splitlines()
    assert lines[0].startswith("values: 128 components of 299 hold 100% of the variance; noise tells 9")
    assert lines[1:] == ["not there for these media: deep", f"kept in {os.environ['PBG_CACHE']}"]
    assert told.err.startswith("getting to know this generator, once: 1,500 media take about ")
    # Without a number what is there is told of, with one it is learned anew.
    monkeypatch.setattr(Surrogate, "_trained", lambda *_: pytest.fail("it learned"))
    main(command)
    assert capsys.readouterr().out.splitlines() == lines
    with pytest.raises(pytest.fail.Exception, match="it learned"):
        main([*command, "--samples", "1500"])


@pytest.mark.parametrize(
    ("told", "message"),
    [
        (["--generator", "nowhere"], "nowhere"),
        (["--samples", "0"], "--samples is 0, expected at least 1"),
        (["--views", "smell"], "view 'smell' is none of values, noise, layout, convolutions, deep"),
    ],
)
def test_the_command_says_what_is_wrong(told: list[str], message: str) -> None:
    with pytest.raises(SystemExit, match=f"^error: .*{message}"):
        main(told)
