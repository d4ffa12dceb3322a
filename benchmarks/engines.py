"""Where the searches of a benchmark run: in this process, in processes of this machine, or on the machines of Ray.

A job may fail, die or hang: it ends with a result or with the reason why there is none, and all others go on.
"""

from __future__ import annotations

import faulthandler
import os
import re
import signal
import socket
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import closing
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

from joblib import cpu_count
from joblib.externals.loky import ProcessPoolExecutor
from joblib.externals.loky.process_executor import BrokenProcessPool, TerminatedWorkerError

ROOT = Path(__file__).resolve().parent.parent

Kind = Literal["joblib", "ray", "inline"]

ONE_THREAD = {f"{library}_NUM_THREADS": "1" for library in ("OMP", "OPENBLAS", "MKL", "BLIS", "NUMBA", "NUMEXPR")} | {
    "VECLIB_MAXIMUM_THREADS": "1"
}

RAY_RETRIES = 2

_LOCAL_STORE = 100 * 2**20
_BEGUN = "begun"

Result = dict[str, Any]
Stops = tuple[type[Exception], ...]


@dataclass(frozen=True)
class Job:
    """Something to run.

    Attributes:
        key: its name.
        work: gives the result, plain data. It is pickled: a function of a module, or a `functools.partial` of one.
        limit: seconds that it may take, None for no limit. The work is to keep it by itself; what does not, since it
            hangs in native code, loses its process an engine's `grace` later.
    """

    key: str
    work: Callable[[], Result]
    limit: float | None = None


@dataclass(frozen=True)
class Failure:
    """Why a job has no result: the last line in short, before it a traceback where there is one."""

    why: str


class _Death(Failure):
    """The process of the job died, which may have been another's fault."""


Outcome = Result | Failure
Ended = tuple[Job, Outcome | Exception]


@dataclass(frozen=True)
class Engine:
    """How jobs are run.

    Args:
        kind: `joblib`, processes of this machine; `ray`, a Ray of this machine or a cluster, with the same checkout at
            the same place on every node; `inline`, one job after another in this process, where none can be ended.
        jobs: how many at once; None for as many as there are CPUs.
        address: of a cluster that this machine belongs to, `HOST:PORT` or `auto`; None starts a Ray of this machine
            alone, and ends it.
        num_gpus: GPUs that Ray reserves for each job, or a part of one.
        grace: seconds beyond its limit after which the process of a job is ended.

    Raises:
        ValueError: a number out of its range, or a setting that is Ray's without Ray.
    """

    kind: Kind = "joblib"
    jobs: int | None = None
    address: str | None = None
    num_gpus: float = 0.0
    grace: float = 30.0

    def __post_init__(self) -> None:
        if self.kind not in _ENGINES:
            raise ValueError(f"no engine {self.kind!r}; there are {', '.join(_ENGINES)}")
        if self.jobs is not None and self.jobs < 1:
            raise ValueError(f"jobs is {self.jobs}, expected at least 1")
        if self.num_gpus < 0 or self.grace <= 0:
            raise ValueError(f"num_gpus is {self.num_gpus} and grace {self.grace}, expected at least 0 and above 0")
        if self.kind != "ray" and (self.address is not None or self.num_gpus):
            raise ValueError(f"address and num_gpus are for the engine ray, but the engine is {self.kind}")
        if self.address is not None and not re.fullmatch(r"auto|[^/]+:\d+", self.address):
            raise ValueError(f"address is {self.address!r}, expected HOST:PORT or auto, from a machine of the cluster")


def run_all(jobs: Sequence[Job], engine: Engine, stop_on: Stops = ()) -> Generator[tuple[Job, Outcome], None, None]:
    """Runs jobs; closing the generator, as Ctrl-C does, ends the processes at once.

    A job whose process died runs again, since the fault may have been another's that took all memory: with joblib once,
    at the end and with nothing beside it, with Ray up to `RAY_RETRIES` times. One that hung does not.

    Args:
        jobs: what to run.
        engine: where.
        stop_on: exceptions that concern all jobs.

    Yields:
        Each job with its result, or with the reason why there is none, in the order in which they end.

    Raises:
        Exception: one of `stop_on`, where a job raised it; the others are ended.
        ValueError: Ray is not installed, or has not the GPUs.
        ConnectionError: no cluster at the address.
    """
    if not jobs:
        return
    with closing(_ENGINES[engine.kind](jobs, engine, stop_on)) as all_ended:
        for job, outcome in all_ended:
            if isinstance(outcome, Exception):
                raise outcome
            yield job, outcome


def _attempt(work: Callable[[], Result], stop_on: Stops) -> Outcome | Exception:
    try:
        return work()
    except stop_on as error:
        return error
    except (Exception, SystemExit):
        return Failure(traceback.format_exc())


def _hung(job: Job) -> str:
    return f"it hung: its process had to be ended, since it did not stop at its limit of {job.limit:g} s"


def _inline(jobs: Sequence[Job], engine: Engine, stop_on: Stops) -> Generator[Ended, None, None]:
    del engine
    for job in jobs:
        yield job, _attempt(job.work, stop_on)


def _joblib(jobs: Sequence[Job], engine: Engine, stop_on: Stops) -> Generator[Ended, None, None]:
    suspects = []
    with closing(_processes(jobs, engine.jobs or cpu_count(), engine.grace, stop_on)) as all_ended:
        for job, outcome in all_ended:
            if isinstance(outcome, _Death):
                suspects.append(job)
            else:
                yield job, outcome
    with closing(_processes(suspects, 1, engine.grace, stop_on)) as all_ended:
        for job, outcome in all_ended:
            yield job, Failure(f"{outcome.why}, when it ran alone too") if isinstance(outcome, _Death) else outcome


def _processes(jobs: Sequence[Job], count: int, grace: float, stop_on: Stops) -> Generator[Ended, None, None]:
    waiting = deque(jobs)
    running: dict[Future[Any], tuple[Job, _Process]] = {}
    with TemporaryDirectory() as folder:
        processes = [_Process(Path(folder) / f"{number}.log") for number in range(min(count, len(jobs)))]
        idle = list(processes)
        try:
            while waiting or running:
                while waiting and idle:
                    job, process = waiting.popleft(), idle.pop()
                    running[process.start(job, grace, stop_on)] = job, process
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    job, process = running.pop(future)
                    outcome = process.outcome(job, future)
                    idle.append(process)
                    yield job, outcome
        finally:
            for process in processes:
                process.end()


class _Process:
    """A process for one job after another, replaced when it dies.

    It is a pool of one: the death of a worker takes all others of its pool along, and tells not whose fault it was.

    Args:
        log: file that says, after its death, where it was.
    """

    def __init__(self, log: Path) -> None:
        self._log = log
        self._pool = _pool()

    def start(self, job: Job, grace: float, stop_on: Stops) -> Future[Outcome | Exception]:
        seconds = None if job.limit is None else job.limit + grace
        future: Future[Outcome | Exception] = self._pool.submit(_watched, job.work, stop_on, seconds, self._log)
        return future

    def outcome(self, job: Job, future: Future[Outcome | Exception]) -> Outcome | Exception:
        error = future.exception()
        if error is None:
            return future.result()
        if isinstance(error, BrokenProcessPool):
            self.end()
            self._pool = _pool()
        if not isinstance(error, TerminatedWorkerError):
            return Failure("".join(traceback.format_exception(error)))
        where = self._log.read_text(encoding="utf-8", errors="replace") if self._log.exists() else ""
        if where.startswith("Timeout"):
            return Failure(where + _hung(job))
        return _Death(f"{where}its process died{_exit(error)}")

    def end(self) -> None:
        self._pool.shutdown(kill_workers=True)


def _pool() -> Any:
    return ProcessPoolExecutor(max_workers=1, env=ONE_THREAD, initializer=_follow)


def _exit(error: BaseException) -> str:
    """How the process of a pool died, such as " of SIGSEGV(-11)", where the system tells."""
    codes = re.search(r"exit codes of the workers are {(.*)}", str(error))
    if codes is None:
        return ""
    return f" of {codes[1]}" + (", which the system sends when memory is short" if "SIGKILL" in codes[1] else "")


def _follow() -> None:
    """Makes this process leave Ctrl-C to its parent, and end when that is gone."""
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1.0)
        os._exit(1)

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=watch, daemon=True).start()


def _watched(work: Callable[[], Result], stop_on: Stops, seconds: float | None, log: Path) -> Outcome | Exception:
    """An attempt that ends this process after so many seconds, even from native code that holds the interpreter."""
    with log.open("w", encoding="utf-8") as file:
        faulthandler.enable(file)
        if seconds is not None:
            faulthandler.dump_traceback_later(seconds, exit=True, file=file)
        try:
            return _attempt(work, stop_on)
        finally:
            faulthandler.cancel_dump_traceback_later()
            faulthandler.enable()


@dataclass
class _Task:
    """A job on Ray: how often its process died, and when it began, None while it waits for a CPU."""

    job: Job
    deaths: int = 0
    begun: float | None = None

    def hangs(self, grace: float) -> bool:
        limit = self.job.limit
        return limit is not None and self.begun is not None and time.monotonic() > self.begun + limit + grace


def _ray(jobs: Sequence[Job], engine: Engine, stop_on: Stops) -> Generator[Ended, None, None]:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        ray: Any = import_module("ray")
    except ModuleNotFoundError as error:
        raise ValueError("the engine ray needs Ray: pip install 'pbg-env[ray]'") from error
    try:
        _connect(ray, engine)
        yield from _tasks(ray, jobs, engine, stop_on)
    finally:
        ray.shutdown()


def _connect(ray: Any, engine: Engine) -> None:
    path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    common = {
        "runtime_env": {"env_vars": ONE_THREAD | {"PYTHONPATH": path}},
        "logging_level": "ERROR",
        "log_to_driver": False,
    }
    if engine.address is not None:
        _call(engine.address)
        ray.init(engine.address, **common)
        return
    # Nobody outside needs to reach it, and results are small.
    ray.init(
        "local",
        num_cpus=engine.jobs or cpu_count(),
        include_dashboard=False,
        object_store_memory=_LOCAL_STORE,
        _node_ip_address="127.0.0.1",
        **common,
    )
    gpus = ray.cluster_resources().get("GPU", 0)
    if gpus < engine.num_gpus:
        raise ValueError(f"num_gpus is {engine.num_gpus:g}, but Ray finds {gpus:g} on this machine")


def _call(address: str) -> None:
    """Raises ConnectionError where nobody answers; Ray would try for minutes."""
    if address == "auto":
        return
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host, int(port)), 10.0).close()
    except (OSError, OverflowError) as error:
        raise ConnectionError(f"no cluster of Ray at {address}: {error}") from error


def _tasks(ray: Any, jobs: Sequence[Job], engine: Engine, stop_on: Stops) -> Iterator[Ended]:
    # Retries are counted here: those of Ray would not restart the clock of a limit, nor end when memory is short.
    remote = ray.remote(num_cpus=1, num_gpus=engine.num_gpus, max_retries=0, num_returns="streaming")(_announced)
    waiting = deque(map(_Task, jobs))
    running: dict[Any, _Task] = {}
    while waiting or running:
        # Twice the CPUs, so that a cluster that grows on demand sees some.
        most = engine.jobs or 2 * int(ray.cluster_resources().get("CPU", 1))
        while waiting and len(running) < most:
            task = waiting.popleft()
            running[remote.remote(task.job.work, stop_on)] = task
        for stream in ray.wait(list(running), timeout=1.0)[0]:
            task, outcome = running[stream], _received(ray, stream)
            if outcome == _BEGUN:
                task.begun = time.monotonic()
                continue
            del running[stream]
            if isinstance(outcome, _Death) and task.deaths < RAY_RETRIES:
                waiting.append(replace(task, deaths=task.deaths + 1, begun=None))
            else:
                yield task.job, outcome
        for stream in [stream for stream, task in running.items() if task.hangs(engine.grace)]:
            if not ray.wait([stream], timeout=0)[0]:
                ray.cancel(stream, force=True)
                job = running.pop(stream).job
                yield job, Failure(_hung(job))


def _announced(work: Callable[[], Result], stop_on: Stops) -> Iterator[Any]:
    """Says that it has begun, since a task of Ray may wait long for its CPU, then attempts the work."""
    yield _BEGUN
    yield _attempt(work, stop_on)


def _received(ray: Any, stream: Any) -> Any:
    """What a task has sent next, or why it will send no more."""
    try:
        return ray.get(next(stream))
    except ray.exceptions.RayTaskError as error:
        return Failure(f"{error}\nRay could not run it; expected the same checkout at {ROOT} on every node")
    except (ray.exceptions.RayError, StopIteration) as error:
        return _Death(f"{error}\nits process died {RAY_RETRIES + 1} times, the last time of {type(error).__name__}")


_ENGINES: dict[str, Callable[[Sequence[Job], Engine, Stops], Generator[Ended, None, None]]] = {
    "joblib": _joblib,
    "ray": _ray,
    "inline": _inline,
}
