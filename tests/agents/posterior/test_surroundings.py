"""What is known of a generator before any answer."""

from __future__ import annotations

import gc
import os
import weakref
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from agents.posterior import PosteriorAgent
from agents.posterior.prepare import main
from agents.posterior.surroundings import Surroundings
from agents.posterior.views import View
from agents.posterior.wish import Wish
from agents.subspace import Coordinates
from pbg_env import load_generator
from pbg_env.generators.stackgan_v2.model import StackGANDiscriminator, StackGANGenerator
from tests.agents.posterior.conftest import POOL
from tests.conftest import CPU, small_generator_network


def prepared(
    generator: StackGANGenerator, discriminator: StackGANDiscriminator | None = None, *names: str
) -> Surroundings:
    """As another process would."""
    views = [View.named(name, generator, discriminator) for name in names or ("values", "layout", "convolutions")]
    return Surroundings(generator, tuple(view for view in views if view is not None), 4)


def test_what_was_prepared_is_found_again(
    generator: StackGANGenerator, discriminator: StackGANDiscriminator, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ("values", "layout", "convolutions", "deep", "benchmarks.similarities:random_convolutions")
    once = prepared(generator, discriminator, *names)
    noise = once.noise[:5]
    looks = once.look(noise)
    with monkeypatch.context() as patched:
        patched.setattr(type(generator), "generate", lambda *_: pytest.fail("it generated"))
        again = prepared(generator, discriminator, *names)
    assert list(again.views) == list(names)
    for name, features in again.look(noise).items():
        np.testing.assert_array_equal(features, looks[name])
        np.testing.assert_array_equal(again.features[name], once.features[name])
        for one, other in zip(again.lines[name], once.lines[name], strict=True):
            np.testing.assert_array_equal(one, other)


def test_noise_itself_is_a_view(generator: StackGANGenerator) -> None:
    found = prepared(generator, None, "noise")
    noise = found.noise[:8]
    features = found.look(noise)["noise"]
    np.testing.assert_allclose(features, found.features["noise"][:8], atol=1e-5)
    # Distances are those of noise along the directions that change media, in units of the prior.
    directions = Coordinates.of(generator, "principal", 64)
    weighed = noise @ directions.directions.T * np.sqrt(directions.shares)
    apart, seen = (np.linalg.norm(each[:, None] - each, axis=2)[np.triu_indices(8, 1)] for each in (weighed, features))
    np.testing.assert_allclose(seen / apart, np.mean(seen / apart), rtol=1e-4)
    np.testing.assert_allclose(found.features["noise"].var(axis=0).sum(), 1.0, rtol=1e-6)


def test_a_line_leaves_nothing_out_of_noise(generator: StackGANGenerator) -> None:
    views = View.named("noise", generator, None), View.named("values", generator, None)
    found = Surroundings(generator, tuple(view for view in views if view is not None), generator.noise_dim)
    wishes = {name: Wish(view, found.lines[name]) for name, view in found.views.items()}
    assert wishes["noise"].covariance.shape == wishes["noise"]._covariance.shape
    assert wishes["values"].covariance.shape != wishes["values"]._covariance.shape


def test_another_generator_is_another(generator: StackGANGenerator) -> None:
    of_one = prepared(generator, None, "values").features["values"]
    of_other = prepared(StackGANGenerator(small_generator_network(noise_dim=7), -1, CPU), None, "values").features[
        "values"
    ]
    assert of_one.shape != of_other.shape or not np.allclose(of_one, of_other)
    for features in (of_one, of_other):
        np.testing.assert_allclose(features.var(axis=0).sum(), 1.0, rtol=0.01)


def test_a_generator_without_a_name_is_looked_at_anew(generator: StackGANGenerator) -> None:
    class Nameless:
        noise_dim, media, device = generator.noise_dim, generator.media, generator.device
        sample_noise, generated = staticmethod(generator.sample_noise), 0

        def generate(self, noise: torch.Tensor) -> torch.Tensor:
            self.generated += len(noise)
            return generator.generate(noise)

    nameless = Nameless()
    for times in (1, 2):
        Surroundings(nameless, (View.named("values", nameless, None),), 4)
        assert nameless.generated >= POOL * times


def test_what_is_known_of_a_generator_ends_with_it() -> None:
    generator = StackGANGenerator(small_generator_network(), -1, CPU)
    agent = PosteriorAgent(mirrored=20, tried=2)
    agent.reset(generator, None, 0)
    ends = weakref.ref(agent._around)
    del agent, generator
    gc.collect()
    assert ends() is None


def test_the_command_prepares(
    checkpoint: Callable[..., Path],
    generator: StackGANGenerator,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    small = str(checkpoint())
    main(["--generator", small, "--device", "cpu", "--views", "values", "deep"])
    told = capsys.readouterr().out.splitlines()
    assert told[0].startswith("noise: 6 numbers, of which directions account for the change of media: ")
    assert told[1].startswith(f"values: 128 components of {POOL - 1} hold 100% of the variance; the line over")
    assert told[2] == "not there for these media: deep"
    assert told[3:] == [f"kept in {os.environ['PBG_CACHE']}: values"]
    monkeypatch.setattr(type(generator), "generate", lambda *_: pytest.fail("it generated"))
    Surroundings.of(load_generator(small, device="cpu"), None, ("values",), 6)


@pytest.mark.parametrize(
    ("told", "message"),
    [
        (["--generator", "nowhere"], "nowhere"),
        (["--views", "smell"], "view 'smell' is none of values, noise, layout, convolutions, deep"),
    ],
)
def test_the_command_says_what_is_wrong(told: list[str], message: str) -> None:
    with pytest.raises(SystemExit, match=f"^error: .*{message}"):
        main(told)
