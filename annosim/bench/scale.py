"""Rows a second and peak memory on one and two workers: simulating to shards, and fitting them without holding them.

``--size 1`` is a million rows, ``--size 1000`` a billion (``--rounds 1`` does). What one and two workers do is the same
work, so their ratio is the speed-up; what is lost is the processor that both share with the scheduler, and the time that
one task takes on its way (the last table). Core-seconds are those of the workers and of this process together: on a busy
machine they tell what the work costs, and the wall how long one waits for it.
"""

from __future__ import annotations

import atexit
import functools
import logging
import resource
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from annosim.bench.measure import Benchmark, Implementation, Options
from annosim.extras import library

if TYPE_CHECKING:
    from annosim.io.shards import Shards

__all__ = ["benchmarks"]

WORKERS = (2, 1)
TASKS = 500
#: units of the runs that are not counted
_WARM = 1_000_000


def benchmarks(options: Options) -> list[Benchmark]:
    """Simulation, a fit from counts, a fit by passes over shards, and tasks that do nothing."""
    rows = max(64, round(1e6 * options.size))
    library("distributed", "dask")  # first, since it ends its clusters, aloud, before what was registered earlier
    stack = ExitStack()
    atexit.register(_close, stack)
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="annosim-scale-")))
    engines = {n: _Engine(n, stack) for n in WORKERS}

    @functools.cache
    def shards(rows: int, panel: bool) -> Shards:
        return _simulated(folder / f"{rows}-{panel}", rows, panel)

    def simulate(rows: int) -> None:
        with tempfile.TemporaryDirectory(dir=folder) as out:
            _simulated(f"file://{out}/votes", rows, panel=False)

    return [
        _on_each(f"{rows:.3g} pairs of 20 items to shards", "rows", simulate, rows, engines),
        _on_each(
            f"Bradley-Terry of {rows:.3g} pairs in shards",
            "rows",
            lambda rows: _fit_pairs(shards(rows, False)),
            rows,
            engines,
            lambda: shards(rows, False),
        ),
        _on_each(
            f"one evaluation of two latent classes, {rows:.3g} answers in shards",
            "rows",
            lambda rows: _pass_over(shards(rows, True)),
            rows,
            engines,
            lambda: shards(rows, True),
        ),
        _on_each("tasks that do nothing", "tasks", _nothing, TASKS, engines),
    ]


def _close(stack: ExitStack) -> None:
    logging.disable(logging.CRITICAL)  # clusters speak while they end, whatever level their loggers had
    stack.close()


class _Engine:
    """A Dask cluster of so many processes on this machine, started when it is first used."""

    def __init__(self, workers: int, stack: ExitStack):
        self.workers, self.stack = workers, stack

    @functools.cached_property
    def engine(self) -> Any:
        from annosim.execution.current import local_cluster

        made = local_cluster(self.workers)
        self.stack.callback(made.close)
        return made

    def run(self, work: Callable[[], object]) -> None:
        import annosim as an

        with an.cluster(self.engine.client):
            work()

    def peak(self) -> float:
        """Largest resident memory of a worker, all workers together."""
        return float(sum(self.engine.client.run(_peak).values()))

    def processor(self) -> float:
        """Processor time of the workers and of this process, in which the scheduler runs."""
        return time.process_time() + float(sum(self.engine.client.run(time.process_time).values()))


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _on_each(
    title: str,
    unit: str,
    work: Callable[[int], object],
    units: int,
    engines: dict[int, _Engine],
    prepare: Callable[[], object] = lambda: None,
) -> Benchmark:
    def warm_up() -> None:
        prepare()
        work(min(units, _WARM))

    made = [
        Implementation(
            f"{n} worker{'s' if n > 1 else ''}",
            functools.partial(one.run, functools.partial(work, units)),
            units,
            peak=one.peak,
            processor=one.processor,
            warm_up=functools.partial(one.run, warm_up),
        )
        for n, one in engines.items()
    ]
    return Benchmark(title, unit, made)


def _simulated(out: Path | str, rows: int, panel: bool) -> Shards:
    """Pairs of 20 items, or panels of ten answers by two types who weigh two features."""
    import annosim as an

    items, questions = an.Items.normal(20, 2, seed=0), 10 if panel else 1
    types = [an.Annotator(an.Linear([w, 0.5]), an.Luce()) for w in (1.5, -1.0)]
    people: an.Population = an.Mixture(types, weights=[0.6, 0.4]) if panel else types[0]
    design = an.Design(items, annotators=-(-rows // questions), questions=questions)
    each = _WARM // 8 if rows <= _WARM else None  # of the runs that are not counted every worker gets a share
    return an.simulate(people, design, seed=0, out=out, shard_rows=each)


def _fit_pairs(shards: Shards) -> None:
    import annosim as an

    an.fit(an.Annotator(an.Tabular(20), an.Luce()), shards)


def _pass_over(shards: Shards) -> None:
    """Value, gradient and curvature of the likelihood at one point, each shard read, prepared and summed."""
    import annosim as an
    from annosim.learning.likelihoods.summed import SummedClasses
    from annosim.learning.problem import Problem

    model = an.Mixture([an.Annotator(an.Linear([s, 0.0]), an.Luce()) for s in (1.0, -1.0)])
    likelihood = SummedClasses(Problem(model, shards=shards))
    likelihood.evaluate(likelihood.start(model))


def _nothing(tasks: int) -> None:
    from annosim.execution.current import active
    from annosim.execution.tasks import run_tasks

    executor = active()
    assert executor is not None
    run_tasks(max, 0, range(tasks), executor)
