"""The table of rates: what is in it, and that what it compares draws the same pictures."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from benchmarks.machine import shortest
from benchmarks.published import drawing, noise_for, operations, published, write_random_generator
from benchmarks.throughput import COLUMNS, RATIOS, left_out, main
from pbg_env.generators.stackgan_v2.checkpoint import load_generator_network
from tests.conftest import CPU, small_generator_network

QUICK = ["--seconds", "0.01", "--matrix", "64", "--device", "cpu"]


def table(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "throughput.json").read_text(encoding="utf-8"))


def test_table_holds_a_rate_for_every_measurement(checkpoint: Callable[..., Path], tmp_path: Path, capsys: Any) -> None:
    path = str(checkpoint())
    main(["--generators", path, "--batches", "1", "2", "--skip", "async", "memory", "--out", str(tmp_path), *QUICK])
    result = table(tmp_path)
    assert result["machine"]["matrix_rate"] > 0
    assert [(row["generator"], row["batch"]) for row in result["rows"]] == [(path, 1), (path, 2)]
    for row in result["rows"]:
        reasons = {"async": "skipped", "published_memory": "skipped", "generate_memory": "skipped"}
        reasons |= {"make": "—"} if row["batch"] == 2 else {}
        for name in COLUMNS:
            assert row[name] == reasons[name] if name in reasons else row[name] > 0, name
        assert row["published_limit"] == result["machine"]["matrix_rate"] / row["published_operations"]
        assert row["published_operations"] > row["generate_operations"]
        assert row["ratios"]["generate / published"] == row["generate"] / row["published"]
        assert set(row["ratios"]) == {f"{over} / {under}" for over, under in RATIOS if "async" not in (over, under)}
    text = (tmp_path / "throughput.md").read_text(encoding="utf-8")
    printed = capsys.readouterr().out
    for part in (
        path,
        "skipped",
        f"batch 2: generate / published = {result['rows'][1]['ratios']['generate / published']:.2f}",
    ):
        assert part in text
        assert part in printed


@pytest.mark.slow
def test_processes_of_their_own_are_measured(checkpoint: Callable[..., Path], tmp_path: Path) -> None:
    main(["--generators", str(checkpoint()), "--batches", "2", "--skip", "sync", "--out", str(tmp_path), *QUICK])
    (row,) = table(tmp_path)["rows"]
    assert row["async"] > 0
    assert row["ratios"]["make_vec / async"] == row["make_vec"] / row["async"]
    for form in ("published", "generate"):
        assert row[f"{form}_memory"] is None or row[f"{form}_memory"] > 1e8


@pytest.mark.parametrize("blocks", [(), (1,)])
def test_published_form_draws_what_the_network_draws(checkpoint: Callable[..., Path], blocks: tuple[int, ...]) -> None:
    network = small_generator_network(blocks=blocks)
    noise = torch.linspace(-2, 2, 12).view(2, 6)
    for ours, expected in zip(published(network)(noise), network(noise), strict=True):
        torch.testing.assert_close(ours, expected, rtol=0, atol=1e-5)
    path = checkpoint(blocks=blocks)
    pictures = [drawing(form, path, CPU, torch.float32)(noise) for form in ("published", "generate")]
    torch.testing.assert_close(pictures[0] / 2 + 0.5, pictures[1], rtol=0, atol=1e-5)


def test_multiply_adds_of_the_published_form(checkpoint: Callable[..., Path]) -> None:
    """A doubling takes 9 multiply–adds for a pair of channels as published and 4 as ours."""
    path = checkpoint()
    shared = 6 * 64 * 32 + 64**2 * 9 * 4 * 3
    doublings = sum((64 // 2**i) * (64 // 2**i) * (8 * 2**i) ** 2 for i in range(4))
    assert operations("published", path) == 2 * (shared + 9 * doublings)
    assert operations("generate", path) == 2 * (shared + 4 * doublings)


def test_random_generator_has_the_published_widths_and_draws_different_pictures(tmp_path: Path) -> None:
    path = tmp_path / "netG_0.pth"
    write_random_generator(path)
    network = load_generator_network(path)
    assert (network.noise_dim, network.width, network.residual_blocks) == (100, 64, (2, 2))
    pictures = drawing("generate", path, CPU, torch.float32)(noise_for(path, 2, CPU, torch.float32))
    assert pictures.shape == (2, 3, 256, 256)
    assert (pictures[0] - pictures[1]).abs().mean() > 0.05


def test_calls_take_turns_and_what_is_slow_is_not_repeated() -> None:
    order: list[str] = []
    calls = {"first": lambda: order.append("first"), "second": lambda: order.append("second")}
    best = shortest(calls, 0.01, CPU)
    assert order[:2] == ["first", "second"]
    assert [name for name, _ in itertools.groupby(order)] == ["first", "second"] * 4
    assert all(0 < seconds < 0.01 for seconds in best.values())
    order.clear()
    assert shortest(calls, 1e-9, CPU)["first"] > 4e-9
    assert order == ["first", "second"]


def test_what_does_not_fit_is_left_out_with_its_reason(checkpoint: Callable[..., Path], monkeypatch: Any) -> None:
    path = checkpoint()
    assert left_out("async", path, 65, [], CPU) == "over 64 processes"
    monkeypatch.setattr("benchmarks.throughput.free_memory", lambda device: 9e9)
    assert left_out("async", path, 20, [], CPU) == "needs 10 GB"
    assert left_out("async", path, 4, [], CPU) is None
    assert left_out("make_vec", path, 256, [], CPU) is None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--generators", "nowhere.pth"], "error: no such checkpoint: nowhere.pth"),
        (["--device", "abacus"], "error: device 'abacus' is unknown"),
        (["--batches", "0"], "0 does not conform to restriction v>0"),
        (["--seconds", "-1"], "-1 does not conform to restriction v>0"),
        (["--skip", "lunch"], "invalid choice: 'lunch'"),
        (["--lunch", "1"], "unrecognized arguments: --lunch"),
    ],
)
def test_bad_input_is_refused_by_name(
    arguments: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["--out", str(tmp_path / "out"), *arguments])
    assert message in f"{stopped.value.code} {capsys.readouterr().err}"
    assert not (tmp_path / "out").exists()
