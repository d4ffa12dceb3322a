"""`python -m benchmarks.throughput`: pictures a second of the bare network, of ours and of the environments."""

from __future__ import annotations

import itertools
import json
import os
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import gymnasium as gym
import jsonargparse
import torch
from gymnasium.error import Error as GymnasiumError
from gymnasium.vector import AsyncVectorEnv, SyncVectorEnv
from jsonargparse.typing import PositiveFloat, PositiveInt
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

import pbg_env
from benchmarks.machine import Call, free_memory, matrix_rate, peak_memory, shortest
from benchmarks.published import FORMS, drawing, noise_for, operations, write_random_generator
from pbg_env.generators.base import resolve_device
from pbg_env.generators.stackgan_v2.checkpoint import load_generator_network

# Names its package, so that processes of their own register it.
ENV_ID = "pbg_env:PBG-StackGANv2-v0"
AVATARS = Path(pbg_env.__file__).parent / "assets" / "avatars_generator.safetensors"
RANDOM = "random-256"

COLUMNS = {
    "published": "published",
    "published_limit": "limit",
    "generate": "generate",
    "generate_limit": "limit",
    "make": "make",
    "make_vec": "make_vec",
    "sync": "Sync",
    "async": "Async",
    "published_memory": "GB published",
    "generate_memory": "GB generate",
}
ENVIRONMENTS = ("make", "make_vec", "sync", "async")
SKIPPABLE = (*FORMS, *ENVIRONMENTS, "memory")
RATIOS = (("generate", "published"), ("make_vec", "generate"), ("make_vec", "async"))

MOST_PROCESSES = 64
PROCESS_BYTES = 0.5e9
"""What one more process with torch and the package takes."""

Row = dict[str, Any]


def single(source: str, device: str, threads: int | None = None) -> gym.Env[Any, Any]:
    """A search that never ends; in a process of its own, with as many threads as told."""
    if threads is not None:
        torch.set_num_threads(threads)
    return gym.make(ENV_ID, generator=source, goal=None, max_queries=2**31, device=device)


def environments(kind: str, source: str, batch: int, device: str) -> Any:
    """`batch` searches as one environment of one of the kinds `ENVIRONMENTS`."""
    if kind == "make":
        return single(source, device)
    if kind == "make_vec":
        return gym.make_vec(ENV_ID, batch, generator=source, goal=None, max_queries=2**31, device=device)
    if kind == "sync":
        return SyncVectorEnv([partial(single, source, device)] * batch)
    before, threads = os.environ.get("OMP_NUM_THREADS"), torch.get_num_threads()
    os.environ["OMP_NUM_THREADS"] = "1"
    try:
        return AsyncVectorEnv([partial(single, source, device, threads=1)] * batch, context="spawn")
    finally:
        del os.environ["OMP_NUM_THREADS"]
        os.environ.update({} if before is None else {"OMP_NUM_THREADS": before})
        # Gymnasium makes one of them in this process, too, to see its spaces.
        torch.set_num_threads(threads)


def stepping(env: Any) -> Call:
    """One step of an environment after another, with actions that were sampled beforehand."""
    env.reset(seed=0)
    env.action_space.seed(0)
    actions = itertools.cycle([env.action_space.sample() for _ in range(8)])
    return lambda: env.step(next(actions))


def left_out(kind: str, path: Path, batch: int, skip: list[str], device: torch.device) -> str | None:
    """Why environments are not measured, None where they are."""
    if kind in skip:
        return "skipped"
    if kind == "make" and batch > 1:
        return "—"
    if kind == "async" and batch > MOST_PROCESSES:
        return f"over {MOST_PROCESSES} processes"
    if kind == "async":
        # Each process has weights of its own, which folding makes up to 16 / 9 times as large.
        needed = batch * (2.0 * path.stat().st_size + PROCESS_BYTES)
        if needed > free_memory(device):
            return f"needs {needed / 1e9:.0f} GB"
    return None


def memory_of(form: str, path: Path, batch: int, device: torch.device, dtype: torch.dtype) -> float | None:
    """Peak bytes of this process once it has drawn a batch."""
    with torch.inference_mode():
        drawing(form, path, device, dtype)(noise_for(path, batch, device, dtype))
    return peak_memory(device)


def measured(source: str, path: Path, batch: int, settings: jsonargparse.Namespace) -> Row:
    """One row of the table: a number for each measurement, or the reason why there is none."""
    device, dtype = resolve_device(settings.device), getattr(torch, settings.dtype)
    row: Row = {}
    calls: dict[str, Call] = {}
    noise = noise_for(path, batch, device, dtype)
    for form in FORMS:
        row[f"{form}_operations"] = operations(form, path)
        row[form] = row[f"{form}_memory"] = "skipped"
        try:
            if "memory" not in settings.skip:
                # Where memory is short, the system ends that process and not this one.
                with ProcessPoolExecutor(1, get_context("spawn")) as process:
                    row[f"{form}_memory"] = process.submit(memory_of, form, path, batch, device, dtype).result()
            if form not in settings.skip:
                calls[form] = partial(drawing(form, path, device, dtype), noise)
        except (BrokenProcessPool, torch.OutOfMemoryError):
            row[form] = row[f"{form}_memory"] = "out of memory"
    opened = []
    try:
        for kind in ENVIRONMENTS:
            row[kind] = left_out(kind, path, batch, settings.skip, device)
            if row[kind] is None:
                opened.append(environments(kind, source, batch, str(device)))
                calls[kind] = stepping(opened[-1])
        with torch.inference_mode():
            best = shortest(calls, settings.seconds, device)
    finally:
        for env in opened:
            env.close()
    return row | {name: batch / seconds for name, seconds in best.items()}


def ratios(row: Row) -> dict[str, float]:
    """The quotients of `RATIOS` for which both rates were measured."""
    pairs = [pair for pair in RATIOS if all(isinstance(row[name], float) for name in pair)]
    return {f"{over} / {under}": row[over] / row[under] for over, under in pairs}


def cells(row: Row) -> list[str]:
    """A row as it is printed."""
    return [row["generator"], str(row["batch"]), *(_text(name, row[name]) for name in COLUMNS)]


def _text(name: str, value: float | str | None) -> str:
    if isinstance(value, float):
        value = value / 1e9 if name.endswith("_memory") else value
        return f"{value:.2f}" if value < 10 else f"{value:.1f}" if value < 100 else f"{value:,.0f}"
    return "—" if value is None else value


def notes(result: Row) -> list[str]:
    """What is printed below the table, line by line."""
    machine, rows = result["machine"], result["rows"]
    work = {row["generator"]: [f"{row[f'{form}_operations'] / 2e9:.3f}" for form in FORMS] for row in rows}
    return [
        "Pictures a second: of the bare network as published, of ours, and asked of environments: gym.make, "
        "gym.make_vec, SyncVectorEnv and AsyncVectorEnv of single ones.",
        f"{machine['device']}, {machine['threads']} threads, networks in {machine['dtype']}, torch {machine['torch']}.",
        f"Limit: products of matrices run at {machine['matrix_rate'] / 1e9:,.0f} GFLOP/s; billions of multiply–adds a "
        f"picture, as published and ours: "
        + "; ".join(f"{name} {' and '.join(billions)}" for name, billions in work.items()),
        "Memory: the peak of a process that draws one batch.",
        *(
            f"{row['generator']}, batch {row['batch']}: " + ", ".join(f"{k} = {v:.2f}" for k, v in ratios(row).items())
            for row in rows
            if ratios(row)
        ),
    ]


def save(folder: Path, result: Row) -> None:
    """Writes `throughput.json` and `throughput.md`."""
    folder.mkdir(parents=True, exist_ok=True)
    content = {**result, "rows": [row | {"ratios": ratios(row)} for row in result["rows"]]}
    text = json.dumps(content, indent=2, ensure_ascii=False)
    (folder / "throughput.json").write_text(text + "\n", encoding="utf-8")
    head = ["generator", "batch", *COLUMNS.values()]
    lines = [head, ["---"] * len(head), *map(cells, result["rows"])]
    table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    listed = "\n".join(f"- {note}" for note in notes(result))
    (folder / "throughput.md").write_text(f"# Throughput\n\n{table}\n\n{listed}\n", encoding="utf-8")


def printed(console: Console, result: Row) -> None:
    table = Table(box=box.SIMPLE_HEAD)
    for name in ("generator", "batch", *COLUMNS.values()):
        table.add_column(name, justify="left" if name == "generator" else "right")
    for row in result["rows"]:
        table.add_row(*cells(row))
    console.print(table)
    for note in notes(result):
        console.print(note, markup=False)


def parser() -> jsonargparse.ArgumentParser:
    line = jsonargparse.ArgumentParser(
        prog="python -m benchmarks.throughput",
        description="Pictures a second: the network as published, ours, the environments, and the machine's limit.",
    )
    line.add_argument("--config", action="config", help="YAML file with any of the settings below")
    line.add_argument(
        "--generators", nargs="+", default=["avatars", RANDOM],
        help=f"'avatars', '{RANDOM}' (256 px, the published widths, random weights), or checkpoints",
    )  # fmt: skip
    line.add_argument("--batches", nargs="+", type=PositiveInt, default=[1, 16, 64, 256], help="pictures at once")
    line.add_argument("--skip", nargs="+", choices=SKIPPABLE, default=[], help="what not to measure")
    line.add_argument("--seconds", type=PositiveFloat, default=2.0, help="for each measurement")
    line.add_argument("--matrix", type=PositiveInt, default=4096, help="side of the matrices that give the limit")
    line.add_argument("--device", default="auto", help="'auto', 'cpu', 'cuda', …")
    line.add_argument(
        "--dtype", choices=["float32", "bfloat16", "float16"], default="float32", help="of the networks by themselves"
    )
    line.add_argument("--out", type=Path | None, default=None, help="a folder; runs/throughput_… unless told")
    return line


def main(arguments: list[str] | None = None) -> None:
    settings = parser().parse_args(arguments)
    try:
        run(settings)
    except (ValueError, OSError, GymnasiumError) as error:
        sys.exit(f"error: {error}")


def run(settings: jsonargparse.Namespace) -> None:
    """Measures row by row, and writes what there is after each."""
    console = Console(highlight=False, soft_wrap=True)
    # Narrower, the numbers themselves would be broken over lines.
    console.width = max(console.width, 130)
    device, dtype = resolve_device(settings.device), getattr(torch, settings.dtype)
    folder = settings.out or Path("runs") / f"throughput_{time.strftime('%Y-%m-%d_%H-%M-%S')}"
    with tempfile.TemporaryDirectory() as temporary:
        random = Path(temporary) / "netG_0.pth"
        paths = {name: {"avatars": AVATARS, RANDOM: random}.get(name, Path(name)) for name in settings.generators}
        if RANDOM in paths:
            write_random_generator(random)
        for path in paths.values():
            load_generator_network(path)
        machine: Row = {
            "device": torch.cuda.get_device_name(device) if device.type == "cuda" else f"CPU of {os.cpu_count()} cores",
            "threads": torch.get_num_threads(),
            "dtype": settings.dtype,
            "torch": torch.__version__,
            "matrix_rate": 0.0,
        }
        result: Row = {"machine": machine, "seconds": settings.seconds, "rows": []}
        for name, path in paths.items():
            for batch in settings.batches:
                console.print(f"{name}, batch {batch} …", markup=False)
                rate = matrix_rate(device, dtype, settings.seconds, settings.matrix)
                machine["matrix_rate"] = max(rate, machine["matrix_rate"])
                source = name if name == "avatars" else str(path)
                result["rows"].append({"generator": name, "batch": batch} | measured(source, path, batch, settings))
                # The best rate is the limit of every row, whatever else the machine did during one of them.
                for row, form in itertools.product(result["rows"], FORMS):
                    row[f"{form}_limit"] = machine["matrix_rate"] / row[f"{form}_operations"]
                save(folder, result)
    printed(console, result)
    console.print(f"\n[bold]everything:[/bold]  {escape(str(folder))}")


if __name__ == "__main__":
    main()
