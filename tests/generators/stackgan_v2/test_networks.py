"""Our networks against figures of the published ones."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from benchmarks.published import published
from pbg_env.generators.stackgan_v2.folding import folded
from pbg_env.generators.stackgan_v2.networks import DiscriminatorNetwork, GeneratorNetwork, NextStage

DATA = Path(__file__).parents[2] / "data"


def fill(network: nn.Module, variance: float) -> nn.Module:
    """Weights by formula, as the published networks were filled for their figures."""
    state = network.state_dict()
    for i, (name, tensor) in enumerate(state.items()):
        n = tensor.numel()
        x = np.arange(n, dtype=np.float64)
        w = np.sin(0.7391 * x + 1.618 * i) * np.cos(0.0173 * x + i)
        if name.endswith("num_batches_tracked"):
            value = np.array(7.0)
        elif name.endswith("running_var"):
            value = variance * (1 + 0.3 * w)
        elif tensor.ndim == 1:
            value = 1 + 0.2 * w if name.endswith("weight") else 0.1 * w
        else:
            value = w * 2.2 / np.sqrt(n / tensor.shape[0])
        state[name] = torch.from_numpy(value.reshape(tensor.shape)).float().to(tensor.dtype)
    network.load_state_dict(state)
    return network.eval().requires_grad_(False)


def relative_error(ours: torch.Tensor, reference: np.ndarray, indices: np.ndarray | None = None) -> float:
    values = ours.double().numpy().ravel()
    values = values if indices is None else values[indices]
    return float(np.linalg.norm(values - reference) / np.linalg.norm(reference))


@pytest.fixture(scope="module")
def reference() -> dict[str, np.ndarray]:
    return dict(np.load(DATA / "stackgan_v2_reference.npz"))


@pytest.fixture(scope="module")
def well_conditioned() -> dict[str, np.ndarray]:
    return dict(np.load(DATA / "stackgan_v2_well_conditioned.npz"))


def test_state_dicts_have_the_published_layout(reference: dict[str, np.ndarray]) -> None:
    shapes = json.loads(str(reference["shapes"]))
    networks: dict[str, nn.Module] = {"g": GeneratorNetwork(100, 16, (2, 2))}
    networks |= {f"d{scale}": DiscriminatorNetwork(16, scale) for scale in range(3)}
    for key, network in networks.items():
        state = network.state_dict()
        assert list(state) == list(reference[f"{key}_keys"])
        assert {name: list(tensor.shape) for name, tensor in state.items()} == dict(shapes[key])


@pytest.mark.parametrize("fold", [False, True])
def test_every_scale_agrees_with_the_published_networks(well_conditioned: dict[str, np.ndarray], fold: bool) -> None:
    generator = fill(GeneratorNetwork(100, 16, (2, 2, 1)), variance=1.0)
    generator = folded(generator) if fold else generator
    pictures = generator(torch.from_numpy(well_conditioned["z"]))
    for scale, ours in enumerate(pictures):
        assert ours.shape == (3, 3, 64 * 2**scale, 64 * 2**scale)
        assert relative_error(ours, well_conditioned[f"g{scale}"], well_conditioned[f"g{scale}_idx"]) < 1e-5
        discriminator = fill(DiscriminatorNetwork(8, scale), variance=1.0)
        discriminator = folded(discriminator) if fold else discriminator
        assert relative_error(discriminator(ours).sigmoid(), well_conditioned[f"d{scale}"]) < 1e-5


# The reference's weights amplify rounding tenfold from scale to scale: the published network itself, in float64, stays
# 1.1e-4 and 3.2e-2 away from its own float32 figures at the finer scales. What can be held to 1e-4 there is the
# discriminator at 128 px; the finer bounds are twice the published network's own distance. The test above is strict.
REFERENCE_BOUNDS = {0: (1e-4, 1e-4), 1: (2.2e-4, 1e-4), 2: (6.5e-2, 5e-3)}


@pytest.mark.parametrize("fold", [False, True])
def test_reference_figures(reference: dict[str, np.ndarray], fold: bool) -> None:
    generator = fill(GeneratorNetwork(100, 16, (2, 2)), variance=0.06).double()
    generator = folded(generator) if fold else generator
    pictures = generator(torch.from_numpy(reference["z"]).double())
    for scale, ours in enumerate(pictures):
        assert list(ours.shape) == list(reference[f"g{scale}_shape"])
        generator_bound, discriminator_bound = REFERENCE_BOUNDS[scale]
        assert relative_error(ours, reference[f"g{scale}"], reference[f"g{scale}_idx"]) < generator_bound
        assert float(ours.std()) == pytest.approx(float(reference[f"g{scale}_std"]), rel=1e-3)
        discriminator = fill(DiscriminatorNetwork(16, scale), variance=0.06).double()
        assert relative_error(discriminator(ours).sigmoid(), reference[f"d{scale}"]) < discriminator_bound


def test_one_scale_alone_is_that_of_all_scales() -> None:
    network = fill(GeneratorNetwork(10, 8, (2, 1)), variance=1.0)
    noise = torch.randn(2, 10, generator=torch.Generator().manual_seed(0))
    for scale, picture in enumerate(network(noise)):
        torch.testing.assert_close(network.picture(noise, scale), picture)


def lively(network: GeneratorNetwork) -> GeneratorNetwork:
    """Random normalisations, with the statistics of a batch: contrast reaches the pictures of every scale."""
    rng = torch.Generator().manual_seed(0)
    for parameter in network.parameters():
        if parameter.ndim > 1:
            nn.init.orthogonal_(parameter.data, generator=rng)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            module.momentum = 1.0
            module.weight.data.uniform_(0.5, 1.0, generator=rng)
            module.bias.data.uniform_(-0.3, 0.3, generator=rng)
    with torch.no_grad():
        network.train()(torch.randn(8, network.noise_dim, generator=rng))
    return network.eval().requires_grad_(False)


# 32 is wide enough for the doubling by matrix products, 8 for transposed convolutions alone.
@pytest.mark.parametrize("width", [8, 32])
@pytest.mark.parametrize("blocks", [(), (1,), (2, 1), (1, 1, 1)])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-4), (torch.float64, 1e-10)])
def test_folding_keeps_pictures_and_gradients(
    width: int, blocks: tuple[int, ...], dtype: torch.dtype, tolerance: float
) -> None:
    network = lively(GeneratorNetwork(10, width, blocks)).to(dtype)
    noise = torch.randn(2, 10, generator=torch.Generator().manual_seed(1)).to(dtype).requires_grad_(True)
    expected, ours = published(network)(noise), folded(network)(noise)
    for scale in range(len(blocks) + 1):
        torch.testing.assert_close(ours[scale], expected[scale], rtol=0, atol=tolerance)
        assert expected[scale].std() > 0.1
    gradients = [torch.autograd.grad(pictures[-1].square().mean(), noise)[0] for pictures in (expected, ours)]
    size = float(gradients[0].abs().max())
    assert size > 1e-3
    torch.testing.assert_close(gradients[1], gradients[0], rtol=0, atol=10 * tolerance * size)


def test_folding_is_exact_at_every_border() -> None:
    stage = fill(NextStage(5, 4, 1), variance=1.0).double()
    hidden = torch.randn(2, 4, 6, 6, generator=torch.Generator().manual_seed(0)).double()
    noise = torch.linspace(-2, 2, 10).view(2, 5).double()
    everywhere = noise[:, :, None, None].expand(-1, -1, 6, 6)
    expected = stage.jointConv(torch.cat((everywhere, hidden), dim=1))
    parts: list[torch.Tensor] = []
    joined = folded(nn.Sequential(stage))[0]
    joined.gate.register_forward_hook(lambda module, inputs, output: parts.append(output))
    torch.testing.assert_close(joined(hidden, noise), stage(hidden, noise), rtol=0, atol=1e-12)
    torch.testing.assert_close(parts[0], expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((100, 16, (2, 2, 1, 1)), "5 scales asked for, StackGAN-v2 has 1 to 4"),
        ((0, 16, ()), "noise_dim is 0"),
        ((100, 6, (2, 2)), "width is 6, expected a multiple of 4"),
    ],
)
def test_impossible_sizes_are_refused(arguments: tuple[int, int, tuple[int, ...]], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        GeneratorNetwork(*arguments)
