from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from pbg_env import load_discriminator, load_generator
from pbg_env.generators.stackgan_v2.checkpoint import (
    CheckpointError,
    load_discriminator_network,
    load_generator_network,
)
from pbg_env.generators.stackgan_v2.networks import DiscriminatorNetwork
from tests.conftest import small_generator_network

Write = Callable[..., Path]


def rewrite(path: Path, change: Callable[[dict[str, torch.Tensor]], object]) -> Path:
    state = torch.load(path, weights_only=True)
    change(state)
    torch.save(state, path)
    return path


@pytest.mark.parametrize("blocks", [(), (2,), (2, 2), (3, 3, 1)])
def test_the_architecture_is_read_from_the_tensors(checkpoint: Write, blocks: tuple[int, ...]) -> None:
    network = load_generator_network(checkpoint(noise_dim=7, width=8, blocks=blocks))
    assert (network.noise_dim, network.width, network.residual_blocks) == (7, 8, blocks)
    assert not network.training


@pytest.mark.parametrize("scale", [0, 1, 2, 3])
def test_the_discriminators_size_is_read_from_the_tensors(tmp_path: Path, scale: int) -> None:
    path = tmp_path / f"netD{scale}.pth"
    torch.save(DiscriminatorNetwork(2, scale).state_dict(), path)
    network = load_discriminator_network(path)
    assert (network.width, network.scale) == (2, scale)
    assert load_discriminator(path).score(torch.rand(2, 3, 64 * 2**scale, 64 * 2**scale)).shape == (2,)


def test_prefix_of_data_parallel_training_and_safetensors_give_the_same_pictures(tmp_path: Path) -> None:
    state = small_generator_network().state_dict()
    torch.save(state, tmp_path / "netG_1.pth")
    torch.save({f"module.{name}": tensor for name, tensor in state.items()}, tmp_path / "netG_2.pth")
    torch.save(state, tmp_path / "netG_3.pth", _use_new_zipfile_serialization=False)
    save_file(state, tmp_path / "netG.safetensors")
    noise = torch.linspace(-2, 2, 12).view(2, 6)
    pictures = [load_generator(path).generate(noise) for path in sorted(tmp_path.iterdir())]
    assert len(pictures) == 4
    for picture in pictures[1:]:
        torch.testing.assert_close(picture, pictures[0], rtol=0, atol=0)


def test_checkpoints_without_batch_counters_load(checkpoint: Write) -> None:
    def forget(state: dict[str, torch.Tensor]) -> None:
        for name in [name for name in state if name.endswith("num_batches_tracked")]:
            del state[name]

    load_generator_network(rewrite(checkpoint(), forget))


def test_every_scale_can_be_asked_for(checkpoint: Write) -> None:
    path = checkpoint(blocks=(1, 1), width=4)
    for scale, size in ((0, 64), (1, 128), (2, 256), (-1, 256)):
        generator = load_generator(path, scale=scale)
        assert generator.media.shape == (3, size, size)
        assert generator.generate(torch.zeros(1, 6)).shape == (1, 3, size, size)
    with pytest.raises(CheckpointError, match=r"scale 3 asked for, but the generator has the scales 0 \(64 px\), 1"):
        load_generator(path, scale=3)


def test_a_configuration_that_agrees_is_accepted(checkpoint: Write, tmp_path: Path) -> None:
    config = tmp_path / "birds.yml"
    config.write_text("TREE: {BRANCH_NUM: 2, BASE_SIZE: 64}\nGAN: {GF_DIM: 4, Z_DIM: 6, R_NUM: 2, DF_DIM: 64}\n")
    assert load_generator(checkpoint(blocks=(2,)), config=config).noise_dim == 6


@pytest.mark.parametrize(
    ("yaml", "message"),
    [
        ("GAN: {GF_DIM: 64}", r"GF_DIM is 64 in .*birds.yml but 4 in .*netG_10.pth"),
        ("GAN: {Z_DIM: 100}\nTREE: {BRANCH_NUM: 3}", r"Z_DIM is 100 in .* but 6 in .*; BRANCH_NUM is 3 in .* but 2 in"),
        ("GAN: {R_NUM: 3}", r"R_NUM is 3 in .* but 2 in"),
        ("GAN: {B_CONDITION: true}", r"B_CONDITION is True in .* but False in"),
        ("SOMETHING: else", "has neither a section GAN nor TREE"),
        ("GAN: [", "not a YAML file"),
    ],
)
def test_a_configuration_that_contradicts_is_an_error(
    checkpoint: Write, tmp_path: Path, yaml: str, message: str
) -> None:
    config = tmp_path / "birds.yml"
    config.write_text(yaml)
    with pytest.raises(CheckpointError, match=message):
        load_generator(checkpoint(blocks=(2,)), config=config)


class _Calls:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, ("echo harm",)


def _truncated(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-2000])


def _code(path: Path) -> None:
    torch.save({"h_net1.fc.0.weight": _Calls()}, path)


def _old_code(path: Path) -> None:
    torch.save({"h_net1.fc.0.weight": _Calls()}, path, _use_new_zipfile_serialization=False)


def _conditional(path: Path) -> None:
    rewrite(path, lambda state: state.update({"ca_net.fc.weight": torch.zeros(2, 2)}))


def _missing(path: Path) -> None:
    rewrite(path, lambda state: state.pop("h_net1.upsample2.1.weight"))


def _extra(path: Path) -> None:
    rewrite(path, lambda state: state.update({"h_net1.surprise": torch.zeros(1)}))


def _misshapen(path: Path) -> None:
    rewrite(path, lambda state: state.update({"img_net1.img.0.weight": torch.zeros(3, 5, 3, 3)}))


def _discriminator(path: Path) -> None:
    torch.save(DiscriminatorNetwork(2, 0).state_dict(), path)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (_truncated, "truncated, or not a file that torch.save wrote"),
        (lambda path: path.write_bytes(b""), "truncated, or not a file that torch.save wrote"),
        (lambda path: path.write_text("<html>not found</html>"), "truncated, or not a file that torch.save wrote"),
        (_code, "asks to run code while it is read, which is refused"),
        (_old_code, "asks to run code while it is read, which is refused"),
        (lambda path: torch.save([1, 2], path), "not a state_dict .* but list"),
        (lambda path: torch.save({"epoch": 3}, path), "not a state_dict"),
        (_conditional, r"conditioned on text \(it has ca_net"),
        (_discriminator, r"this is a discriminator; expected a generator \(netG_"),
        (_missing, "1 missing tensors: h_net1.upsample2.1.weight"),
        (_extra, "1 unknown tensors: h_net1.surprise"),
        (_misshapen, r"img_net1.img.0.weight is \(3, 5, 3, 3\), expected \(3, 4, 3, 3\)"),
        (lambda path: torch.save({"weight": torch.zeros(3)}, path), "not a StackGAN-v2 generator"),
    ],
)
def test_each_mistake_has_its_own_message(checkpoint: Write, spoil: Callable[[Path], object], message: str) -> None:
    path = checkpoint()
    spoil(path)
    with pytest.raises(CheckpointError, match=message) as error:
        load_generator(path)
    assert str(path) in str(error.value)


def test_mistakes_with_discriminators(tmp_path: Path, checkpoint: Write) -> None:
    with pytest.raises(CheckpointError, match=r"this is a generator; expected a discriminator \(netD"):
        load_discriminator(checkpoint())
    path = tmp_path / "netD0.pth"
    torch.save(DiscriminatorNetwork(2, 0).state_dict(), path)
    with pytest.raises(CheckpointError, match="scale 1 asked for, but this discriminator is of scale 0"):
        load_discriminator(path, scale=1)
    rewrite(path, lambda state: state.update({"uncond_logits.0.bias": torch.zeros(1)}))
    with pytest.raises(CheckpointError, match="it has joint logits"):
        load_discriminator(path)


def test_truncated_safetensors(tmp_path: Path) -> None:
    path = tmp_path / "generator.safetensors"
    save_file(small_generator_network().state_dict(), path)
    _truncated(path)
    with pytest.raises(CheckpointError, match="truncated or not a safetensors file"):
        load_generator(path)


def test_no_such_file_and_no_such_name(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"no such checkpoint: .*netG_7.pth"):
        load_generator(tmp_path / "netG_7.pth")
    with pytest.raises(ValueError, match="unknown generator 'avatar'; expected the name of an embedded model"):
        load_generator("avatar")


def test_absent_cuda_is_said(checkpoint: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ValueError, match="'cuda' asked for, but torch sees no CUDA device here"):
        load_generator(checkpoint(), device="cuda")
