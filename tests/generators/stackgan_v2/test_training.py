from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from pbg_env import load_discriminator, load_generator
from pbg_env.generators.stackgan_v2.training.__main__ import main, train
from pbg_env.generators.stackgan_v2.training.data import DataError, batches
from pbg_env.generators.stackgan_v2.training.losses import (
    colour_consistency,
    colour_statistics,
    discriminator_loss,
    generator_loss,
    real_gradient_penalty,
)
from pbg_env.generators.stackgan_v2.training.snapshot import latest_snapshot, read_state, write_snapshot
from pbg_env.generators.stackgan_v2.training.trainer import Recipe, Trainer

TINY: dict[str, Any] = {"gf_dim": 1, "df_dim": 1, "z_dim": 3, "batch_size": 2, "seed": 5}


def photograph(path: Path, size: tuple[int, int], mode: str = "RGB", value: int = 200) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size, value if mode == "L" else (value,) * len(mode)).save(path)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    (tmp_path / "pictures" / "more").mkdir(parents=True)
    for number in range(7):
        shape = (80 + 8 * number, 100, 3)
        place = tmp_path / "pictures" / ("more" if number % 2 else ".") / f"{number}.png"
        Image.fromarray(rng.integers(0, 256, shape, dtype=np.uint8)).save(place)
    return tmp_path / "pictures"


class TestLosses:
    def test_adversarial_losses_are_the_published_cross_entropies(self) -> None:
        real, fake = torch.tensor([2.0, -1.0]), torch.tensor([0.5, -3.0])
        bce = torch.nn.BCELoss()
        expected = bce(real.sigmoid(), torch.ones(2)) + bce(fake.sigmoid(), torch.zeros(2))
        torch.testing.assert_close(discriminator_loss(real, fake), expected)
        torch.testing.assert_close(generator_loss(fake), bce(fake.sigmoid(), torch.ones(2)))

    def test_colour_statistics_are_mean_and_covariance_over_pixels(self) -> None:
        pictures = torch.rand(2, 3, 4, 5, generator=torch.Generator().manual_seed(0))
        mean, covariance = colour_statistics(pictures)
        for picture, its_mean, its_covariance in zip(pictures.numpy(), mean, covariance, strict=True):
            pixels = picture.reshape(3, -1)
            np.testing.assert_allclose(its_mean, pixels.mean(axis=1), rtol=1e-5)
            np.testing.assert_allclose(its_covariance, np.cov(pixels, bias=True), rtol=1e-4, atol=1e-7)

    def test_colour_consistency_draws_the_finer_scale_only(self) -> None:
        coarse = torch.zeros(1, 3, 4, 4, requires_grad=True)
        fine = torch.full((1, 3, 8, 8), 0.2, requires_grad=True)
        loss = colour_consistency([coarse, fine])
        # Means differ by 0.2 in each colour, covariances are both 0.
        torch.testing.assert_close(loss, torch.tensor(50 * 0.2**2))
        loss.backward()
        assert coarse.grad is None
        assert fine.grad is not None
        assert (fine.grad > 0).all()

    def test_colour_covariances_weigh_250(self) -> None:
        stripes = torch.tensor([-1.0, 1.0]).expand(1, 3, 4, 2)
        loss = colour_consistency([torch.zeros(1, 3, 2, 2), stripes])
        torch.testing.assert_close(loss, torch.tensor(250.0))

    def test_one_scale_has_no_colour_loss(self) -> None:
        assert colour_consistency([torch.rand(1, 3, 4, 4)]) == 0

    def test_gradient_penalty_of_a_linear_function(self) -> None:
        pictures = torch.rand(2, 3, 2, 2, requires_grad=True)
        penalty = real_gradient_penalty(3 * pictures.flatten(1).sum(dim=1), pictures)
        torch.testing.assert_close(penalty, torch.tensor(9.0 * 12))


class TestData:
    def test_every_scale_is_the_same_picture_in_range(self, folder: Path) -> None:
        loader = batches(str(folder), [16, 32], batch_size=3, start=0, stop=4, flip=False, workers=0, seed=1)
        read = list(loader)
        assert len(read) == 4
        for small, large in read:
            assert small.shape == (3, 3, 16, 16)
            assert large.shape == (3, 3, 32, 32)
            assert -1 <= large.min() < large.max() <= 1
            torch.testing.assert_close(small.mean(dim=(2, 3)), large.mean(dim=(2, 3)), atol=0.02, rtol=0)

    @pytest.mark.parametrize("workers", [0, 1])
    def test_a_position_holds_the_same_picture_wherever_reading_starts(self, folder: Path, workers: int) -> None:
        settings: dict[str, Any] = {"batch_size": 3, "stop": 5, "flip": True, "seed": 1}
        whole = list(batches(str(folder), [32], start=0, workers=0, **settings))
        rest = list(batches(str(folder), [32], start=2, workers=workers, **settings))
        for one, other in zip(whole[2:], rest, strict=True):
            torch.testing.assert_close(one[0], other[0], rtol=0, atol=0)

    def test_each_picture_comes_once_an_epoch(self, folder: Path) -> None:
        loader = batches(str(folder), [32], batch_size=7, start=0, stop=2, flip=False, workers=0, seed=1)
        first, second = (batch[0] for batch in loader)
        assert len({picture.numpy().tobytes() for picture in first}) == 7
        assert {p.numpy().tobytes() for p in first} == {p.numpy().tobytes() for p in second}
        assert not torch.equal(first, second)

    def test_flips_mirror_some_pictures(self, folder: Path) -> None:
        settings: dict[str, Any] = {"batch_size": 7, "start": 0, "stop": 1, "workers": 0, "seed": 1}
        ((plain,),) = batches(str(folder), [32], flip=False, **settings)
        ((flipped,),) = batches(str(folder), [32], flip=True, **settings)
        mirrored = [torch.equal(a, b.flip(-1)) for a, b in zip(plain, flipped, strict=True)]
        kept = [torch.equal(a, b) for a, b in zip(plain, flipped, strict=True)]
        assert any(mirrored)
        assert any(kept)
        assert all(m or k for m, k in zip(mirrored, kept, strict=True))

    def test_grey_and_transparent_pictures_are_read_as_seen(self, tmp_path: Path) -> None:
        Image.new("L", (40, 40), 255).save(tmp_path / "grey.png")
        Image.new("RGBA", (40, 40), (0, 0, 0, 0)).save(tmp_path / "clear.png")
        ((read,),) = batches(str(tmp_path), [32], batch_size=2, start=0, stop=1, flip=False, workers=0, seed=1)
        torch.testing.assert_close(read, torch.ones(2, 3, 32, 32))

    def test_unreadable_pictures_are_named_skipped_and_counted(self, folder: Path) -> None:
        (folder / "broken.png").write_bytes((folder / "0.png").read_bytes()[:300])
        (folder / "text.jpg").write_text("no picture")
        with pytest.warns(UserWarning, match=r"skipped 2 of 9 pictures that cannot be read: broken.png .*text.jpg"):
            batches(str(folder), [32], batch_size=2, start=0, stop=1, flip=False, workers=0, seed=1)

    def test_folders_that_cannot_be_trained_on(self, tmp_path: Path) -> None:
        def read(path: Path) -> None:
            batches(str(path), [64, 128], batch_size=2, start=0, stop=1, flip=False, workers=0, seed=1)

        with pytest.raises(DataError, match="nowhere: no such folder; give a folder of pictures"):
            read(tmp_path / "nowhere")
        (tmp_path / "empty").mkdir()
        with pytest.raises(DataError, match="no pictures in it"):
            read(tmp_path / "empty")
        photograph(tmp_path / "small" / "a.png", (127, 300))
        photograph(tmp_path / "small" / "b.png", (128, 128))
        with pytest.raises(DataError, match=r"1 of 2 .* smaller than the finest scale, 128 px: a.png \(127 × 300\)"):
            read(tmp_path / "small")
        (tmp_path / "broken").mkdir()
        (tmp_path / "broken" / "a.png").write_text("no picture")
        with pytest.raises(DataError, match=r"none of its 1 pictures can be read: a\.png"):
            read(tmp_path / "broken")


class TestTraining:
    def test_a_step_moves_both_networks_and_the_average_follows(self) -> None:
        trainer = Trainer(Recipe(scales=2, residual_blocks=1, **TINY | {"gf_dim": 2}), torch.device("cpu"))
        before = {name: tensor.clone() for name, tensor in trainer.generator.named_parameters()}
        real = [torch.rand(2, 3, 64, 64), torch.rand(2, 3, 128, 128)]
        losses = trainer.train_step(real)
        assert set(losses) == {
            *("discriminator/64px", "discriminator/128px"),
            *("generator/64px", "generator/128px", "generator/colour"),
        }
        assert all(torch.isfinite(loss) for loss in losses.values())
        average = dict(trainer.average.named_parameters())
        for name, weights in trainer.generator.named_parameters():
            assert not torch.equal(weights, before[name]), name
            torch.testing.assert_close(average[name], 0.999 * before[name] + 0.001 * weights)

    def test_the_averaged_generator_has_statistics_of_its_own_weights(self) -> None:
        trainer = Trainer(Recipe(**TINY), torch.device("cpu"))
        network = trainer.averaged_generator()
        noise = torch.randn(512, 3, generator=torch.Generator().manual_seed(2))
        statistics = network.h_net1.fc[1]
        assert isinstance(statistics, torch.nn.BatchNorm1d)
        assert statistics.running_mean is not None
        hidden = network.h_net1.fc[0](noise)
        torch.testing.assert_close(statistics.running_mean, hidden.mean(dim=0), atol=0.15, rtol=0)

    def test_the_learning_rate_falls_over_the_last_share_of_the_steps(self) -> None:
        trainer = Trainer(Recipe(steps=10, decay=0.5, **TINY), torch.device("cpu"))
        rates = []
        for _ in range(10):
            trainer.train_step([torch.rand(2, 3, 64, 64)])
            rates.append(trainer.generator_optimiser.param_groups[0]["lr"] / 2e-4)
        np.testing.assert_allclose(rates, [1, 1, 1, 1, 1, 1, 0.8, 0.6, 0.4, 0.2])

    def test_a_resumed_run_is_the_uninterrupted_one(self, folder: Path, tmp_path: Path) -> None:
        recipe = Recipe(steps=4, flip=True, r1=1.0, **TINY)
        settings: dict[str, Any] = {"workers": 0, "snapshot_every": 2, "device": "cpu", "keep": 9}
        whole = train(str(folder), recipe, out=tmp_path / "whole", **settings)
        train(str(folder), Recipe(steps=2, flip=True, r1=1.0, **TINY), out=tmp_path / "parts", **settings)
        parts = train(str(folder), recipe, resume=tmp_path / "parts", **settings)
        for name in ("netG_4.pth", "netD0.pth", "training_state.pt"):
            one, other = (torch.load(path / name, weights_only=True) for path in (whole, parts))
            assert_same(one, other)

    def test_a_resumed_run_keeps_its_recipe(self, folder: Path, tmp_path: Path) -> None:
        settings: dict[str, Any] = {"workers": 0, "device": "cpu"}
        train(str(folder), Recipe(steps=1, r1=1.0, **TINY), out=tmp_path / "run", **settings)
        with pytest.raises(ValueError, match=r"has done 1 of 1 steps; give more with --recipe\.steps"):
            train(str(folder), resume=tmp_path / "run", **settings)
        snapshot = train(str(folder), {"steps": 2}, resume=tmp_path / "run", **settings)
        assert read_state(snapshot)["recipe"] == asdict(Recipe(steps=2, r1=1.0, **TINY))
        with pytest.raises(ValueError, match=r"was begun with --recipe\.r1 1\.0, and goes on so; leave that out, or"):
            train(str(folder), Recipe(steps=3, **TINY), resume=tmp_path / "run", **settings)
        assert read_state(latest_snapshot(tmp_path / "run" / "snapshots"))["step"] == 2
        with pytest.raises(ValueError, match=r"a recipe has no stpes; it has scales, gf_dim, .*steps"):
            train(str(folder), {"stpes": 3}, resume=tmp_path / "run", **settings)

    def test_on_the_command_line_only_what_is_told_counts(
        self, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        run = tmp_path / "run"
        train(str(folder), Recipe(steps=1, r1=1.0, **TINY), out=run, workers=0, device="cpu")
        line = ["training", "--data", str(folder), "--resume", str(run), "--workers=0", "--device=cpu"]
        # The default is told as well as any other number.
        monkeypatch.setattr(sys, "argv", [*line, "--recipe.r1=0"])
        with pytest.raises(SystemExit, match=r"error: .*run was begun with --recipe\.r1 1\.0, and goes on so"):
            main()
        monkeypatch.setattr(sys, "argv", [*line, "--recipe.steps=2", "--recipe.r1=1"])
        main()
        state = read_state(latest_snapshot(run / "snapshots"))
        assert (state["step"], state["recipe"]) == (2, asdict(Recipe(steps=2, r1=1.0, **TINY)))

    def test_snapshots_load_as_generator_and_discriminators(self, folder: Path, tmp_path: Path) -> None:
        recipe = Recipe(scales=2, steps=1, residual_blocks=1, **TINY | {"gf_dim": 2})
        for path in folder.rglob("*.png"):
            Image.open(path).resize((130, 130)).save(path)
        snapshot = train(str(folder / "more"), recipe, out=tmp_path / "run", workers=0, device="cpu")  # type: ignore[arg-type]
        noise = torch.zeros(1, 3)
        published = load_generator(snapshot / "netG_1.pth").generate(noise)
        torch.testing.assert_close(published, load_generator(snapshot / "generator.safetensors").generate(noise))
        assert published.shape == (1, 3, 128, 128)
        assert load_discriminator(snapshot / "netD1.pth").score(published).shape == (1,)
        assert load_discriminator(snapshot / "discriminator_64.safetensors").score(published[..., ::2, ::2]).shape == (
            1,
        )
        assert (tmp_path / "run" / "samples_128px.png").is_file()

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (["--data", "nowhere"], "error: --data nowhere: no such folder"),
            (["--data", "avatars", "--recipe.batch_size", "1"], "batch_size is 1, expected at least 2"),
            (["--data", "avatars", "--resume", "nowhere"], "no snapshot in nowhere"),
            (["--data", "avatars", "--device", "gpu"], "device 'gpu' is unknown"),
        ],
    )
    def test_mistakes_on_the_command_line_end_with_a_sentence(
        self, arguments: list[str], message: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.setattr(sys, "argv", ["training", *arguments])
        with pytest.raises(SystemExit) as stop:
            main()
        assert message in f"{stop.value}{capsys.readouterr().err}"


class TestSnapshots:
    def test_an_unfinished_snapshot_is_never_the_latest(self, tmp_path: Path) -> None:
        for step in (1, 2, 3):
            write_snapshot(tmp_path, step, {"w": torch.full((1,), float(step))}, [], {"step": step}, keep=2)
        (tmp_path / "step_00000004.unfinished").mkdir()
        assert latest_snapshot(tmp_path).name == "step_00000003"
        assert read_state(latest_snapshot(tmp_path)) == {"step": 3}
        assert not (tmp_path / "step_00000001").exists()

    def test_a_kill_at_any_moment_leaves_the_last_snapshot_whole(self, tmp_path: Path) -> None:
        run = tmp_path / "run"
        process = subprocess.Popen(
            [sys.executable, "-m", "pbg_env.generators.stackgan_v2.training", "--data", "avatars", "--out", str(run)]
            + ["--recipe.gf_dim=1", "--recipe.df_dim=1", "--recipe.batch_size=2", "--recipe.steps=100000"]
            + ["--snapshot_every=1", "--workers=0", "--device=cpu"],
            stderr=subprocess.DEVNULL,
            env=os.environ | {"OMP_NUM_THREADS": "1"},
        )
        deadline = time.monotonic() + 120
        while not list(run.glob("snapshots/step_*[0-9]")):
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.05)
        # With a snapshot every step, most moments are within the writing of one.
        time.sleep(0.3)
        process.send_signal(signal.SIGKILL)
        process.wait()
        snapshot = latest_snapshot(run / "snapshots")
        step = int(snapshot.name.removeprefix("step_"))
        assert read_state(snapshot)["step"] == step
        assert load_generator(snapshot / f"netG_{step}.pth").noise_dim == 100


def assert_same(one: Any, other: Any) -> None:
    if isinstance(one, torch.Tensor):
        torch.testing.assert_close(one, other, rtol=0, atol=0)
    elif isinstance(one, dict):
        assert one.keys() == other.keys()
        for key in one:
            assert_same(one[key], other[key])
    elif isinstance(one, (list, tuple)):
        for a, b in zip(one, other, strict=True):
            assert_same(a, b)
    else:
        assert one == other
