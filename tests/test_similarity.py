import pytest
import torch

from pbg_env.similarity import pixels, similarity_named


def test_pixels_is_the_negative_root_mean_squared_error() -> None:
    target = torch.zeros(3, 8, 8)
    media = torch.stack((torch.full((3, 8, 8), 0.5), torch.ones(3, 8, 8), target))
    torch.testing.assert_close(pixels(media, target), torch.tensor([-0.5, -1.0, 0.0]), atol=1e-4, rtol=0)


def test_pixels_has_a_finite_gradient_at_the_target_itself() -> None:
    media = torch.full((1, 3, 8, 8), 0.5, requires_grad=True)
    pixels(media, torch.full((3, 8, 8), 0.5)).sum().backward()
    assert media.grad is not None
    assert torch.isfinite(media.grad).all()


def test_unknown_similarity_names_those_there_are() -> None:
    with pytest.raises(ValueError, match="unknown similarity 'colour'; expected one of 'pixels'"):
        similarity_named("colour")
