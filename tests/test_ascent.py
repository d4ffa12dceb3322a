import torch

from pbg_env import NOISE_BOUND, ascend


def test_finds_the_top_from_every_start() -> None:
    top = torch.tensor([1.0, -2.0, 0.5])
    starts = torch.randn(5, 3, generator=torch.Generator().manual_seed(0))
    found, values = ascend(lambda z: -(z - top).square().sum(dim=1), starts, steps=200, learning_rate=0.2)
    torch.testing.assert_close(found, top.expand(5, 3), atol=1e-2, rtol=0)
    torch.testing.assert_close(values, torch.zeros(5), atol=1e-3, rtol=0)


def test_stays_within_the_bounds() -> None:
    found, _ = ascend(lambda z: z.sum(dim=1), torch.zeros(2, 4), steps=100, learning_rate=1.0)
    torch.testing.assert_close(found, torch.full((2, 4), NOISE_BOUND))


def test_keeps_the_best_place_it_passed() -> None:
    # A step of 3 from 0 leaps over the narrow top at 0.
    found, values = ascend(lambda z: -z.abs().sum(dim=1), torch.zeros(1, 1), steps=1, learning_rate=3.0)
    assert found.item() == 0
    assert values.item() == 0
