"""What every engine promises: all results, and for whatever dies or hangs a reason, while all others go on."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from benchmarks.engines import ROOT, Engine, Failure, Job, Outcome, run_all

PROCESSES = Engine(jobs=2, grace=1.0)


def squared(number: int, marks: Path | None = None, seconds: float = 0.0) -> dict[str, Any]:
    """Leaves a mark with its process as it begins."""
    if marks is not None:
        (marks / f"{number}.{os.getpid()}").touch()
    time.sleep(seconds)
    return {"square": number**2, "error": None}


def threads() -> dict[str, Any]:
    return {"threads": os.environ["OMP_NUM_THREADS"]}


def raises(error: Exception) -> dict[str, Any]:
    raise error


def dies() -> dict[str, Any]:
    os.kill(os.getpid(), signal.SIGKILL)
    return {}


def crashes() -> dict[str, Any]:
    ctypes.string_at(0)
    return {}


def dies_once(marks: Path) -> dict[str, Any]:
    """Takes its process with it the first time, as one that the system kills for another's hunger."""
    if not (marks / "died").exists():
        (marks / "died").touch()
        return dies()
    return {"survived": True}


def hangs() -> dict[str, Any]:
    """In native code that never gives the interpreter back."""
    ctypes.PyDLL(None).sleep(1000)
    return {}


class SourcesChanged(RuntimeError):
    """Stands for what concerns all jobs."""


class Unreadable:
    """Work that no other process can read."""

    def __call__(self) -> dict[str, Any]:
        return {}

    def __reduce__(self) -> tuple[Any, ...]:
        return raises, (ImportError("no such module there"),)


def squares(count: int, **told: Any) -> list[Job]:
    return [Job(f"square {number}", partial(squared, number, **told), 20.0) for number in range(count)]


def outcomes(jobs: list[Job], engine: Engine, **told: Any) -> dict[str, Outcome]:
    ended = [(job.key, outcome) for job, outcome in run_all(jobs, engine, **told)]
    assert sorted(key for key, _ in ended) == sorted(job.key for job in jobs), "each job ends once"
    return dict(ended)


def why(outcome: Outcome) -> str:
    assert isinstance(outcome, Failure)
    return outcome.why


def alive(process: int) -> bool:
    try:
        return "State:\tZ" not in Path(f"/proc/{process}/status").read_text()
    except OSError:
        return False


def eventually(condition: Callable[[], bool], seconds: float = 20.0) -> bool:
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.05)
    return condition()


@pytest.fixture(scope="module")
def cluster() -> Iterator[str]:
    """The address of a Ray with two CPUs, of this machine."""
    # Here, since every process of the engines imports this module.
    cluster_utils = pytest.importorskip("ray.cluster_utils")
    made = cluster_utils.Cluster(
        initialize_head=True,
        head_node_args={"num_cpus": 2, "include_dashboard": False, "object_store_memory": 100 * 2**20},
    )
    yield made.address
    made.shutdown()


@pytest.fixture
def on_ray(cluster: str) -> Engine:
    return Engine("ray", address=cluster, grace=1.0)


@pytest.mark.parametrize("engine", [Engine("inline"), PROCESSES, Engine("ray", jobs=2)], ids=lambda engine: engine.kind)
def test_all_engines_give_the_same_and_end(engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if engine.kind == "ray":
        pytest.importorskip("ray")
    if engine.kind == "inline":
        monkeypatch.setenv("OMP_NUM_THREADS", "1")
    refuses = Job("refuses", partial(raises, ValueError("not a square")))
    leaves = Job("leaves", partial(sys.exit, "enough"))
    found = outcomes([*squares(6, marks=tmp_path), Job("threads", threads), refuses, leaves], engine)
    refused = why(found.pop("refuses"))
    assert "raise error" in refused
    assert refused.endswith("ValueError: not a square\n")
    assert why(found.pop("leaves")).endswith("SystemExit: enough\n")
    assert found.pop("threads") == {"threads": "1"}
    assert found == {f"square {n}": {"square": n**2, "error": None} for n in range(6)}
    others = {int(mark.suffix[1:]) for mark in tmp_path.iterdir()} - {os.getpid()}
    assert bool(others) == (engine.kind != "inline")
    assert eventually(lambda: not any(map(alive, others)))


@pytest.mark.parametrize("kind", ["inline", "joblib", "ray"])
def test_what_concerns_all_stops_all(kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    engine = {"inline": Engine("inline"), "joblib": PROCESSES}.get(kind) or request.getfixturevalue("on_ray")
    stops = Job("stops", partial(raises, SourcesChanged("start it again")))
    jobs = [*squares(2), stops, *squares(40, marks=tmp_path, seconds=0.3)]
    with pytest.raises(SourcesChanged, match="start it again"):
        list(run_all(jobs, engine, stop_on=(SourcesChanged,)))
    assert len(list(tmp_path.iterdir())) < 20


def test_nothing_to_do_starts_nothing() -> None:
    assert not outcomes([], PROCESSES)
    assert not outcomes([], Engine("ray", address="localhost:1"))


def test_a_dead_process_costs_nobody_else_a_result(tmp_path: Path) -> None:
    jobs = [*squares(5, seconds=0.1), Job("dies", dies), Job("once", partial(dies_once, tmp_path)), *squares(9)[5:]]
    found = outcomes(jobs, PROCESSES)
    assert "SIGKILL(-9)" in why(found["dies"])
    assert "alone" in why(found.pop("dies"))
    assert found.pop("once") == {"survived": True}
    assert found == {f"square {n}": {"square": n**2, "error": None} for n in range(9)}


def test_a_failure_says_where_native_code_was() -> None:
    jobs = [Job("hangs", hangs, 0.5), Job("crashes", crashes, 20.0), Job("unreadable", Unreadable()), *squares(3)]
    start = time.monotonic()
    found = outcomes(jobs, PROCESSES)
    assert time.monotonic() - start < 15
    hung, crashed, unreadable = (why(found.pop(key)) for key in ("hangs", "crashes", "unreadable"))
    assert "in hangs" in hung
    assert hung.splitlines()[-1].startswith("it hung")
    assert "in crashes" in crashed
    assert "SIGSEGV(-11)" in crashed.splitlines()[-1]
    assert "no such module there" in unreadable
    assert found == {f"square {n}": {"square": n**2, "error": None} for n in range(3)}


SWEEP = """
import signal, sys
# What a shell has started in the background ignores it.
signal.signal(signal.SIGINT, signal.default_int_handler)
from pathlib import Path
from benchmarks.engines import run_all
from tests.benchmarks.test_engines import PROCESSES, squares
list(run_all(squares(4, marks=Path(sys.argv[1]), seconds=60), PROCESSES))
"""


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs /proc")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_processes_end_with_the_one_that_started_them(number: int, tmp_path: Path) -> None:
    command = [sys.executable, "-c", SWEEP, str(tmp_path)]
    with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE) as sweep:
        try:
            assert eventually(lambda: len(list(tmp_path.iterdir())) == 2)
            workers = [int(mark.suffix[1:]) for mark in tmp_path.iterdir()]
            assert all(map(alive, workers))
            sweep.send_signal(number)
            _, told = sweep.communicate(timeout=60)
        finally:
            sweep.kill()
    assert number == signal.SIGKILL or told.decode().strip().endswith("KeyboardInterrupt")
    assert eventually(lambda: not any(map(alive, workers)), 20)
    assert len(list(tmp_path.iterdir())) == 2


def test_closing_ends_the_processes(tmp_path: Path) -> None:
    running = run_all([*squares(1), *squares(3, marks=tmp_path, seconds=60)], PROCESSES)
    next(running)
    assert eventually(lambda: len(list(tmp_path.iterdir())) >= 1)
    running.close()
    workers = [int(mark.suffix[1:]) for mark in tmp_path.iterdir()]
    assert not any(map(alive, workers))


def test_ray_outlives_its_workers(on_ray: Engine, tmp_path: Path) -> None:
    killed: list[int] = []

    def kill() -> None:
        """Ends from outside the first process that is seen at work, once both are."""
        if eventually(lambda: len({mark.suffix for mark in tmp_path.iterdir()}) == 2):
            killed.append(int(max(tmp_path.iterdir(), key=lambda mark: mark.stat().st_mtime).suffix[1:]))
            os.kill(killed[0], signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    found = outcomes([*squares(12, marks=tmp_path, seconds=0.5), Job("dies", dies)], on_ray)
    killer.join()
    assert "its process died 3 times" in why(found.pop("dies"))
    assert found == {f"square {n}": {"square": n**2, "error": None} for n in range(12)}
    assert len(list(tmp_path.iterdir())) == 13, "the job of the killed process ran once more"
    assert not alive(killed[0])


def test_ray_ends_what_hangs(on_ray: Engine) -> None:
    start = time.monotonic()
    found = outcomes([Job("hangs", hangs, 0.5), Job("unreadable", Unreadable()), *squares(3)], on_ray)
    assert time.monotonic() - start < 20
    assert "it hung" in why(found.pop("hangs"))
    assert "no such module there" in why(found.pop("unreadable"))
    assert found == {f"square {n}": {"square": n**2, "error": None} for n in range(3)}


def test_ray_tells_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ValueError, match=r"pip install 'pbg-env\[ray\]'"):
        list(run_all(squares(1), Engine("ray", jobs=1)))


@pytest.mark.parametrize("address", ["localhost:1", "localhost:99999"])
def test_no_cluster_there(address: str) -> None:
    pytest.importorskip("ray")
    with pytest.raises(ConnectionError, match=r"Ray"):
        list(run_all(squares(1), Engine("ray", address=address)))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"kind": "dask"}, "no engine 'dask'; there are joblib, ray, inline"),
        ({"jobs": 0}, "jobs is 0"),
        ({"grace": 0.0}, "grace 0"),
        ({"kind": "ray", "num_gpus": -1.0}, "num_gpus is -1"),
        ({"address": "auto"}, "for the engine ray, but the engine is joblib"),
        ({"kind": "inline", "num_gpus": 1.0}, "for the engine ray, but the engine is inline"),
        ({"kind": "ray", "address": "ray://head:10001"}, "expected HOST:PORT or auto"),
    ],
)
def test_settings_out_of_place(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Engine(**settings)
