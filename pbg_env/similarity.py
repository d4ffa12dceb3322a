"""How near media are to a target: the measures that a simulated user goes by. Higher is nearer.

Each describes media first, so that the target and the prior samples are described once, and then compares descriptions.
"""

from __future__ import annotations

import importlib
from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import cached_property, lru_cache
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from pbg_env.generators.base import Discriminator, Generator, weights_hash
from pbg_env.importing import demand_function, imported
from pbg_env.media import ImageMedium, Medium, SoundMedium

SimilarityFunction = Callable[[Tensor, Tensor], Tensor]
"""A measure of the user's own: media (batch, *shape) in [0, 1], target (batch or 1, *shape) → (batch,)."""

DEFAULT_VIT = "google/vit-base-patch16-224-in21k"
DEFAULT_LPIPS = "alex"


class Similarity(ABC):
    """A measure on media of one generator, batched, on its device, differentiable."""

    name: str | None = None
    """Names the measure and its weights in caches; None where nothing may be kept."""

    describes = False
    """Whether `describe` does more than hand media on."""

    def describe(self, media: Tensor) -> Tensor:
        """Media (batch, *shape) in [0, 1] → what of them is compared (batch, …)."""
        return media

    @abstractmethod
    def between(self, described: Tensor, target: Tensor) -> Tensor:
        """Descriptions (batch, …) and those of targets (batch or 1, …) → similarity (batch,)."""

    def __call__(self, media: Tensor, target: Tensor) -> Tensor:
        """Media (batch, *shape) and targets (batch or 1, *shape) → similarity (batch,)."""
        return self.between(self.describe(media), self.describe(target))


class CosineSimilarity(Similarity):
    """Cosine of the angle between descriptions (batch, width), within [-1, 1]."""

    describes = True

    def between(self, described: Tensor, target: Tensor) -> Tensor:
        return F.cosine_similarity(described, target, dim=1)


class Pixels(Similarity):
    """Negative root mean squared error over the values in [0, 1]: 0 for the target itself, −1 at the farthest."""

    name = "pixels"

    def between(self, described: Tensor, target: Tensor) -> Tensor:
        return _negative_distance(described, target)


class Features(Similarity):
    """Negative root mean squared error over what the medium calls its features."""

    describes = True

    def __init__(self, medium: Medium) -> None:
        # What a medium of the user's own takes for its features may change from day to day.
        self.name = f"features:{medium!r}" if isinstance(medium, (ImageMedium, SoundMedium)) else None
        self.describe = medium.features  # type: ignore[method-assign]

    def between(self, described: Tensor, target: Tensor) -> Tensor:
        return _negative_distance(described, target)


class StructuralSimilarity(Similarity):
    """SSIM (Wang et al. 2004) with the usual window of 11 × 11, within [-1, 1], by TorchMetrics."""

    name = "ssim"

    def __init__(self, medium: Medium) -> None:
        _needs_pictures("ssim", medium)
        self._measure = _torchmetrics("ssim", "functional.image").structural_similarity_index_measure

    def between(self, described: Tensor, target: Tensor) -> Tensor:
        measured = self._measure(described, target.expand_as(described), data_range=1.0, reduction="none")
        return measured.reshape(len(described))


class DiscriminatorCosine(CosineSimilarity):
    """Of the discriminator's features."""

    def __init__(self, discriminator: Discriminator | None) -> None:
        if discriminator is None:
            raise ValueError("similarity 'discriminator' needs a discriminator; name one with discriminator=…")
        self.describe = discriminator.features  # type: ignore[method-assign]
        weights = getattr(discriminator, "weights", None)
        self.name = None if weights is None else f"discriminator:{weights}"


class VisionTransformer(CosineSimilarity):
    """Of a Vision Transformer's class embeddings, by Transformers.

    Pictures are resized and normalised as the model's processor says, but in differentiable operations.
    """

    def __init__(self, source: str, medium: Medium, device: torch.device) -> None:
        _needs_pictures("vit", medium)
        self._model, processor = _vision_transformer(source, device)
        size = processor.size
        self._size = (size["height"], size["width"]) if "height" in size else (size["shortest_edge"],) * 2
        self._resize, self._rescale = processor.do_resize, processor.do_rescale
        # The numbers of Pillow's filters, in which processors name them.
        self._mode = {0: "nearest", 2: "bilinear", 3: "bicubic"}.get(int(processor.resample), "bicubic")
        self._factor = float(processor.rescale_factor) * 255.0
        moments = (processor.image_mean, processor.image_std) if processor.do_normalize else ((0.0,) * 3, (1.0,) * 3)
        self._mean, self._deviation = (torch.tensor(list(m), device=device).view(3, 1, 1) for m in moments)

    @cached_property
    def name(self) -> str:  # type: ignore[override]
        return f"vit:{weights_hash(self._model)}:{self._size}:{self._mode}"

    def describe(self, media: Tensor) -> Tensor:
        if self._resize and media.shape[-2:] != self._size:
            smooth: dict[str, Any] = {} if self._mode == "nearest" else {"antialias": True, "align_corners": False}
            media = F.interpolate(media, self._size, mode=self._mode, **smooth)
            # Bicubic filters overshoot; what a processor resizes are 8-bit values, which cannot.
            media = media.clamp(0.0, 1.0)
        media = media * (self._factor if self._rescale else 255.0)
        return self._model(pixel_values=(media - self._mean) / self._deviation).last_hidden_state[:, 0]


class PerceptualPatches(Similarity):
    """Negative LPIPS (Zhang et al. 2018), at most 0, by TorchMetrics.

    Args:
        network: "alex", "vgg" or "squeeze".
    """

    def __init__(self, network: str, medium: Medium, device: torch.device) -> None:
        _needs_pictures("lpips", medium)
        self._network = _perceptual_network(network, device)

    @cached_property
    def name(self) -> str:  # type: ignore[override]
        return f"lpips:{weights_hash(self._network)}"

    def between(self, described: Tensor, target: Tensor) -> Tensor:
        return -self._network(described, target.expand_as(described), normalize=True).reshape(len(described))


class OwnSimilarity(Similarity):
    """A function of the user's own; what it looks at is nobody's business, so nothing of it is kept."""

    def __init__(self, function: SimilarityFunction) -> None:
        self._function = function

    def between(self, described: Tensor, target: Tensor) -> Tensor:
        return checked_values(self._function(described, target), described)


def checked_values(values: Any, media: Tensor) -> Tensor:
    """What a function of the user's own returned for media (batch, *shape), if it is (batch,) and finite.

    Raises:
        ValueError: it is not.
    """
    if not isinstance(values, Tensor) or values.shape != media.shape[:1]:
        found = f"shape {tuple(values.shape)}" if isinstance(values, Tensor) else f"a {type(values).__name__}"
        raise ValueError(
            f"your function returned {found} for {len(media)} media; expected a tensor of shape ({len(media)},)"
        )
    if not values.isfinite().all():
        raise ValueError("your function returned values that are NaN or infinite; expected finite numbers")
    return values


_WITH_DETAIL = {"vit": DEFAULT_VIT, "lpips": DEFAULT_LPIPS}
_NAMES = ("pixels", "features", "ssim", "discriminator", *_WITH_DETAIL)


def similarity_from(
    source: str | Similarity | SimilarityFunction | None,
    generator: Generator,
    discriminator: Callable[[], Discriminator | None] = lambda: None,
) -> Similarity:
    """The similarity that an argument names, for the media of a generator.

    Args:
        source: "pixels", "features", "ssim", "discriminator", "vit" or "vit:FOLDER-OR-HUB-NAME", "lpips" or
            "lpips:alex", "lpips:vgg", "lpips:squeeze"; "module:function" or a function of the user's own; None for
            "pixels" of pictures and "features" of other media.
        discriminator: gives the one beside the generator, when it is asked for.

    Raises:
        ValueError: an unknown name, something that it needs is missing, or it cannot judge these media.
    """
    if source is None:
        source = "pixels" if generator.media.kind == "image" else "features"
    if not isinstance(source, str):
        return _own(source, "the similarity")
    name, colon, detail = source.partition(":")
    if name in _WITH_DETAIL:
        detail = detail or _WITH_DETAIL[name]
        make = VisionTransformer if name == "vit" else PerceptualPatches
        return make(detail, generator.media, generator.device)
    if colon:
        return _own(imported(source, "similarity"), f"similarity {source!r}")
    if name == "pixels":
        return Pixels()
    if name == "features":
        return Features(generator.media)
    if name == "ssim":
        return StructuralSimilarity(generator.media)
    if name == "discriminator":
        return DiscriminatorCosine(discriminator())
    raise ValueError(
        f"unknown similarity {source!r}; expected one of {', '.join(map(repr, _NAMES))}, or 'module:function'"
    )


def _own(similarity: Any, what: str) -> Similarity:
    if isinstance(similarity, Similarity):
        return similarity
    return OwnSimilarity(demand_function(similarity, what, "media", "target"))


def _negative_distance(values: Tensor, target: Tensor) -> Tensor:
    difference = values - target
    return -torch.linalg.vector_norm(difference, dim=tuple(range(1, difference.ndim))) / difference[0].numel() ** 0.5


def _needs_pictures(name: str, medium: Medium) -> None:
    if medium.kind != "image":
        raise ValueError(f"similarity {name!r} compares pictures, but the media are of kind {medium.kind!r}; "
                         f"use 'features', 'pixels' or a function of your own")  # fmt: skip


def _torchmetrics(name: str, module: str) -> Any:
    try:
        return importlib.import_module(f"torchmetrics.{module}")
    except ImportError as error:
        raise ValueError(f"similarity {name!r} needs TorchMetrics: pip install 'pbg-env[similarities]'") from error


@lru_cache(maxsize=2)
def _vision_transformer(source: str, device: torch.device) -> tuple[Any, Any]:
    try:
        from transformers import AutoImageProcessor, AutoModel
    except ImportError as error:
        raise ValueError("similarity 'vit' needs Transformers: pip install 'pbg-env[similarities]'") from error
    try:
        model = AutoModel.from_pretrained(source, dtype=torch.float32)
        processor = AutoImageProcessor.from_pretrained(source)
    except (OSError, ValueError) as error:
        raise ValueError(
            f"similarity 'vit' cannot load {source!r} ({str(error).splitlines()[0]}). Connect to the internet once, so "
            f"that it is downloaded (hf download {DEFAULT_VIT}), or name a folder that holds config.json, "
            f"model.safetensors and preprocessor_config.json: similarity='vit:FOLDER'"
        ) from error
    return model.to(device).eval().requires_grad_(False), processor


@lru_cache(maxsize=2)
def _perceptual_network(network: str, device: torch.device) -> Any:
    known = ("alex", "vgg", "squeeze")
    if network not in known:
        raise ValueError(f"similarity 'lpips' has no network {network!r}; expected one of {', '.join(known)}")
    metric = _torchmetrics("lpips", "image.lpip").LearnedPerceptualImagePatchSimilarity
    try:
        whole = metric(net_type=network)
    except OSError as error:
        raise ValueError(
            f"similarity 'lpips' cannot get the weights of its network ({error}). Connect to the internet once, so "
            f"that they are downloaded, or copy the file that TorchVision names into {torch.hub.get_dir()}/checkpoints"
        ) from error
    return whole.net.to(device).eval().requires_grad_(False)
