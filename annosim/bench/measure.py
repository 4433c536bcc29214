"""Paired measurements: contenders take turns, so that a busy machine slows them alike; ratios are taken per round."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from annosim.errors import ArgumentError
from annosim.results import Result, versions

__all__ = ["Contender", "Contest", "Measured", "Options", "machine", "measure"]


@dataclass(frozen=True)
class Options:
    """What every benchmark is told.

    Attributes:
        rounds: how often each contender runs.
        size: scales the work (1 is the documented size).
        threads: of compiled code; all cores by default.
        device: where tensors live.
    """

    rounds: int = 7
    size: float = 1.0
    threads: int | None = None
    device: str = "cpu"


@dataclass(frozen=True)
class Contender:
    """One way to do the work.

    Attributes:
        name: for the table.
        run: does it once.
        units: how much work that is.
        skipped: why it cannot run here; empty when it can.
    """

    name: str
    run: Callable[[], Any]
    units: float
    skipped: str = ""


@dataclass(frozen=True)
class Contest:
    """Several ways to do the same work; the first is ours.

    Attributes:
        title: for the table.
        unit: what is counted ("pairs").
        contenders: the first is ours.
        targets: contender -> how many times faster we want to be.
        growth: the contenders are the same work at different sizes, and the exponent of the cost is what is asked.
    """

    title: str
    unit: str
    contenders: Sequence[Contender]
    targets: dict[str, float] = field(default_factory=dict)
    growth: bool = False


@dataclass(frozen=True, eq=False, repr=False)
class Measured(Result):
    """What :func:`measure` found.

    Attributes:
        contest: what ran.
        rates: contender -> units a second in every round, ``(rounds,)``.
        core_rates: the same per second of processor time: what a busy machine tells of an idle one.
        skipped: contender -> why it did not run.
        first: contender -> seconds of the uncounted first run (compilation and caches).
    """

    contest: Contest
    rates: dict[str, np.ndarray]
    core_rates: dict[str, np.ndarray]
    skipped: dict[str, str]
    first: dict[str, float]

    def ratio(self, name: str) -> np.ndarray:
        """Our rate over a contender's, round by round."""
        return self.rates[self.contest.contenders[0].name] / self.rates[name]

    def exponents(self) -> np.ndarray:
        """Slope of log processor time on log units over the contenders, round by round ``(rounds,)``: 1 is linear."""
        able = [c for c in self.contest.contenders if c.name in self.core_rates]
        units = np.log([c.units for c in able])
        seconds = np.log([c.units / self.core_rates[c.name] for c in able])  # (contenders, rounds)
        away = units - units.mean()
        return away @ seconds / (away @ away)

    def _title(self) -> str:
        return self.contest.title

    def _lines(self) -> list[tuple[str, Any]]:
        ours = self.contest.contenders[0].name
        lines: list[tuple[str, Any]] = []
        for name, rate in self.rates.items():
            core = np.median(self.core_rates[name])
            text = f"{np.median(rate):9.3g} {self.contest.unit}/s  [{rate.min():.3g} .. {rate.max():.3g}]"
            text += f"  {core:.3g} per core-second"
            if name != ours and not self.contest.growth:
                r = self.ratio(name)
                per_core = np.median(self.core_rates[ours] / self.core_rates[name])
                text += f"  we: {np.median(r):.3g} x  [{r.min():.3g} .. {r.max():.3g}], {per_core:.3g} x per core"
                if name in self.contest.targets:
                    want = self.contest.targets[name]
                    text += f"  target {want:g} x: {'met' if np.median(r) >= want else 'missed'}"
            lines.append((name, text))
        if self.contest.growth:
            e = self.exponents()
            lines.append(("cost grows as", f"units to the power {np.median(e):.2f}  [{e.min():.2f} .. {e.max():.2f}]"))
        return lines + [(name, f"skipped: {why}") for name, why in self.skipped.items()]

    def record(self) -> dict[str, Any]:
        """Plain numbers, for a file."""
        ours = self.contest.contenders[0].name
        return {
            "title": self.contest.title,
            "unit": self.contest.unit,
            "rates": {name: rate.tolist() for name, rate in self.rates.items()},
            "core_rates": {name: rate.tolist() for name, rate in self.core_rates.items()},
            "ratios": {name: self.ratio(name).tolist() for name in self.rates if name != ours},
            "targets": self.contest.targets,
            "exponents": self.exponents().tolist() if self.contest.growth else None,
            "skipped": self.skipped,
            "first_run_seconds": self.first,
            "settings": self.settings,
        }


def measure(contest: Contest, rounds: int = 7) -> Measured:
    """Run the contenders in turns.

    Each first runs once, uncounted: compilation, caches and imports are no throughput.

    Args:
        contest: what runs.
        rounds: how often; medians and ranges are over these.

    Raises:
        ArgumentError: no rounds, or our own contender is skipped.

    Example:
        >>> race = Contest("sums", "numbers", [Contender("numpy", lambda: np.arange(1000).sum(), 1000)])
        >>> measure(race, rounds=2).rates["numpy"].shape
        (2,)
    """
    if rounds < 1:
        raise ArgumentError(f"measure(rounds={rounds}): at least 1")
    if contest.contenders[0].skipped:
        raise ArgumentError(f"{contest.title}: {contest.contenders[0].skipped}")
    able = [c for c in contest.contenders if not c.skipped]
    first = {c.name: _seconds(c)[0] for c in able}
    seconds = np.array([[_seconds(c) for c in able] for _ in range(rounds)])  # (rounds, contenders, wall and processor)
    return Measured(
        contest=contest,
        rates={c.name: c.units / seconds[:, i, 0] for i, c in enumerate(able)},
        core_rates={c.name: c.units / seconds[:, i, 1] for i, c in enumerate(able)},
        skipped={c.name: c.skipped for c in contest.contenders if c.skipped},
        first=first,
        settings={"rounds": rounds, **machine(), **versions()},
    )


def _seconds(contender: Contender) -> tuple[float, float]:
    """Wall time and the process's processor time of one run."""
    wall, core = time.perf_counter(), time.process_time()
    contender.run()
    return max(time.perf_counter() - wall, 1e-9), max(time.process_time() - core, 1e-9)


def machine() -> dict[str, Any]:
    """Processor and number of cores that this process may use."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    name = platform.processor() or platform.machine()
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as info:
            name = next((line.split(":", 1)[1].strip() for line in info if line.startswith("model name")), name)
    except OSError:
        pass  # not Linux: the name of the architecture will do
    return {"processor": name, "cores": cores}
