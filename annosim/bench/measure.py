"""Paired measurements: implementations take turns, so that a busy machine slows all of them; ratios are per round."""

from __future__ import annotations

import os
import platform
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TypedDict

import numpy as np
from numpy.typing import NDArray

from annosim.errors import ArgumentError
from annosim.results import Result, versions

__all__ = ["Implementation", "Benchmark", "Measured", "Options", "machine", "measure"]


@dataclass(frozen=True)
class Options:
    """Options of every benchmark.

    Attributes:
        rounds: how often each implementation runs.
        size: scales the work (1 is the documented size).
        threads: of compiled code; all cores by default.
        device: where tensors live.
    """

    rounds: int = 7
    size: float = 1.0
    threads: int | None = None
    device: str = "cpu"


@dataclass(frozen=True)
class Implementation:
    """One way to do the work.

    Attributes:
        name: for the table.
        run: does it once.
        units: how much work that is.
        skipped: why it cannot run here; empty when it can.
        peak: bytes of memory at the highest, over the processes that did the work; asked after the last round.
        processor: seconds of processor time so far, of all processes that do the work; this process's by default.
        warm_up: runs first, uncounted, in the place of ``run``: the same on little data, where the work is long.
    """

    name: str
    run: Callable[[], object]
    units: float
    skipped: str = ""
    peak: Callable[[], float] | None = None
    processor: Callable[[], float] = time.process_time
    warm_up: Callable[[], object] | None = None


@dataclass(frozen=True)
class Benchmark:
    """Several ways to do the same work; the first is ours.

    Attributes:
        title: for the table.
        unit: what is counted ("pairs").
        implementations: the first is ours.
        targets: implementation -> how many times faster we want to be.
        growth: the implementations are the same work at different sizes, and the exponent of the cost is what is asked.
    """

    title: str
    unit: str
    implementations: Sequence[Implementation]
    targets: dict[str, float] = field(default_factory=dict)
    growth: bool = False


@dataclass(frozen=True, eq=False, repr=False)
class Measured(Result):
    """What :func:`measure` found.

    Attributes:
        benchmark: what ran.
        rates: implementation -> units a second in every round, ``(rounds,)``.
        core_rates: the same per second of processor time, which a busy machine changes less.
        skipped: implementation -> why it did not run.
        first: implementation -> seconds of the uncounted first run (compilation and caches).
        peaks: implementation -> bytes of memory at the highest, where it can say.
    """

    benchmark: Benchmark
    rates: dict[str, NDArray[np.float64]]
    core_rates: dict[str, NDArray[np.float64]]
    skipped: dict[str, str]
    first: dict[str, float]
    peaks: dict[str, float] = field(default_factory=dict)

    def ratio(self, name: str) -> NDArray[np.float64]:
        """Our rate over a implementation's, round by round."""
        return self.rates[self.benchmark.implementations[0].name] / self.rates[name]

    def exponents(self) -> NDArray[np.float64]:
        """Slope of log processor time on log units over the implementations, round by round ``(rounds,)``: 1 is linear."""
        able = [c for c in self.benchmark.implementations if c.name in self.core_rates]
        units = np.log([c.units for c in able])
        seconds = np.log([c.units / self.core_rates[c.name] for c in able])  # (implementations, rounds)
        away = units - units.mean()
        return away @ seconds / (away @ away)

    def _title(self) -> str:
        return self.benchmark.title

    def _lines(self) -> list[tuple[str, object]]:
        ours = self.benchmark.implementations[0].name
        lines: list[tuple[str, object]] = []
        for name, rate in self.rates.items():
            core = np.median(self.core_rates[name])
            text = f"{np.median(rate):9.3g} {self.benchmark.unit}/s  [{rate.min():.3g} .. {rate.max():.3g}]"
            text += f"  {core:.3g} per core-second"
            text += f"  peak {self.peaks[name] / 2**30:.2f} GiB" if name in self.peaks else ""
            if name != ours and not self.benchmark.growth:
                r = self.ratio(name)
                per_core = np.median(self.core_rates[ours] / self.core_rates[name])
                text += f"  we: {np.median(r):.3g} x  [{r.min():.3g} .. {r.max():.3g}]"
                text += f", {per_core:.3g} x per core"
                if name in self.benchmark.targets:
                    want = self.benchmark.targets[name]
                    text += f"  target {want:g} x: {'met' if np.median(r) >= want else 'missed'}"
            lines.append((name, text))
        if self.benchmark.growth:
            e = self.exponents()
            lines.append(("cost grows as", f"units to the power {np.median(e):.2f}  [{e.min():.2f} .. {e.max():.2f}]"))
        return lines + [(name, f"skipped: {why}") for name, why in self.skipped.items()]

    def record(self) -> dict[str, object]:
        """Plain numbers, for a file."""
        ours = self.benchmark.implementations[0].name
        return {
            "title": self.benchmark.title,
            "unit": self.benchmark.unit,
            "rates": {name: rate.tolist() for name, rate in self.rates.items()},
            "core_rates": {name: rate.tolist() for name, rate in self.core_rates.items()},
            "ratios": {name: self.ratio(name).tolist() for name in self.rates if name != ours},
            "targets": self.benchmark.targets,
            "exponents": self.exponents().tolist() if self.benchmark.growth else None,
            "skipped": self.skipped,
            "first_run_seconds": self.first,
            "peak_bytes": self.peaks,
            "settings": self.settings,
        }


def measure(benchmark: Benchmark, rounds: int = 7) -> Measured:
    """Run the implementations in turns.

    Each first runs once, uncounted: compilation, caches and imports are no throughput.

    Args:
        benchmark: what runs.
        rounds: how often; medians and ranges are over these.

    Raises:
        ArgumentError: no rounds, or our own implementation is skipped.

    Example:
        >>> sums = Benchmark("sums", "numbers", [Implementation("numpy", lambda: np.arange(1000).sum(), 1000)])
        >>> measure(sums, rounds=2).rates["numpy"].shape
        (2,)
    """
    if rounds < 1:
        raise ArgumentError(f"measure(rounds={rounds}): at least 1")
    if benchmark.implementations[0].skipped:
        raise ArgumentError(f"{benchmark.title}: {benchmark.implementations[0].skipped}")
    able = [c for c in benchmark.implementations if not c.skipped]
    first = {c.name: _seconds(c, c.warm_up)[0] for c in able}
    seconds = np.array(
        [[_seconds(c) for c in able] for _ in range(rounds)]
    )  # (rounds, implementations, wall and processor)
    return Measured(
        benchmark=benchmark,
        rates={c.name: c.units / seconds[:, i, 0] for i, c in enumerate(able)},
        core_rates={c.name: c.units / seconds[:, i, 1] for i, c in enumerate(able)},
        skipped={c.name: c.skipped for c in benchmark.implementations if c.skipped},
        first=first,
        peaks={c.name: c.peak() for c in able if c.peak is not None},
        settings={"rounds": rounds, **machine(), **versions()},
    )


def _seconds(implementation: Implementation, run: Callable[[], object] | None = None) -> tuple[float, float]:
    """Wall time and processor time of one run."""
    core, wall = implementation.processor(), time.perf_counter()
    (run or implementation.run)()
    wall = time.perf_counter() - wall
    return max(wall, 1e-9), max(implementation.processor() - core, 1e-9)


class Machine(TypedDict):
    """Where a benchmark ran."""

    processor: str
    cores: int


def machine() -> Machine:
    """Processor and number of cores that this process may use."""
    cores = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
    name = platform.processor() or platform.machine()
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as info:
            name = next((line.split(":", 1)[1].strip() for line in info if line.startswith("model name")), name)
    except OSError:
        pass  # not Linux: the name of the architecture will do
    return {"processor": name, "cores": cores}
