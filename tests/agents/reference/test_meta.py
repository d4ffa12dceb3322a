"""A start that was learned on simulated users foresees the answers of others better than one that was not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from agents.reference import meta
from agents.reference.memory import Dataset
from agents.reference.reward import MetaLearned
from agents.reference.reward.meta_learned import STARTS, Start, adapt, pair_rewards
from agents.reference.reward.perceptrons import Perceptrons, bradley_terry_loss
from pbg_env import load_generator
from pbg_env.generators.stackgan_v2.model import StackGANGenerator


def small_start(steps: int) -> Start:
    network = Perceptrons(1, [6, 8], torch.Generator().manual_seed(0))
    return Start(
        [w.detach() for w in network.weights], [b.detach() for b in network.biases], torch.full((4,), -1.0), steps
    )


def pairs_of(tasks: int, count: int, rng: np.random.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    noise = rng.standard_normal((tasks, count, 2, 6)).astype(np.float32)
    labels = np.eye(2, dtype=np.float32)[noise[..., 0].argmax(axis=2)]
    return torch.from_numpy(noise), torch.from_numpy(labels)


def test_adapting_is_gradient_descent_by_hand(rng: np.random.Generator) -> None:
    start = small_start(steps=1)
    noise, labels = pairs_of(1, 10, rng)
    tensors = [tensor.clone().requires_grad_(True) for tensor in (*start.weights, *start.biases)]
    loss = bradley_terry_loss(pair_rewards(tensors, noise), labels)
    expected = [
        tensor - np.exp(-1.0) * gradient
        for tensor, gradient in zip(tensors, torch.autograd.grad(loss, tensors), strict=True)
    ]
    for found, wanted in zip(adapt(start, noise, labels), expected, strict=True):
        torch.testing.assert_close(found, wanted)


def test_tasks_are_adapted_each_on_its_own(rng: np.random.Generator) -> None:
    start = small_start(steps=3)
    noise, labels = pairs_of(3, 10, rng)
    together = adapt(start, noise, labels, differentiable=True)
    alone = adapt(start, noise[1:2], labels[1:2])
    for one, other in zip(together, alone, strict=True):
        torch.testing.assert_close(one[1:2], other)


def test_the_command_learns_a_start_that_helps(
    checkpoint: Callable[..., Path], generator: StackGANGenerator, tmp_path: Path, rng: np.random.Generator
) -> None:
    out = tmp_path / "start.safetensors"
    sizes = ["--families=60", "--members=20", "--components=8", "--width=32", "--layers=2", "--steps=150", "--tasks=4"]
    meta.main(["--generator", str(checkpoint()), "--out", str(out), *sizes])
    learned, name = Start.load(out)
    assert name == generator.weights
    begun = Perceptrons(1, [6, 32, 32], torch.Generator().manual_seed(0))
    fresh = Start(
        [w.detach() for w in begun.weights],
        [b.detach() for b in begun.biases],
        torch.full((6,), float(np.log(0.1))),
        10,
    )
    media = meta.make_media(generator, 20, 20, 8, np.random.default_rng(99))
    right = [
        np.mean([meta.foresight(start, meta.draw_tasks(media, 16, 15, np.random.default_rng(s)))[1] for s in range(4)])
        for start in (learned, fresh)
    ]
    assert right[0] > right[1] + 0.05
    model = MetaLearned(str(out))
    model.reset(generator, rng)
    noise, labels = pairs_of(1, 30, rng)
    data = Dataset(noise[0].numpy(), labels[0].numpy(), np.zeros(30, np.float32))
    before = model.rate(noise[0, :, 0])
    assert model.fit(data, noise[0, 0, 0].numpy())["preference_loss"] < np.log(2)
    assert (model.rate(noise[0, :, 0]) != before).any()
    # Each fit begins anew from the start, whatever was fitted before.
    again = model.rate(noise[0, :, 0])
    model.fit(data, noise[0, 0, 0].numpy())
    torch.testing.assert_close(model.rate(noise[0, :, 0]), again, rtol=0, atol=0)


def test_a_start_belongs_to_one_generator(generator: StackGANGenerator, rng: np.random.Generator) -> None:
    with pytest.raises(ValueError, match="the start 'avatars' was learned for a generator with other weights"):
        MetaLearned().reset(generator, rng)


def test_the_shipped_start_belongs_to_the_embedded_generator(rng: np.random.Generator) -> None:
    model = MetaLearned("avatars")
    model.reset(load_generator("avatars", device="cpu"), rng)
    assert model.rate(torch.zeros((3, 100))).shape == (3,)
    assert (STARTS / "avatars.safetensors").stat().st_size < 500_000


def test_files_that_are_no_start(tmp_path: Path, generator: StackGANGenerator, rng: np.random.Generator) -> None:
    text, other = tmp_path / "text.safetensors", tmp_path / "other.safetensors"
    text.write_text("no weights")
    save_file({"x": torch.zeros(1)}, other)
    for path in (text, other):
        with pytest.raises(ValueError, match="is no start"):
            MetaLearned(str(path)).reset(generator, rng)
    with pytest.raises(FileNotFoundError, match="no such start: nowhere"):
        MetaLearned("nowhere.safetensors").reset(generator, rng)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--generator=nothing", "--out=x.safetensors"], "error: unknown generator 'nothing'"),
        (["--generator={small}"], "error: --out is missing; expected a .safetensors file for the start of this"),
        (["--generator={small}", "--out=start"], "error: --out is start, expected a .safetensors file"),
        (["--families=9"], "error: families is 9, expected at least 10"),
        (["--learning_rate=0"], "error: learning_rate is 0.0, expected above 0"),
    ],
)
def test_mistakes_end_with_a_sentence_before_anything_is_learned(
    arguments: list[str], message: str, checkpoint: Callable[..., Path]
) -> None:
    with pytest.raises(SystemExit, match=message):
        meta.main([argument.format(small=checkpoint()) for argument in arguments])


def test_a_start_is_adapted_as_far_as_it_was_learned_for(
    generator: StackGANGenerator, tmp_path: Path, rng: np.random.Generator
) -> None:
    path = tmp_path / "start.safetensors"
    small_start(steps=3).save(path, generator.weights)
    noise, labels = pairs_of(1, 10, rng)
    data = Dataset(noise[0].numpy(), labels[0].numpy(), np.zeros(10, np.float32))
    rated = []
    for steps in (None, 3, 4):
        model = MetaLearned(str(path), steps)
        model.reset(generator, rng)
        model.fit(data, None)
        rated.append(model.rate(noise[0, :, 0]))
    torch.testing.assert_close(rated[0], rated[1], rtol=0, atol=0)
    assert (rated[0] != rated[2]).any()
