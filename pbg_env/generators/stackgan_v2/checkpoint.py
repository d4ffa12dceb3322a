"""Reads checkpoints in the published layout: the architecture from the tensors' shapes, every mistake by its name.

No code from a file is ever run: `.pth` files are read with `weights_only=True`, the rest is safetensors.
"""

from __future__ import annotations

import io
import pickle
import pickletools
import re
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import torch
import yaml
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from pbg_env.generators.stackgan_v2.networks import (
    MAX_SCALES,
    DiscriminatorNetwork,
    GeneratorNetwork,
    scale_size,
)

StateDict = dict[str, Tensor]
Network = TypeVar("Network", bound=nn.Module)

_CALLS = {"GLOBAL", "STACK_GLOBAL", "INST"}

_FC = "h_net1.fc.0.weight"
_FIRST_CONVOLUTION = "img_code_s16.0.weight"


class CheckpointError(ValueError):
    """A checkpoint cannot be loaded; the message names the file, what was wrong and what was expected."""


def read_state_dict(path: Path) -> StateDict:
    """The tensors of a `.pth` or `.safetensors` file by name, without the prefix of data-parallel training.

    Raises:
        FileNotFoundError: no such file.
        CheckpointError: truncated, not a checkpoint, or a pickle that would run code.
    """
    if not path.is_file():
        raise FileNotFoundError(
            f"no such checkpoint: {path}; give a netG_*.pth or netD*.pth of the published code, a .safetensors file, "
            f"or the name of an embedded model"
        )
    content = _read_safetensors(path) if path.suffix == ".safetensors" else _read_pickle(path)
    if not isinstance(content, Mapping) or not all(isinstance(value, Tensor) for value in content.values()):
        raise CheckpointError(f"{path}: not a state_dict (a mapping of names to tensors), but {type(content).__name__}")
    return {str(name).removeprefix("module."): tensor for name, tensor in content.items()}


def _read_safetensors(path: Path) -> StateDict:
    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{path}: truncated or not a safetensors file ({error})") from error


def _read_pickle(path: Path) -> Any:
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        if _holds_code(path):
            raise CheckpointError(
                f"{path}: the file asks to run code while it is read, which is refused; save the network's "
                f"state_dict() alone, with torch.save or as safetensors"
            ) from error
        raise CheckpointError(f"{path}: truncated, or not a file that torch.save wrote") from error
    except (EOFError, RuntimeError, ValueError, KeyError, IndexError, OSError, UnicodeDecodeError) as error:
        raise CheckpointError(f"{path}: truncated, or not a file that torch.save wrote") from error


def _holds_code(path: Path) -> bool:
    """Whether a whole pickle is in the file: then torch refused what it calls, and not where it breaks off."""
    try:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                stream = archive.read(next(name for name in archive.namelist() if name.endswith("data.pkl")))
        else:
            stream = path.read_bytes()
        opcodes: set[str] = set()
        rest = io.BytesIO(stream)
        # Files of old versions are several pickles in a row, then raw numbers.
        while rest.tell() < len(stream) and not opcodes & _CALLS:
            opcodes = {opcode.name for opcode, _, _ in pickletools.genops(rest)}
        return bool(opcodes & _CALLS)
    except (ValueError, StopIteration, zipfile.BadZipFile, OSError):
        return False


def read_config(path: Path) -> dict[str, Any]:
    """The sections `GAN` and `TREE` of a published YAML configuration, as one flat mapping.

    Raises:
        FileNotFoundError: no such file.
        CheckpointError: not such a configuration.
    """
    if not path.is_file():
        raise FileNotFoundError(f"no such configuration: {path}")
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise CheckpointError(f"{path}: not a YAML file ({error})") from error
    if not isinstance(content, dict) or not any(isinstance(content.get(key), dict) for key in ("GAN", "TREE")):
        raise CheckpointError(f"{path}: has neither a section GAN nor TREE, so it is no configuration of StackGAN-v2")
    return {**(content.get("TREE") or {}), **(content.get("GAN") or {})}


def load_generator_network(path: Path, config: Path | None = None) -> GeneratorNetwork:
    """The generator in a checkpoint, in evaluation mode.

    Args:
        path: `netG_*.pth` or `.safetensors`.
        config: the published YAML configuration, checked against the tensors where it speaks of them.

    Raises:
        FileNotFoundError: no such file.
        CheckpointError: unreadable, conditional, a discriminator, incomplete, or in contradiction to `config`.
    """
    state = read_state_dict(path)
    if _FIRST_CONVOLUTION in state:
        raise CheckpointError(f"{path}: this is a discriminator; expected a generator (netG_*.pth)")
    if any(name.startswith("ca_net.") for name in state):
        raise CheckpointError(
            f"{path}: this generator is conditioned on text (it has ca_net.*); expected one trained without conditions"
        )
    noise_dim, width = _generator_size(path, state)
    scales = len({match[1] for name in state if (match := re.match(r"h_net(\d+)\.", name))})
    if not 1 <= scales <= MAX_SCALES:
        raise CheckpointError(f"{path}: {scales} branches found; expected 1 to {MAX_SCALES}")
    blocks = [_count(state, rf"h_net{number}\.residual\.(\d+)\.") for number in range(2, scales + 1)]
    if config is not None:
        found = {"GF_DIM": width, "Z_DIM": noise_dim, "BRANCH_NUM": scales, "B_CONDITION": False}
        # The fourth stage has one block whatever R_NUM says.
        _agree(path, config, found | ({"R_NUM": blocks[0]} if blocks else {}))
    try:
        network = GeneratorNetwork(noise_dim, width, blocks)
    except ValueError as error:
        raise CheckpointError(f"{path}: {error}") from error
    return _filled(network, state, path)


def _generator_size(path: Path, state: StateDict) -> tuple[int, int]:
    """Noise size and width of a generator, from its first layer."""
    if _FC not in state or state[_FC].ndim != 2:
        raise CheckpointError(f"{path}: not a StackGAN-v2 generator: it lacks the matrix {_FC}")
    rows, noise_dim = state[_FC].shape
    # 2 · 4 · 4 outputs for each of 16 · GF_DIM channels.
    if rows == 0 or rows % 512:
        raise CheckpointError(f"{path}: {_FC} has {rows} rows; expected a multiple of 512, 512 for each GF_DIM")
    return int(noise_dim), rows // 512


def load_discriminator_network(path: Path, config: Path | None = None) -> DiscriminatorNetwork:
    """The discriminator in a checkpoint, in evaluation mode.

    Args:
        path: `netD*.pth` or `.safetensors`.
        config: the published YAML configuration, checked against the tensors where it speaks of them.

    Raises:
        FileNotFoundError: no such file.
        CheckpointError: unreadable, conditional, a generator, incomplete, or in contradiction to `config`.
    """
    state = read_state_dict(path)
    if _FC in state:
        raise CheckpointError(f"{path}: this is a generator; expected a discriminator (netD*.pth)")
    if any(name.startswith(("uncond_logits.", "jointConv.")) for name in state):
        raise CheckpointError(
            f"{path}: this discriminator judges pictures together with a text (it has joint logits: jointConv.*, "
            f"uncond_logits.*); expected one trained without conditions"
        )
    if _FIRST_CONVOLUTION not in state or state[_FIRST_CONVOLUTION].ndim != 4:
        raise CheckpointError(f"{path}: not a StackGAN-v2 discriminator: it lacks the kernel {_FIRST_CONVOLUTION}")
    width = int(state[_FIRST_CONVOLUTION].shape[0])
    codes = {int(match[1]) for name in state if (match := re.match(r"img_code_s(\d+)\.", name))}
    scale = max(codes).bit_length() - 5
    if scale >= MAX_SCALES:
        raise CheckpointError(f"{path}: a discriminator for pictures of {scale_size(scale)} px; expected 64 to 512 px")
    if config is not None:
        _agree(path, config, {"DF_DIM": width, "B_CONDITION": False})
    return _filled(DiscriminatorNetwork(width, scale), state, path)


def _count(state: StateDict, pattern: str) -> int:
    return len({match[1] for name in state if (match := re.match(pattern, name))})


def _agree(path: Path, config: Path, found: dict[str, Any]) -> None:
    said = read_config(config)
    wrong = [f"{key} is {said[key]} in {config} but {value} in {path}" for key, value in found.items()
             if key in said and said[key] != value]  # fmt: skip
    if wrong:
        raise CheckpointError(f"configuration and checkpoint contradict each other: {'; '.join(wrong)}")


def _filled(network: Network, state: StateDict, path: Path) -> Network:
    expected = network.state_dict()
    # Files from before PyTorch 0.4.1 have no counters of batches; evaluation never reads them.
    state = {name: tensor for name, tensor in expected.items() if name.endswith("num_batches_tracked")} | state
    missing = [name for name in expected if name not in state]
    extra = [name for name in state if name not in expected]
    shapes = [
        f"{name} is {tuple(state[name].shape)}, expected {tuple(tensor.shape)}"
        for name, tensor in expected.items()
        if name in state and state[name].shape != tensor.shape
    ]
    problems = [
        f"{len(names)} {what}: {', '.join(names[:8])}{', …' if len(names) > 8 else ''}"
        for what, names in (("missing tensors", missing), ("unknown tensors", extra), ("wrong shapes", shapes))
        if names
    ]
    if problems:
        raise CheckpointError(f"{path}: {'; '.join(problems)}")
    network.load_state_dict(state)
    return network.eval().requires_grad_(False)
