"""What this machine gives: time, memory, and the rate at which it multiplies matrices."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import torch

Call = Callable[[], object]

PATIENCE = 4


def shortest(calls: Mapping[str, Call], seconds: float, device: torch.device) -> dict[str, float]:
    """Seconds that the quickest repetition of each took.

    After a warm-up the calls take three turns, each of a third of the time, so that whatever else the machine does hits
    all alike. A call that has taken `PATIENCE` times its time takes no further turn; was that the warm-up, it counts.
    """
    warm_up = {name: _seconds(call, device) for name, call in calls.items()}
    most = PATIENCE * seconds
    best = {name: took if took >= most else math.inf for name, took in warm_up.items()}
    spent = dict(warm_up)
    for _ in range(3):
        for name, call in calls.items():
            end = spent[name] + seconds / 3
            while spent[name] < min(end, most) or math.isinf(best[name]):
                took = _seconds(call, device)
                best[name], spent[name] = min(best[name], took), spent[name] + took
    return best


def _seconds(call: Call, device: torch.device) -> float:
    _finish(device)
    start = time.perf_counter()
    call()
    _finish(device)
    return time.perf_counter() - start


def _finish(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def matrix_rate(device: torch.device, dtype: torch.dtype, seconds: float, side: int) -> float:
    """Floating-point operations a second of a product of matrices (side, side), two for each multiply–add."""
    before = torch.backends.cuda.matmul.fp32_precision
    # On CUDA convolutions round float32 unless told otherwise, products of matrices do not.
    torch.backends.cuda.matmul.fp32_precision = torch.backends.cudnn.conv.fp32_precision  # type: ignore[attr-defined]
    try:
        factors = torch.rand(2, side, side, device=device).to(dtype)
        best = shortest({"product": lambda: factors[0] @ factors[1]}, seconds, device)
    finally:
        torch.backends.cuda.matmul.fp32_precision = before
    return 2.0 * side**3 / best["product"]


def peak_memory(device: torch.device) -> float | None:
    """Bytes that this process, on CUDA its tensors, took at most; None where the system does not say."""
    if device.type == "cuda":
        return float(torch.cuda.max_memory_allocated(device))
    # resource.getrusage would count what the process that started this one took before.
    return _linux("/proc/self/status", "VmHWM")


def free_memory(device: torch.device) -> float:
    """Bytes that are free on the device and beside it, infinite where the system does not say."""
    host = _linux("/proc/meminfo", "MemAvailable")
    host = math.inf if host is None else host
    return min(host, torch.cuda.mem_get_info(device)[0]) if device.type == "cuda" else host


def _linux(file: str, entry: str) -> float | None:
    """An entry in kilobytes of one of Linux's tables, in bytes."""
    lines = Path(file).read_text().splitlines() if Path(file).is_file() else []
    return next((1024.0 * int(line.split()[1]) for line in lines if line.startswith(entry + ":")), None)
