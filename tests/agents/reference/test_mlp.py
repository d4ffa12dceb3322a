"""Perceptrons fitted to answers: what each setting changes, and what no setting may."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from agents.reference.memory import Dataset
from agents.reference.reward import MLPReward
from agents.reference.reward.base import bad_below
from agents.reference.reward.perceptrons import Perceptrons, bradley_terry_loss, threshold_loss
from pbg_env import Preference
from pbg_env.generators.stackgan_v2.model import StackGANGenerator

INCUMBENT = np.zeros(6, np.float32)


def by_first_value(count: int, rng: np.random.Generator) -> Dataset:
    """Answers of somebody who wants the first value of noise to be high."""
    pairs = rng.standard_normal((count, 2, 6)).astype(np.float32)
    labels = np.eye(2, dtype=np.float32)[pairs[..., 0].argmax(axis=1)]
    return Dataset(pairs, labels, np.zeros(count, np.float32))


def foreseen(model: MLPReward, rng: np.random.Generator) -> float:
    """Share of fresh pairs in the right order."""
    data = by_first_value(500, rng)
    rated = model.rate(torch.from_numpy(data.pairs).flatten(0, 1)).view(500, 2)
    return float(((rated[:, 0] > rated[:, 1]).numpy() == (data.labels[:, 0] == 1)).mean())


def fitted(generator: StackGANGenerator, data: Dataset, **settings: Any) -> tuple[MLPReward, dict[str, float]]:
    model = MLPReward(**settings)
    model.reset(generator, np.random.default_rng(1))
    return model, model.fit(data, INCUMBENT)


def test_loss_by_hand() -> None:
    rewards = torch.tensor([[1.0, 0.0]]).repeat(4, 1)
    labels = torch.tensor([answer.label for answer in Preference])
    first = -np.log(1 / (1 + np.exp(-1)))
    second = -np.log(1 / (1 + np.exp(1)))
    expected = (first + second + (first + second) / 2 + 0) / 4
    assert float(bradley_terry_loss(rewards, labels)) == pytest.approx(expected)


def test_loss_stays_finite_where_a_probability_rounds_to_0() -> None:
    loss = bradley_terry_loss(torch.tensor([[-300.0, 300.0]]), torch.tensor([[1.0, 0.0]]))
    assert float(loss) == pytest.approx(600)


def test_loss_of_a_threshold_by_hand() -> None:
    rewards = torch.tensor([[1.0, -1.0], [1.0, -1.0]])
    labels, bad = torch.tensor([[1.0, 0.0], [0.0, 0.0]]), torch.tensor([0.0, 1.0])
    log_sigmoid = lambda x: -np.log1p(np.exp(-x))  # noqa: E731
    threshold = 0.5
    expected = -(log_sigmoid(1 - 0.5) + log_sigmoid(0.5 - 1) + log_sigmoid(0.5 + 1)) / 2
    assert float(threshold_loss(rewards, labels, bad, torch.tensor(threshold))) == pytest.approx(expected)


def test_perceptrons_side_by_side_are_perceptrons() -> None:
    """Each member is what `torch.nn` makes of the same weights."""
    network = Perceptrons(3, [4, 5, 5], torch.Generator().manual_seed(0))
    inputs = torch.randn((3, 7, 4), generator=torch.Generator().manual_seed(1))
    outputs = network(inputs)
    for member in range(3):
        hidden = inputs[member]
        for layer in range(3):
            hidden = hidden @ network.weights[layer][member] + network.biases[layer][member]
            hidden = hidden if layer == 2 else torch.nn.functional.leaky_relu(hidden)
        torch.testing.assert_close(outputs[member], hidden[:, 0])
    bound = 5**-0.5
    assert 0.9 * bound < network.weights[1].abs().max() <= bound


SETTINGS: list[dict[str, Any]] = [
    {},
    {"dropout": 0.2},
    {"members": 4},
    {"members": 2, "dropout": 0.2, "standardise": True},
    {"label_smoothing": 0.1},
    {"reward_penalty": 0.01},
    {"held_out": 0.2, "patience": 5},
    {"from_scratch": True},
    {"both_bad": "threshold"},
    {"both_bad": "incumbent"},
]


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
def test_learns_an_order_whatever_the_settings(
    settings: dict[str, Any], generator: StackGANGenerator, rng: np.random.Generator
) -> None:
    model, told = fitted(generator, by_first_value(300, rng), epochs=40, **settings)
    assert foreseen(model, rng) > 0.85
    assert told["preference_loss"] < 0.5


def test_learns_from_media(generator: StackGANGenerator, rng: np.random.Generator) -> None:
    """What is wanted of media is learned from them; and the reward is climbed through the generator."""
    noise = generator.sample_noise(400, rng)
    brightness = generator.generate(noise).mean(dim=(1, 2, 3)).view(200, 2)
    labels = np.eye(2, dtype=np.float32)[brightness.argmax(dim=1).numpy()]
    data = Dataset(noise.view(200, 2, 6).numpy(), labels, np.zeros(200, np.float32))
    model, _ = fitted(generator, data, sees="media", components=16, standardise=True, epochs=30)
    fresh = generator.sample_noise(300, rng).requires_grad_(True)
    rated = model.rate(fresh)
    assert (
        np.corrcoef(rated.detach().numpy(), generator.generate(fresh).detach().mean(dim=(1, 2, 3)).numpy())[0, 1] > 0.8
    )
    (gradient,) = torch.autograd.grad(rated.sum(), fresh)
    assert (gradient.abs().sum(dim=1) > 0).all()


def test_nobody_moves_the_weights_but_a_fit(generator: StackGANGenerator, rng: np.random.Generator) -> None:
    """Whoever climbs the reward must not change what they climb."""
    model, _ = fitted(generator, by_first_value(50, rng), both_bad="threshold", dropout=0.1)
    noise = torch.zeros((3, 6), requires_grad=True)
    before = model.rate(noise).detach().clone()
    model.rate(noise).sum().backward()
    assert all(not parameter.requires_grad and parameter.grad is None for parameter in model._network.parameters())
    torch.testing.assert_close(model.rate(noise).detach(), before, rtol=0, atol=0)


def test_smoothing_and_penalty_hold_the_rewards_down(generator: StackGANGenerator, rng: np.random.Generator) -> None:
    data = by_first_value(200, rng)
    noise = torch.from_numpy(data.pairs).flatten(0, 1)
    plain, smooth, penalised = (
        float(fitted(generator, data, epochs=40, **settings)[0].rate(noise).std())
        for settings in ({}, {"label_smoothing": 0.3}, {"reward_penalty": 0.1})
    )
    assert smooth < 0.7 * plain
    assert penalised < 0.7 * plain


def test_fitting_stops_when_what_is_held_out_is_foreseen_worse(
    generator: StackGANGenerator, rng: np.random.Generator
) -> None:
    data = by_first_value(60, rng)
    # Answers of chance can be learned by heart, but not foreseen.
    nonsense = data._replace(labels=np.eye(2, dtype=np.float32)[rng.integers(2, size=60)])
    _, told = fitted(generator, nonsense, epochs=200, held_out=0.3, patience=3)
    assert told["epochs"] < 60
    _, told = fitted(generator, nonsense, epochs=200)
    assert told["epochs"] == 200


def test_from_scratch_forgets_the_last_fit(generator: StackGANGenerator, rng: np.random.Generator) -> None:
    data = by_first_value(200, rng)
    other = data._replace(labels=data.labels[:, ::-1].copy())
    going_on, _ = fitted(generator, data, epochs=40)
    fresh, _ = fitted(generator, data, epochs=40, from_scratch=True)
    for model in (going_on, fresh):
        model.epochs = 2
        model.fit(other, INCUMBENT)
    assert foreseen(going_on, rng) > foreseen(fresh, rng) + 0.1


class TestUncertainty:
    @pytest.mark.parametrize("settings", [{"members": 5}, {"dropout": 0.2}, {"members": 3, "dropout": 0.2}], ids=str)
    def test_it_is_small_where_answers_were_given(
        self, settings: dict[str, Any], generator: StackGANGenerator, rng: np.random.Generator
    ) -> None:
        data = by_first_value(300, rng)
        model, _ = fitted(generator, data, epochs=40, **settings)
        known = model.samples(torch.from_numpy(data.pairs[:, 0]))
        unknown = model.samples(4 * torch.from_numpy(data.pairs[:, 0]))
        assert known.shape[1] == 300
        assert unknown.std(dim=0).mean() > 1.5 * known.std(dim=0).mean()

    def test_the_same_samples_for_the_same_noise_whatever_is_beside_it(
        self, generator: StackGANGenerator, rng: np.random.Generator
    ) -> None:
        model, _ = fitted(generator, by_first_value(50, rng), dropout=0.3)
        noise = torch.from_numpy(rng.standard_normal((5, 6)).astype(np.float32))
        torch.testing.assert_close(model.samples(noise)[:, :2], model.samples(noise[:2]))

    def test_models_without_it_say_so(self, generator: StackGANGenerator, rng: np.random.Generator) -> None:
        model, _ = fitted(generator, by_first_value(50, rng))
        with pytest.raises(ValueError, match="MLPReward knows no uncertainty, which a filter"):
            model.samples(torch.zeros((2, 6)))

    def test_information_is_within_a_bit_and_none_about_twins(
        self, generator: StackGANGenerator, rng: np.random.Generator
    ) -> None:
        model, _ = fitted(generator, by_first_value(50, rng), members=5)
        noise = torch.from_numpy(rng.standard_normal((10, 6)).astype(np.float32))
        information = model.information(noise, np.array([0, 1, 2, 3]), np.array([4, 5, 6, 3]))
        assert (information[:3] > 0).all()
        assert (information < 1).all()
        assert information[3] == pytest.approx(0, abs=1e-6)


class TestBothBad:
    def bad(self, rng: np.random.Generator) -> Dataset:
        """Of somebody to whom everything below 0 in the first value is bad, and who is decided above."""
        data = by_first_value(300, rng)
        bad = (data.pairs[..., 0] < 0).all(axis=1)
        labels = data.labels.copy()
        labels[bad] = 0
        return Dataset(data.pairs, labels, bad.astype(np.float32))

    def test_it_says_nothing_unless_told(self, generator: StackGANGenerator, rng: np.random.Generator) -> None:
        data = self.bad(rng)
        alone = data._replace(labels=np.zeros_like(data.labels))
        assert fitted(generator, alone)[1] == {}

    def test_a_threshold_parts_the_bad_from_the_others(
        self, generator: StackGANGenerator, rng: np.random.Generator
    ) -> None:
        model, _ = fitted(generator, self.bad(rng), epochs=60, both_bad="threshold")
        fresh = torch.from_numpy(rng.standard_normal((400, 6)).astype(np.float32))
        above = model.rate(fresh) > float(model._threshold)
        assert (above == (fresh[:, 0] > 0)).float().mean() > 0.85

    def test_below_the_incumbent_becomes_two_comparisons(self) -> None:
        noise = np.arange(18, dtype=np.float32).reshape(3, 2, 3)
        labels = np.array([[1, 0], [0, 0], [0, 0]], np.float32)
        data = bad_below(Dataset(noise, labels, np.array([0, 0.5, 0.25], np.float32)), noise[2, 0])
        np.testing.assert_array_equal(data.pairs[:3], noise)
        # The incumbent is not preferred to itself.
        np.testing.assert_array_equal(data.pairs[3:, 0], noise[[2, 2, 2], [0, 0, 0]])
        np.testing.assert_array_equal(data.pairs[3:, 1], noise[[1, 1, 2], [0, 1, 1]])
        np.testing.assert_array_equal(data.labels[3:], [[0.5, 0], [0.5, 0], [0.25, 0]])
        assert not data.bad.any()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"width": 0}, "width is 0, expected at least 1"),
        ({"dropout": 1.0}, "dropout is 1.0, expected a share from 0 to below 1"),
        ({"learning_rate": 0.0}, "learning_rate is 0.0 and reward_penalty 0.0, expected above 0 and at least 0"),
        ({"both_bad": "worse"}, "both_bad is 'worse', expected one of 'nothing', 'threshold', 'incumbent'"),
        ({"sees": "sound"}, "sees is 'sound', expected one of 'noise', 'media'"),
    ],
    ids=str,
)
def test_mistakes(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        MLPReward(**settings)
