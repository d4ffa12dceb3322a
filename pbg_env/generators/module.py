"""Makes a generator of any module of PyTorch, and finds out what about it was not stated."""

from __future__ import annotations

import hashlib
import math
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.export import ExportedProgram
from torch.export.passes import move_to_device_pass

from pbg_env.generators.base import resolve_device, weights_hash
from pbg_env.media import ImageMedium, Medium
from pbg_env.noise import sample_noise

_DIMENSION_NAMES = ("noise_dim", "z_dim", "latent_dim", "nz")
_RANGES = {"TanhBackward0": (-1.0, 1.0), "SigmoidBackward0": (0.0, 1.0)}
_KEEP_VALUES = {"ViewBackward0", "UnsafeViewBackward0", "PermuteBackward0", "CloneBackward0", "ToCopyBackward0"}
_RANGE_SAMPLES = 256
_RANGE_BATCH = 32
_RANGE_ROUNDING = 1e-5
_TOLERANCE = 1e-4
_TF32_PRECISION = 2.0**-10
_SEED = 0
_SIGNS = 16


class ModuleGenerator:
    """A `torch.nn.Module` or an exported program as a `Generator`.

    What is not stated is found out by running the module on a little noise of a fixed seed. The module itself is put
    on the device and into evaluation mode, and its parameters want no gradients.

    Args:
        module: takes noise of shape (batch, noise_dim) or (batch, noise_dim, 1, 1), and returns one tensor of floats,
            (batch, …). An exported program has a dynamic batch dimension.
        noise_dim: unless told, the module's attribute of that name or `z_dim`, `latent_dim` or `nz`, what an exported
            program takes, or what the first linear or convolutional layer takes.
        output_range: the values (low, high) that become 0 and 1; those beyond are clamped. Unless told, that of a
            final tanh or sigmoid, else (0, 1) or (−1, 1) if a few hundred media stay within it.
        medium: what the module makes. Unless told, pictures, if it returns (batch, 3 or 1, size, size); grey ones are
            repeated in three channels. Dimensions of 1 that the medium's shape lacks are left out.
        device: "auto" (CUDA where there is one), "cpu", "cuda", …
        name: what messages call it; the name of its class unless told.

    Raises:
        ValueError: something has to be stated, or the module is no generator: not deterministic, not differentiable, or
            a medium depends on the others in its batch. The message says which.
    """

    def __init__(
        self,
        module: nn.Module | ExportedProgram,
        *,
        noise_dim: int | None = None,
        output_range: tuple[float, float] | None = None,
        medium: Medium | None = None,
        device: str | torch.device = "auto",
        name: str | None = None,
    ) -> None:
        self.name = type(module).__name__ if name is None else name
        self.device = resolve_device(device)
        if noise_dim is not None and (
            isinstance(noise_dim, bool) or not isinstance(noise_dim, (int, np.integer)) or noise_dim < 1
        ):
            raise self._error(f"noise_dim is {noise_dim!r}, expected a whole number of at least 1")
        shapes: list[tuple[int, ...]]
        if isinstance(module, ExportedProgram):
            shape, self._module_dtype = self._exported_input(module)
            if noise_dim not in (None, shape[0]):
                raise self._error(f"noise_dim is {noise_dim}, but it was exported for noise of {shape[0]}")
            self.noise_dim, shapes = shape[0], [shape]
            # An exported program is in the mode it was exported in; it knows no other.
            self.module: nn.Module = move_to_device_pass(module, self.device).module()
        elif isinstance(module, nn.Module):
            self.noise_dim = self._find_noise_dim(module) if noise_dim is None else noise_dim
            shapes = [(self.noise_dim,), (self.noise_dim, 1, 1)]
            self.module = module.to(self.device).eval()
            floating = (p.dtype for p in (*module.parameters(), *module.buffers()) if p.is_floating_point())
            self._module_dtype = next(floating, torch.float32)
        else:
            raise self._error("expected a torch.nn.Module or a torch.export.ExportedProgram")
        self.module.requires_grad_(False)
        # Media of half precision would be too coarse for 8 bits and for gradients.
        self.dtype = torch.promote_types(self._module_dtype, torch.float32)
        with torch.inference_mode(False), torch.enable_grad():
            noise = self.sample_noise(2, np.random.default_rng(_SEED)).requires_grad_(True)
            output = self._first_run(noise, shapes)
            self._check_output(output)
            self.output_range = self._find_range(output) if output_range is None else self._checked_range(output_range)
            self._media = self._find_medium(output) if medium is None else medium
            self._grey = self._repeats_channels(output)
            media = self._check_media(noise)
        self.weights = self._name_of(media)
        """Names what it makes in caches: its weights, and what two media are."""

    @property
    def media(self) -> Medium:
        return self._media

    def generate(self, noise: Tensor) -> Tensor:
        """Noise (batch, noise_dim) → media (batch, *media.shape) in [0, 1]."""
        noise = torch.as_tensor(noise, dtype=self.dtype, device=self.device)
        if noise.ndim != 2 or noise.shape[1] != self.noise_dim:
            raise ValueError(f"noise of shape {tuple(noise.shape)}, expected (batch, {self.noise_dim})")
        low, high = self.output_range
        media = ((self._run(noise).to(self.dtype) - low) / (high - low)).clamp(0.0, 1.0)
        if self._grey:
            return media.expand(-1, 3, -1, -1)
        return media.reshape(len(noise), *self.media.shape)

    def sample_noise(self, count: int, rng: np.random.Generator) -> Tensor:
        """Draws (count, noise_dim) from the prior, on the generator's device."""
        return torch.from_numpy(sample_noise((count, self.noise_dim), rng)).to(self.device, self.dtype)

    def _run(self, noise: Tensor) -> Tensor:
        return self.module(noise.to(self._module_dtype).reshape(len(noise), *self._noise_shape))

    def _error(self, what: str) -> ValueError:
        return ValueError(f"{self.name} cannot be used as a generator: {what}")

    def _exported_input(self, program: ExportedProgram) -> tuple[tuple[int, ...], torch.dtype]:
        """Shape without the batch, (noise_dim,) or (noise_dim, 1, 1), and type of what an exported program takes."""
        names = set(program.graph_signature.user_inputs)
        taken = [node.meta["val"] for node in program.graph.nodes if node.op == "placeholder" and node.name in names]
        shape = tuple(taken[0].shape) if len(taken) == 1 and isinstance(taken[0], Tensor) else ()
        if len(shape) not in (2, 4) or shape[2:] not in ((), (1, 1)) or not isinstance(shape[1], int):
            raise self._error(
                f"it takes {len(taken)} inputs, {', '.join(str(tuple(getattr(i, 'shape', ()))) for i in taken)}; "
                f"expected one of shape (batch, noise_dim) or (batch, noise_dim, 1, 1)"
            )
        if isinstance(shape[0], int):
            raise self._error(
                f"it was exported for batches of {shape[0]} alone; export it with a dynamic batch dimension, and with "
                f"two noises or more as the example: torch.export.export(module, (noise,), "
                f'dynamic_shapes=({{0: torch.export.Dim("batch")}},))'
            )
        return shape[1:], taken[0].dtype

    def _find_noise_dim(self, module: nn.Module) -> int:
        for name in _DIMENSION_NAMES:
            value = getattr(module, name, None)
            if isinstance(value, int) and not isinstance(value, bool) and value > 0:
                return value
        for layer in module.modules():
            if next(layer.parameters(recurse=False), None) is not None:
                for name in ("in_features", "in_channels"):
                    if isinstance(getattr(layer, name, None), int):
                        return int(getattr(layer, name))
        raise self._error("how much noise it takes cannot be seen; state noise_dim")

    def _first_run(self, noise: Tensor, shapes: list[tuple[int, ...]]) -> Any:
        """What the module returns for two noises, given in the first of the shapes that it takes."""
        failures = []
        for shape in shapes:
            self._noise_shape = shape
            try:
                return self._run(noise)
            except Exception as error:  # a module may raise anything
                reason = str(error).strip().partition("\n")[0]
                failures.append(f"{(len(noise), *shape)} ({type(error).__name__}: {reason})")
        raise self._error(
            f"with noise_dim {self.noise_dim} it takes no noise of shape {' nor '.join(failures)}; state noise_dim, or "
            f"wrap it in a module that takes noise alone"
        )

    def _check_output(self, output: Any) -> None:
        if not isinstance(output, Tensor):
            raise self._error(f"it returns a {type(output).__name__}; wrap it in a module that returns one tensor")
        if not output.is_floating_point():
            raise self._error(f"it returns values of {output.dtype}, which have no gradients; expected floats")
        if output.ndim < 2 or len(output) != 2:
            raise self._error(
                f"it returns {tuple(output.shape)} for a batch of 2; expected the batch in front, (2, …), one medium "
                f"for each noise"
            )
        if not output.isfinite().all():
            raise self._error("it returns values that are NaN or infinite")
        if not output.requires_grad:
            raise self._error(
                "no gradient reaches the noise; leave out torch.no_grad, detach and NumPy between noise and medium"
            )

    def _find_range(self, output: Tensor) -> tuple[float, float]:
        last = output.grad_fn
        while last is not None and last.name() in _KEEP_VALUES:
            last = last.next_functions[0][0]
        if last is not None and last.name() in _RANGES:
            return _RANGES[last.name()]
        noise = self.sample_noise(_RANGE_SAMPLES, np.random.default_rng(_SEED))
        with torch.no_grad():
            extremes = [self._run(part).double().aminmax() for part in noise.split(_RANGE_BATCH)]
        lowest, highest = min(float(e.min) for e in extremes), max(float(e.max) for e in extremes)
        for low, high in ((0.0, 1.0), (-1.0, 1.0)):
            if lowest >= low - _RANGE_ROUNDING and highest <= high + _RANGE_ROUNDING:
                return low, high
        raise self._error(
            f"its values, here from {lowest:.3g} to {highest:.3g}, are in neither (0, 1) nor (-1, 1); state "
            f"output_range=(low, high), the values that become 0 and 1"
        )

    def _checked_range(self, output_range: tuple[float, float]) -> tuple[float, float]:
        low, high = output_range
        if not (math.isfinite(low) and math.isfinite(high) and low < high):
            raise self._error(f"output_range is {output_range}, expected two finite numbers, the lower one first")
        return float(low), float(high)

    def _find_medium(self, output: Tensor) -> Medium:
        shape = tuple(output.shape[1:])
        if len(shape) != 3 or shape[0] not in (1, 3) or shape[1] != shape[2]:
            raise self._error(f"what media of shape {shape} are cannot be seen; state medium")
        return ImageMedium(shape[1])

    def _repeats_channels(self, output: Tensor) -> bool:
        shape, wanted = tuple(output.shape[1:]), tuple(self.media.shape)
        if self.media.kind == "image" and shape == (1, *wanted[1:]):
            return True
        if [side for side in shape if side != 1] != [side for side in wanted if side != 1]:
            raise self._error(f"it returns media of shape {shape}, but the medium's shape is {wanted}")
        return False

    def _name_of(self, media: Tensor) -> str:
        # Weights alone do not name what a module does with them. Sums with random signs see any change of the media,
        # and are rounded so coarsely that they are the same again the next time.
        values = media.detach().flatten(1).double().cpu().numpy()
        signs = np.random.default_rng(_SEED).choice([-1.0, 1.0], (values.shape[1], _SIGNS))
        sums = np.round(values @ signs / values.shape[1] ** 0.5, 3) + 0.0
        return f"{weights_hash(self.module)}-{hashlib.sha256(sums.tobytes()).hexdigest()[:16]}"

    def _check_media(self, noise: Tensor) -> Tensor:
        """Deterministic, each a function of its own noise alone, and differentiable; returns them."""
        precision = max(torch.finfo(self._module_dtype).eps, _TF32_PRECISION if self.device.type == "cuda" else 0.0)
        # Rounding differs with the size of the batch; what the batch has a say in differs by far more.
        tolerance = max(_TOLERANCE, 4.0 * precision)
        media = self.generate(noise)
        if (media - self.generate(noise)).abs().max() > tolerance:
            raise self._error(
                "not deterministic, the same noise gives another medium the second time; leave out dropout and "
                "randomness inside (a program is exported after eval())"
            )
        own = (
            "a medium depends on the others in its batch; the usual cause is batch normalisation in training mode or "
            "without running statistics (a program is exported after eval())"
        )
        try:
            alone = torch.cat([self.generate(one[None]) for one in noise])
        except Exception as error:  # a module may raise anything
            raise self._error(f"{own}. A batch of 1 fails: {error}") from error
        if (media - alone).abs().max() > tolerance:
            raise self._error(own)
        values = media.flatten(1)
        # Unequal weights: the sum of a softmax has no gradient where its parts have.
        weights = torch.linspace(0.0, 1.0, values.shape[1], device=self.device, dtype=self.dtype)
        (gradient,) = torch.autograd.grad((values @ weights).sum(), noise)
        if not gradient.isfinite().all():
            raise self._error("its gradient with respect to the noise is NaN or infinite")
        if not gradient.any():
            raise self._error("its gradient with respect to the noise is 0; media have to change smoothly with it")
        return media
