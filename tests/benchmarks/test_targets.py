"""Targets that no generator made."""

from __future__ import annotations

from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest
from PIL import Image

import pbg_env
from benchmarks.targets import PORTRAIT_SEED, picture, portrait
from pbg_env.generators.avatars import figures
from pbg_env.generators.avatars.dataset import AvatarDataset


class TestPortrait:
    def test_a_number_is_one_portrait(self) -> None:
        portraits = [portrait(number) for number in (0, 1, 0)]
        assert all(one.shape == (3, 64, 64) and one.dtype == np.float32 for one in portraits)
        assert all(one.min() >= 0 and one.max() <= 1 and one.std() > 0.05 for one in portraits)
        np.testing.assert_array_equal(portraits[0], portraits[2])
        assert np.abs(portraits[0] - portraits[1]).mean() > 0.02

    def test_sizes_show_the_same_portrait(self) -> None:
        large = portrait(3, 128)
        assert large.shape == (3, 128, 128)
        smaller = large.reshape(3, 64, 2, 64, 2).mean(axis=(2, 4))
        assert np.abs(smaller - portrait(3)).mean() < 0.02

    def test_it_is_of_no_stream_that_anything_was_trained_or_measured_on(self) -> None:
        from benchmarks.factor_regressor import HELD_OUT_SEED, TRAINING_SEED

        measured = figures.figures.__defaults__[-1]  # type: ignore[index]
        # The embedded generator's training, and both streams of its figures.
        assert PORTRAIT_SEED not in (0, measured, measured + 1, TRAINING_SEED, HELD_OUT_SEED)
        trained = np.stack([np.asarray(AvatarDataset(8)[index]) for index in range(8)])
        mine = np.stack([portrait(number).transpose(1, 2, 0) * 255 for number in range(8)])
        assert np.abs(trained[:, None] - mine[None]).mean(axis=(2, 3, 4)).min() > 5

    def test_an_environment_takes_it_as_its_target(self) -> None:
        env = gym.make("pbg_env:PBG-StackGANv2-Pairs-v0", goal=None, disable_env_checker=True, render_mode="rgb_array")
        size = pbg_env.load_generator(device="cpu").media.shape[-1]
        wanted = portrait(5, size)
        env.reset(seed=0, options={"target": wanted})
        shown = np.asarray(env.render())
        env.close()
        target = (wanted.transpose(1, 2, 0) * 255).round().astype(np.uint8)
        places = np.lib.stride_tricks.sliding_window_view(shown, target.shape)
        assert (places == target).all(axis=(-3, -2, -1)).any()

    @pytest.mark.parametrize(("number", "size", "message"), [(-1, 64, "target -1 asked for"), (0, 0, "size is 0")])
    def test_mistakes(self, number: int, size: int, message: str) -> None:
        with pytest.raises(ValueError, match=message):
            portrait(number, size)


class TestPicture:
    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        for name in ("b.png", "a.JPG", "c.png"):
            Image.new("RGB", (8, 8)).save(tmp_path / name)
        (tmp_path / "a.txt").write_text("no picture")
        (tmp_path / "aa.png").mkdir()
        return tmp_path

    def test_pictures_come_by_name(self, folder: Path) -> None:
        assert [picture(folder, number).name for number in range(3)] == ["a.JPG", "b.png", "c.png"]
        assert picture(str(folder), 0) == folder / "a.JPG"

    def test_too_few(self, folder: Path) -> None:
        with pytest.raises(FileNotFoundError, match=r"target 3 needs 4 pictures in .*, but there are 3; add some"):
            picture(folder, 3)

    def test_no_folder(self, folder: Path) -> None:
        with pytest.raises(FileNotFoundError, match=r"no such folder of targets: .*absent; give a folder of pictures"):
            picture(folder / "absent", 0)

    def test_a_negative_number(self, folder: Path) -> None:
        with pytest.raises(ValueError, match="target -1 asked for; expected a number from 0"):
            picture(folder, -1)
