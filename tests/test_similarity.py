"""Similarities: higher is nearer, batched, differentiable, and in an order that no person would dispute."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from pbg_env import ImageMedium, Similarity
from pbg_env.generators.base import Generator
from pbg_env.generators.loading import load_generator
from pbg_env.generators.stackgan_v2.model import StackGANDiscriminator, StackGANGenerator
from pbg_env.similarity import Features, Pixels, similarity_from

CPU = torch.device("cpu")


@pytest.fixture(scope="session")
def vit_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small Vision Transformer with random weights, as Transformers saves one."""
    from transformers import ViTConfig, ViTImageProcessor, ViTModel

    folder = tmp_path_factory.mktemp("vit")
    config = ViTConfig(hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64, image_size=48)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        ViTModel(config).save_pretrained(folder)
    ViTImageProcessor(size={"height": 48, "width": 48}, image_mean=[0.5] * 3, image_std=[0.5] * 3).save_pretrained(
        folder
    )
    return folder


@pytest.fixture(scope="session")
def torch_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Random weights of a SqueezeNet where TorchVision looks for those it has downloaded."""
    from torchvision.models import SqueezeNet1_1_Weights, squeezenet1_1

    home = tmp_path_factory.mktemp("torch")
    file = home / "hub" / "checkpoints" / Path(SqueezeNet1_1_Weights.IMAGENET1K_V1.url).name
    file.parent.mkdir(parents=True)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        torch.save(squeezenet1_1().state_dict(), file)
    return home


@pytest.fixture
def named(
    generator: StackGANGenerator,
    discriminator: StackGANDiscriminator,
    vit_folder: Path,
    torch_home: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Callable[[str], Similarity]:
    monkeypatch.setenv("TORCH_HOME", str(torch_home))

    def make(name: str) -> Similarity:
        full = {"vit": f"vit:{vit_folder}", "lpips": "lpips:squeeze"}.get(name, name)
        return similarity_from(full, generator, lambda: discriminator)

    return make


def portraits() -> tuple[Tensor, Tensor]:
    """A portrait of the embedded generator, and four changes of it, each farther from it than the one before."""
    generator = load_generator()
    target = generator.generate(generator.sample_noise(1, np.random.default_rng(0)))
    other = generator.generate(generator.sample_noise(1, np.random.default_rng(1)))
    slightly, more = ((1 - share) * target + share * other for share in (0.1, 0.4))
    return target, torch.cat((target, slightly, more, other))


NAMES = ["pixels", "features", "ssim", "discriminator", "vit", "lpips"]


@pytest.mark.parametrize("name", NAMES)
class TestEverySimilarity:
    def test_the_order_of_what_is_nearer_and_nearer(self, name: str, named: Callable[[str], Similarity]) -> None:
        target, media = portraits()
        values = named(name)(media, target)
        assert values.shape == (4,)
        assert (values.diff() < 0).all(), values

    def test_a_batch_is_what_its_parts_are(self, name: str, named: Callable[[str], Similarity]) -> None:
        target, media = portraits()
        similarity = named(name)
        parts = torch.cat([similarity(part, target) for part in media.split(1)])
        torch.testing.assert_close(similarity(media, target), parts, atol=1e-5, rtol=1e-5)
        # Each to a target of its own, as batched environments ask.
        torch.testing.assert_close(similarity(media, target.expand(4, -1, -1, -1)), parts, atol=1e-5, rtol=1e-5)

    def test_a_step_along_the_gradient_comes_nearer(self, name: str, named: Callable[[str], Similarity]) -> None:
        target, media = portraits()
        similarity = named(name)
        start = media[2:3].clone().requires_grad_(True)
        before = similarity(start, target)
        (gradient,) = torch.autograd.grad(before.sum(), start)
        assert torch.isfinite(gradient).all()
        assert similarity(start + 1e-2 * gradient / gradient.norm(), target) > before

    def test_the_gradient_is_finite_at_the_target_itself(self, name: str, named: Callable[[str], Similarity]) -> None:
        target, _ = portraits()
        media = target.clone().requires_grad_(True)
        (gradient,) = torch.autograd.grad(named(name)(media, target).sum(), media)
        assert torch.isfinite(gradient).all()


def test_pixels_is_the_negative_root_mean_squared_error(generator: StackGANGenerator) -> None:
    target = torch.zeros(1, 3, 8, 8)
    media = torch.stack((torch.full((3, 8, 8), 0.5), torch.ones(3, 8, 8), target[0]))
    pixels = similarity_from("pixels", generator)
    torch.testing.assert_close(pixels(media, target), torch.tensor([-0.5, -1.0, 0.0]), atol=1e-4, rtol=0)


def test_the_vit_sees_what_its_processor_would_hand_it(vit_folder: Path, generator: StackGANGenerator) -> None:
    from PIL import Image
    from transformers import ViTImageProcessor, ViTModel

    target, _ = portraits()
    eight_bits = (target[0] * 255).round().to(torch.uint8).permute(1, 2, 0).numpy()
    pictured = torch.from_numpy(eight_bits).permute(2, 0, 1)[None] / 255
    inputs = ViTImageProcessor.from_pretrained(vit_folder)(images=Image.fromarray(eight_bits), return_tensors="pt")
    with torch.no_grad():
        expected = ViTModel.from_pretrained(vit_folder)(**inputs).last_hidden_state[:, 0]
        found = similarity_from(f"vit:{vit_folder}", generator).describe(pictured)
    assert F.cosine_similarity(found, expected).item() > 0.999


def test_settings_of_the_processor_are_respected(
    vit_folder: Path, tmp_path: Path, generator: StackGANGenerator
) -> None:
    import shutil

    shutil.copytree(vit_folder, tmp_path / "vit")
    file = tmp_path / "vit" / "preprocessor_config.json"
    settings = json.loads(file.read_text()) | {"image_mean": [0.25] * 3, "image_std": [0.25] * 3}
    file.write_text(json.dumps(settings))
    target, _ = portraits()
    usual, changed = (similarity_from(f"vit:{folder}", generator) for folder in (vit_folder, tmp_path / "vit"))
    # (x / 2 − ¼) / ¼ is (x − ½) / ½.
    torch.testing.assert_close(changed.describe(target / 2), usual.describe(target), atol=1e-4, rtol=1e-4)
    assert not torch.allclose(changed.describe(target), usual.describe(target), atol=1e-2)


def test_names_in_caches_tell_weights_apart(named: Callable[[str], Similarity]) -> None:
    names = [named(name).name for name in NAMES]
    assert None not in names
    assert len(set(names)) == len(names)


def test_a_function_of_the_users_own(generator: StackGANGenerator) -> None:
    def redness(media: Tensor, target: Tensor) -> Tensor:
        return -(media[:, 0] - target[:, 0]).abs().mean(dim=(1, 2))

    media = torch.rand(5, 3, 64, 64)
    similarity = similarity_from(redness, generator)
    torch.testing.assert_close(similarity(media, media[:1]), redness(media, media[:1]))
    assert similarity.name is None
    by_name = similarity_from("torch.nn.functional:cosine_similarity", generator)
    with pytest.raises(ValueError, match=r"returned shape \(5, 64, 64\) for 5 media; expected a tensor"):
        by_name(media, media)


class Sounds:
    """A generator of media that are no pictures."""

    media = load_generator("tones").media
    device = CPU


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("colour", "unknown similarity 'colour'; expected one of 'pixels', 'features', 'ssim'"),
        ("nowhere:function", "similarity 'nowhere:function' cannot be imported"),
        ("torch:nothing", "similarity 'torch:nothing' cannot be imported"),
        ("discriminator", "similarity 'discriminator' needs a discriminator"),
        ("lpips:resnet", "similarity 'lpips' has no network 'resnet'; expected one of alex, vgg, squeeze"),
        (3, "the similarity is a int; expected a function, called with media and target"),
    ],
)
def test_mistakes(name: Any, message: str, generator: StackGANGenerator) -> None:
    with pytest.raises(ValueError, match=message):
        similarity_from(name, generator)


def test_unless_told_pictures_go_by_pixels_and_other_media_by_features(generator: StackGANGenerator) -> None:
    assert isinstance(similarity_from(None, generator), Pixels)
    assert isinstance(similarity_from(None, load_generator("tones")), Features)


@pytest.mark.parametrize("name", ["ssim", "vit", "lpips"])
def test_pictures_are_needed(name: str) -> None:
    sounds: Generator = Sounds()  # type: ignore[assignment]
    with pytest.raises(ValueError, match=f"'{name}' compares pictures, but the media are of kind 'sound'"):
        similarity_from(name, sounds)


class TestWithoutFiles:
    def test_vit(self, generator: StackGANGenerator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("HF_HOME", str(tmp_path))
        with pytest.raises(ValueError, match=r"'vit' cannot load .*similarity='vit:FOLDER'"):
            similarity_from(f"vit:{tmp_path}/absent", generator)

    def test_vit_without_a_processor(self, generator: StackGANGenerator, vit_folder: Path, tmp_path: Path) -> None:
        for name in ("config.json", "model.safetensors"):
            (tmp_path / name).write_bytes((vit_folder / name).read_bytes())
        with pytest.raises(ValueError, match=r"'vit' cannot load .*preprocessor_config.json"):
            similarity_from(f"vit:{tmp_path}", generator)

    def test_lpips(self, generator: StackGANGenerator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        from urllib.error import URLError

        def unreachable(*_: object, **__: object) -> None:
            raise URLError("no network")

        monkeypatch.setenv("TORCH_HOME", str(tmp_path))
        monkeypatch.setattr("torch.hub.download_url_to_file", unreachable)
        with pytest.raises(ValueError, match=r"'lpips' cannot get the weights .*no network.*checkpoints"):
            similarity_from("lpips:vgg", generator)

    @pytest.mark.parametrize(("name", "module"), [("ssim", "torchmetrics"), ("vit", "transformers")])
    def test_without_the_library(
        self, generator: StackGANGenerator, name: str, module: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        import sys

        for known in [other for other in sys.modules if other.split(".")[0] == module]:
            monkeypatch.setitem(sys.modules, known, None)
        monkeypatch.setitem(sys.modules, module, None)
        with pytest.raises(ValueError, match=r"pip install 'pbg-env\[similarities\]'"):
            similarity_from(f"{name}:elsewhere" if name == "vit" else name, generator)


def test_images_of_one_medium_have_small_features() -> None:
    assert ImageMedium(256).features(torch.rand(2, 3, 256, 256)).shape == (2, 3 * 64 * 64)
