from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from pbg_env import Generator, ImageMedium
from pbg_env.generators.module import ModuleGenerator
from pbg_env.media import SoundMedium

DIM = 5


def pictures(*last: nn.Module, channels: int = 3, first: type[nn.Module] | None = None) -> nn.Sequential:
    """Noise (batch, 5) → pictures (batch, channels, 4, 4)."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        layers = [nn.Linear(DIM, 32), *([] if first is None else [first(32)]), nn.ReLU(), nn.Linear(32, 16 * channels)]
        return nn.Sequential(*layers, *last, nn.Unflatten(1, (channels, 4, 4)))


def dcgan() -> nn.Sequential:
    """Noise (batch, 5, 1, 1) → pictures (batch, 3, 8, 8)."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return nn.Sequential(
            nn.ConvTranspose2d(DIM, 8, 4, bias=False),
            nn.BatchNorm2d(8),
            nn.ReLU(),
            nn.ConvTranspose2d(8, 3, 4, stride=2, padding=1),
            nn.Tanh(),
        )


def exported(module: nn.Module, *shape: int, batch: int = 2, dynamic: bool = True) -> ExportedProgram:
    dimensions = ({0: Dim("batch")},) if dynamic else None
    return torch.export.export(module, (torch.zeros(batch, *shape),), dynamic_shapes=dimensions)


class From(nn.Module):
    """A module of one function of the noise."""

    def __init__(self, function: object, **attributes: object) -> None:
        super().__init__()
        self.function = function
        for name, value in attributes.items():
            setattr(self, name, value)

    def forward(self, noise: Tensor) -> object:
        return self.function(noise)  # type: ignore[operator]


class Shift(nn.Module):
    def __init__(self, by: float) -> None:
        super().__init__()
        self.by = by

    def forward(self, values: Tensor) -> Tensor:
        return values + self.by


def squares(noise: Tensor) -> Tensor:
    return noise.sigmoid()[:, :3, None, None].expand(-1, 3, 4, 4)


def test_members_of_the_protocol() -> None:
    generator = ModuleGenerator(pictures(nn.Tanh()))
    assert isinstance(generator, Generator)
    assert generator in {generator}


@pytest.mark.parametrize(
    "module",
    [
        pictures(nn.Tanh()),
        pictures(nn.Sigmoid(), channels=1),
        dcgan(),
        pictures(nn.Hardtanh()),
        pictures(nn.Tanh()).double(),
    ],
    ids=["tanh", "grey", "DCGAN", "hardtanh", "double"],
)
def test_media_are_pictures_within_0_and_1_and_functions_of_their_own_noise(module: nn.Module) -> None:
    generator = ModuleGenerator(module)
    noise = generator.sample_noise(6, np.random.default_rng(0)).requires_grad_(True)
    media = generator.generate(noise)
    assert generator.noise_dim == DIM
    assert media.shape == (6, *generator.media.shape)
    assert 0.0 <= media.min() < media.max() <= 1.0
    assert (media[0] - media[1]).abs().max() > 0.01
    torch.testing.assert_close(media, torch.cat([generator.generate(one[None]) for one in noise]), atol=1e-6, rtol=0)
    (gradient,) = torch.autograd.grad(media.square().mean(), noise)
    assert (gradient.abs().amax(dim=1) > 0).all()


@pytest.mark.parametrize(("last", "low"), [(nn.Tanh(), -1.0), (nn.Sigmoid(), 0.0)])
def test_the_range_of_the_last_layer_becomes_0_to_1(last: nn.Module, low: float) -> None:
    # Samples alone would not tell this tanh from a sigmoid: all its values are above 0.
    module = pictures(Shift(3.0), last)
    noise = torch.randn(3, DIM, generator=torch.Generator().manual_seed(0))
    assert module(noise).min() > 0
    generator = ModuleGenerator(module)
    assert generator.output_range == (low, 1.0)
    torch.testing.assert_close(generator.generate(noise), (module(noise) - low) / (1.0 - low))
    assert ModuleGenerator(exported(module, DIM)).output_range == (low, 1.0)


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (lambda noise: torch.sigmoid(noise) * 1.0, (0.0, 1.0)),
        (lambda noise: torch.sigmoid(noise) * 2.0 - 1.0, (-1.0, 1.0)),
        (lambda noise: noise.sin() * 0.9, (-1.0, 1.0)),
    ],
)
def test_a_range_that_cannot_be_seen_is_sampled(function: object, expected: tuple[float, float]) -> None:
    module = From(lambda noise: squares_of(function(noise)), noise_dim=DIM)  # type: ignore[operator]
    assert ModuleGenerator(module).output_range == expected


def squares_of(values: Tensor) -> Tensor:
    return values[:, :3, None, None].expand(-1, 3, 4, 4) * 1.0


def test_a_stated_range_is_mapped_and_clamped() -> None:
    module = From(lambda noise: squares_of(noise * 100.0), noise_dim=3)
    with pytest.raises(ValueError, match=r"its values, here from -\d+ to \d+, are in neither .*; state output_range"):
        ModuleGenerator(module)
    generator = ModuleGenerator(module, output_range=(0, 255))
    media = generator.generate(torch.tensor([[-1.0, 1.275, 4.0]]))[0, :, 0, 0]
    torch.testing.assert_close(media, torch.tensor([0.0, 0.5, 1.0]))


@pytest.mark.parametrize("name", ["noise_dim", "z_dim", "latent_dim", "nz"])
def test_attributes_tell_how_much_noise_it_takes(name: str) -> None:
    assert ModuleGenerator(From(squares, **{name: 7})).noise_dim == 7


def test_stated_noise_goes_before_what_is_seen() -> None:
    assert ModuleGenerator(From(squares, noise_dim=7), noise_dim=4).noise_dim == 4
    with pytest.raises(ValueError, match="how much noise it takes cannot be seen; state noise_dim"):
        ModuleGenerator(From(squares))
    with pytest.raises(ValueError, match="noise_dim is 0, expected a whole number of at least 1"):
        ModuleGenerator(pictures(nn.Tanh()), noise_dim=0)


def test_wrong_noise_is_refused() -> None:
    with pytest.raises(
        ValueError, match=r"with noise_dim 6 it takes no noise of shape \(2, 6\) \(RuntimeError: .*nor \(2, 6, 1, 1\)"
    ):
        ModuleGenerator(pictures(nn.Tanh()), noise_dim=6)
    with pytest.raises(ValueError, match=r"noise of shape \(5,\), expected \(batch, 5\)"):
        ModuleGenerator(pictures(nn.Tanh())).generate(torch.zeros(5))


def test_grey_pictures_have_three_equal_channels() -> None:
    generator = ModuleGenerator(pictures(nn.Sigmoid(), channels=1))
    media = generator.generate(torch.ones(1, DIM))
    assert generator.media == ImageMedium(4)
    assert torch.equal(media[:, 0], media[:, 1])
    assert torch.equal(media[:, 0], media[:, 2])


def test_other_media_are_stated() -> None:
    sounds = nn.Sequential(nn.Linear(DIM, 100), nn.Tanh(), nn.Unflatten(1, (1, 100)))
    with pytest.raises(ValueError, match=r"what media of shape \(1, 100\) are cannot be seen; state medium"):
        ModuleGenerator(sounds)
    generator = ModuleGenerator(sounds, medium=SoundMedium(100, 8000))
    assert generator.media == SoundMedium(100, 8000)
    assert generator.generate(torch.zeros(2, DIM)).shape == (2, 100)
    with pytest.raises(ValueError, match=r"media of shape \(1, 100\), but the medium's shape is \(200,\)"):
        ModuleGenerator(sounds, medium=SoundMedium(200, 8000))


def test_evaluation_mode_and_no_gradients_of_parameters() -> None:
    module = pictures(nn.Dropout(0.5), nn.Tanh(), first=nn.BatchNorm1d).train()
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    ModuleGenerator(module)
    assert not module.training
    assert not any(parameter.requires_grad for parameter in module.parameters())
    assert all(torch.equal(tensor, before[name]) for name, tensor in module.state_dict().items())


def test_gradients_are_found_where_none_are_recorded() -> None:
    with torch.no_grad():
        generator = ModuleGenerator(pictures(nn.Tanh()))
        assert not generator.generate(torch.zeros(1, DIM)).requires_grad


def test_weights_have_a_name() -> None:
    one = ModuleGenerator(pictures(nn.Tanh())).weights
    assert one == ModuleGenerator(pictures(nn.Tanh())).weights
    # What is done with equal weights tells generators apart, too.
    others = [
        ModuleGenerator(dcgan()),
        ModuleGenerator(pictures(nn.Tanh()), output_range=(-2.0, 2.0)),
        ModuleGenerator(pictures(nn.Sigmoid())),
        ModuleGenerator(From(squares, noise_dim=3)),
    ]
    assert len({one, *(other.weights for other in others)}) == 5


def test_half_precision_makes_media_of_single_precision() -> None:
    generator = ModuleGenerator(pictures(nn.Tanh()).bfloat16())
    media = generator.generate(torch.zeros(1, DIM))
    assert media.dtype == torch.float32


@pytest.mark.parametrize(("module", "shape"), [(pictures(nn.Tanh()), (DIM,)), (dcgan(), (DIM, 1, 1))])
def test_an_exported_program_makes_what_its_module_makes(
    tmp_path: Path, module: nn.Sequential, shape: tuple[int, ...]
) -> None:
    direct = ModuleGenerator(module)
    torch.export.save(exported(module, *shape), tmp_path / "generator.pt2")
    generator = ModuleGenerator(torch.export.load(tmp_path / "generator.pt2"))
    noise = direct.sample_noise(3, np.random.default_rng(0)).requires_grad_(True)
    assert (generator.noise_dim, generator.media, generator.weights) == (DIM, direct.media, direct.weights)
    torch.testing.assert_close(generator.generate(noise), direct.generate(noise), atol=1e-6, rtol=0)
    (gradient,) = torch.autograd.grad(generator.generate(noise).square().mean(), noise)
    assert gradient.abs().max() > 0


def test_an_exported_program_of_one_batch_size_is_refused() -> None:
    for batch in (1, 8):
        program = exported(pictures(nn.Tanh()).eval(), DIM, batch=batch, dynamic=False)
        with pytest.raises(ValueError, match=rf"exported for batches of {batch} alone; .*torch\.export\.Dim"):
            ModuleGenerator(program)


def test_an_exported_program_takes_the_noise_it_was_exported_for() -> None:
    program = exported(pictures(nn.Tanh()).eval(), DIM)
    with pytest.raises(ValueError, match="noise_dim is 6, but it was exported for noise of 5"):
        ModuleGenerator(program, noise_dim=6)
    program = torch.export.export(nn.Bilinear(2, 2, 12), (torch.zeros(2, 2), torch.zeros(2, 2)))
    with pytest.raises(ValueError, match=r"it takes 2 inputs, \(2, 2\), \(2, 2\); expected one of shape"):
        ModuleGenerator(program)


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda noise: [squares(noise)], "returns a list; wrap it in a module that returns one tensor"),
        (lambda noise: (squares(noise) * 255).byte(), r"returns values of torch.uint8, which have no gradients"),
        (lambda noise: squares(noise)[:1], r"returns \(1, 3, 4, 4\) for a batch of 2"),
        (lambda noise: squares(noise).sum(), r"returns \(\) for a batch of 2"),
        (lambda noise: squares(noise) / 0.0, "NaN or infinite"),
        (lambda noise: squares(noise.detach()), "no gradient reaches the noise; leave out torch.no_grad"),
        (lambda noise: F.dropout(squares(noise), 0.5) / 2, "not deterministic, .* leave out dropout and randomness"),
        (lambda noise: squares(noise + torch.randn_like(noise)), "not deterministic"),
        (
            lambda noise: squares(noise - noise.mean(dim=0)),
            "depends on the others in its batch; the usual cause is batch n",
        ),
        (lambda noise: squares(noise * 0.0), "gradient with respect to the noise is 0"),
        (lambda noise: squares((noise * 0.0).sqrt()), "gradient with respect to the noise is NaN"),
    ],
)
def test_modules_that_are_no_generators(function: object, message: str) -> None:
    with pytest.raises(ValueError, match=f"^my module cannot be used as a generator: .*{message}"):
        ModuleGenerator(From(function, noise_dim=DIM), name="my module")


def test_batch_normalisation_of_the_batch_is_refused() -> None:
    message = "batch normalisation in training mode or without running statistics"
    module = nn.Sequential(nn.Linear(DIM, 48), nn.BatchNorm1d(48, track_running_stats=False), nn.Tanh())
    with pytest.raises(ValueError, match=message):
        ModuleGenerator(nn.Sequential(module, nn.Unflatten(1, (3, 4, 4))))
    trained = pictures(nn.Tanh(), first=nn.BatchNorm1d).train()
    with pytest.raises(ValueError, match=message):
        ModuleGenerator(exported(trained, DIM))


def test_other_objects_and_ranges_are_refused() -> None:
    with pytest.raises(ValueError, match=r"^dict cannot be used .*expected a torch.nn.Module or a torch.export"):
        ModuleGenerator({})  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="expected two finite numbers, the lower one first"):
        ModuleGenerator(pictures(nn.Tanh()), output_range=(1.0, -1.0))


def test_a_noise_dim_of_numpy_is_a_number() -> None:
    assert ModuleGenerator(pictures(nn.Tanh()), noise_dim=np.int64(DIM)).noise_dim == DIM  # type: ignore[arg-type]
