"""The embedded generator keeps what its card says."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

import pbg_env
from pbg_env import load_discriminator, load_generator
from pbg_env.generators.avatars.dataset import AvatarDataset
from pbg_env.generators.avatars.figures import figures, mean_pairwise_rmse

ASSETS = Path(pbg_env.__file__).parent / "assets"
CARD = json.loads((ASSETS / "avatars.json").read_text())


def test_figures_on_the_card_are_good_enough() -> None:
    assert CARD["diversity"] >= 0.9
    assert CARD["coverage"] >= 0.95
    assert 0.6 <= CARD["density"] <= 1.6
    assert CARD["reach"] >= 26
    card = (ASSETS / "avatars.md").read_text(encoding="utf-8")
    for name in ("diversity", "coverage", "density", "reach"):
        assert f"{CARD[name]:.2f}" in card, name


def test_the_weights_are_small_enough() -> None:
    assert sum(path.stat().st_size for path in ASSETS.glob("*.safetensors")) <= 24 * 2**20


def test_generator_and_discriminator_fit_together() -> None:
    generator, discriminator = load_generator(), load_discriminator()
    assert generator.noise_dim == 100
    assert generator.media.shape == (3, 64, 64)
    media = generator.generate(generator.sample_noise(64, np.random.default_rng(0)))
    drawn = torch.stack([torch.from_numpy(np.asarray(p).copy()) for p in (AvatarDataset(64)[i] for i in range(64))])
    drawn = drawn.permute(0, 3, 1, 2) / 255
    # The discriminator rates drawn portraits above ours, and both far above portraits on their heads.
    scores = [float(discriminator.score(pictures).mean()) for pictures in (drawn, media, drawn.flip(2))]
    assert scores[0] > scores[1] > 10 * scores[2]
    assert mean_pairwise_rmse(media) / mean_pairwise_rmse(drawn) == pytest.approx(CARD["diversity"], abs=0.12)


@pytest.mark.slow
def test_the_card_can_be_measured_again(tmp_path: Path) -> None:
    measured = figures(out=tmp_path)
    for name, value in measured.items():
        assert value == pytest.approx(CARD[name], rel=0.01), name
