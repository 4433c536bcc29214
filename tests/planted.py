"""Plants bugs and says which of them the tests catch.

    python tests/planted.py                            every bug, one after the other
    python tests/planted.py --room analysis --jobs 2   those of a room, two at a time
    python tests/planted.py --sample 40 --seed 1       forty, drawn at random
    python tests/planted.py --list                     what would be planted, and which tests would be run
    python tests/planted.py --record map.json          run the tests once and note which functions each of them runs
    python tests/planted.py --map map.json --results verdicts.jsonl      use that, and go on where a run ended
    python tests/planted.py --in-place --limit 60      the same in seconds: plain functions are broken in forks
    python tests/planted.py --match "gap / order" --tests tests/rules/test_ties.py    one bug against chosen tests

``tests/planted_bugs.txt`` lists the bugs. Each is planted alone, in a copy of this tree; then the tests and the doctests
of its room run until one fails. A bug is caught when a test fails or the room can no longer be imported; it survives
when all pass. What exceeds the time limit counts as caught, and is counted apart. The exit code is 1 when fewer than
90 % are caught.

With a map only the tests that run the broken function are tried, the quick ones first: others cannot notice. (Compiled
kernels and what runs in other processes are not in the map; then all tests of the room are run.)
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import random
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from types import CodeType, FrameType

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from planted_in_place import InPlace, can_be_swapped, run_in_place

ROOT = Path(__file__).resolve().parents[1]
LIST = Path(__file__).with_name("planted_bugs.txt")
GOAL = 0.9
#: verdicts that are no catch
MISSED = ("survived", "undecided")
#: seconds of tests that are tried before the others
FIRST = 4.0
#: seconds of a test that is tried after the others
SLOW = 1.0

#: where the tests of a file are: the longest beginning of its path decides
TESTS = {
    "annosim/": "tests",
    "annosim/analysis/": "tests/analysis/test_scores.py tests/analysis tests/policies/test_laws.py",
    "annosim/coordinates/": "tests/test_coordinates.py tests/identifiability/test_catalogue.py",
    "annosim/coordinates/matching.py": "tests/analysis tests/test_coordinates.py",
    "annosim/data/": "tests/data",
    "annosim/designs/": "tests/test_designs.py tests/test_law.py",
    "annosim/feedback.py": "tests/test_feedback.py",
    "annosim/constraints.py": "tests/test_parameters.py tests/rules",
    "annosim/parameters.py": "tests/test_parameters.py",
    "annosim/items.py": "tests/test_items.py",
    "annosim/laws.py": "tests/test_law.py",
    "annosim/random.py": "tests/test_random.py",
    "annosim/quadrature.py": "tests/test_populations.py tests/learning/test_mixed_logit.py",
    "annosim/information/": "tests/test_information.py tests/planning",
    "annosim/identifiability/": "tests/identifiability",
    "annosim/planning/": "tests/planning",
    "annosim/policies/": "tests/policies",
    "annosim/populations/": "tests/test_populations.py tests/learning/test_gates.py",
    "annosim/rules/": "tests/rules",
    "annosim/simulation/": "tests/test_simulate.py tests/kernels",
    "annosim/trl/": "tests/trl",
    "annosim/utilities/": "tests/test_utilities.py tests/test_networks.py tests/test_adapters.py tests/policies/test_laws.py",
    "annosim/learning/": "tests/learning",
    "annosim/learning/arguments.py": "tests/learning/test_batched.py tests/learning/test_arguments.py",
    "annosim/learning/estimation.py": "tests/learning/test_batched.py tests/learning/test_maximise.py tests/learning/test_degenerate.py",
    "annosim/learning/starts.py": "tests/learning/test_arguments.py",
    "annosim/learning/structure.py": "tests/learning/test_project.py tests/learning/test_uncertainty.py tests/learning/test_parity.py tests/learning",
    "annosim/learning/problem.py": "tests/learning/test_arguments.py tests/learning",
    "annosim/learning/priors.py": "tests/learning/test_parity.py tests/learning/test_existence.py",
    "annosim/learning/result.py": "tests/learning/test_uncertainty.py tests/learning/test_existence.py tests/learning",
    "annosim/learning/existence/checks.py": "tests/learning/test_existence.py tests/learning/test_degenerate.py tests/learning/test_project.py",
    "annosim/learning/existence/connectivity.py": "tests/learning/test_existence.py",
    "annosim/learning/inference/profile.py": "tests/learning/test_profile.py",
    "annosim/learning/likelihoods/autodiff.py": "tests/learning/test_rules.py tests/learning/test_reliability.py tests/learning/test_maximise.py tests/learning",
    "annosim/learning/likelihoods/latent_classes.py": "tests/learning/test_parity.py tests/learning/test_batched.py tests/learning/test_uncertainty.py tests/learning",
    "annosim/learning/likelihoods/luce.py": "tests/learning/test_parity.py tests/learning/test_uncertainty.py tests/learning/test_accelerated.py tests/learning/test_large.py tests/learning",
    "annosim/learning/likelihoods/pair_graph.py": "tests/learning/test_projections.py tests/learning/test_accelerated.py",
    "annosim/learning/likelihoods/pair_mixture.py": "tests/learning/test_pair_mixture.py",
    "annosim/learning/likelihoods/quadrature_logit.py": "tests/learning/test_quadrature_logit.py",
    "annosim/learning/likelihoods/reference.py": "tests/learning/test_parity.py tests/learning/test_reliability.py tests/learning/test_number_of_types.py tests/learning",
    "annosim/learning/likelihoods/simulated_coordinates.py": "tests/learning/test_mixed_logit.py",
    "annosim/learning/likelihoods/simulated_draws.py": "tests/learning/test_mixed_logit.py",
    "annosim/learning/likelihoods/statistics.py": "tests/learning/test_parity.py tests/learning/test_existence.py tests/learning/test_large.py tests/learning",
    "annosim/learning/solvers/accelerated.py": "tests/learning/test_accelerated.py",
    "annosim/learning/solvers/convex.py": "tests/learning/test_projections.py",
    "annosim/learning/solvers/functions.py": "tests/learning/test_maximise.py tests/learning/test_projections.py",
    "annosim/learning/solvers/logit_loss.py": "tests/learning/test_projections.py",
    "annosim/learning/solvers/slic.py": "tests/learning/test_projections.py",
    "annosim/learning/solvers/maximise.py": "tests/learning/test_maximise.py tests/learning/test_degenerate.py tests/learning",
    "annosim/learning/solvers/settings.py": "tests/learning/test_arguments.py tests/learning/test_network_em.py",
    "annosim/learning/solvers/stacked.py": "tests/learning/test_batched.py tests/learning/test_bootstrap.py",
    "annosim/learning/batched.py": "tests/learning/test_batched.py",
    "annosim/learning/objectives.py": "tests/learning/test_objectives.py tests/learning/test_projections.py",
    "annosim/learning/penalties.py": "tests/learning/test_parity.py tests/learning/test_objectives.py tests/learning",
    "annosim/learning/existence/": "tests/learning/test_existence.py tests/learning/test_free_numbers.py",
    "annosim/learning/existence/ratings.py": "tests/learning/test_ratings.py",
    "annosim/learning/existence/attention.py": "tests/learning/test_reliability.py",
    "annosim/learning/inference/": "tests/learning/test_uncertainty.py tests/learning/test_profile.py",
    "annosim/learning/inference/resample.py": "tests/learning/test_bootstrap.py",
    "annosim/learning/likelihoods/": "tests/learning/test_parity.py tests/learning/test_uncertainty.py tests/learning",
    "annosim/learning/likelihoods/simulated.py": "tests/learning/test_mixed_logit.py",
    "annosim/learning/likelihoods/matrix_free.py": "tests/learning/test_large.py",
    "annosim/learning/number_of_types.py": "tests/learning/test_number_of_types.py",
}


@dataclass(frozen=True)
class Bug:
    """One text in one file, and what it is broken into."""

    file: str
    old: str
    new: str

    @property
    def room(self) -> str:
        """The package of the file, or its own name where it stands alone."""
        return Path(self.file).parts[1].removesuffix(".py")

    @property
    def tests(self) -> list[str]:
        """What is run: the tests of the file, then the doctests of its room."""
        start = max((beginning for beginning in TESTS if self.file.startswith(beginning)), key=len)
        return [*TESTS[start].split(), str(Path(*Path(self.file).parts[:2]))]

    @property
    def functions(self) -> list[str]:
        """The innermost named function or class around each of its lines, as ``file:qualified.name``."""
        text = (ROOT / self.file).read_text(encoding="utf-8")
        first = text[: text.index(self.old)].count("\n") + 1
        lines = range(first, first + self.old.count("\n") + 1)
        return sorted({f"{self.file}:{_function_at(compile(text, self.file, 'exec'), line)}" for line in lines})


def _function_at(code: CodeType, line: int) -> str:
    """Qualified name of the function around a line; comprehensions and lambdas belong to the one around them."""
    for inner in code.co_consts:
        if isinstance(inner, CodeType) and inner.co_firstlineno <= line <= _last_line(inner):
            return _function_at(inner, line)
    return _named(code)


def _last_line(code: CodeType) -> int:
    own = [line for _, _, line in code.co_lines() if line]
    return max([*own, *(_last_line(inner) for inner in code.co_consts if isinstance(inner, CodeType))])


def _named(code: CodeType) -> str:
    return code.co_qualname.split(".<locals>.<")[0]


@dataclass(frozen=True)
class Outcome:
    """What became of a bug, in how many seconds, and by which test.

    ``"caught"``, ``"survived"``, ``"time"`` (a test did not end) or ``"undecided"`` (the time was over before all tests).
    """

    bug: Bug
    verdict: str
    seconds: float
    by: str = ""


def bugs(path: Path = LIST) -> Iterator[Bug]:
    """The bugs of a list."""
    file = old = ""
    for line in path.read_text(encoding="utf-8").splitlines():
        mark, _, text = line.partition(" ")
        if mark == "-":
            old = text
        elif mark == "+":
            yield Bug(file, old, text)
        elif mark and mark != "#":
            file = line


def plant(bug: Bug, tree: Path) -> str:
    """Break the file in ``tree``; its text before that."""
    path = tree / bug.file
    text = path.read_text(encoding="utf-8")
    if text.count(bug.old) != 1:
        raise SystemExit(f"planted: {bug.file} has {bug.old!r} {text.count(bug.old)} times; mend {LIST.name}")
    path.write_text(text.replace(bug.old, bug.new), encoding="utf-8")
    return text


def try_bug(bug: Bug, tree: Path, limit: float, stages: list[list[str]] | None = None) -> Outcome:
    """Plant the bug in ``tree``, run its tests, stage by stage, until one fails, and mend the file again."""
    start = time.monotonic()
    whole = plant(bug, tree)
    code: int | None = 0
    text = ""
    try:
        for tests in stages or [bug.tests]:
            code, text = run_tests(tests, tree, limit - (time.monotonic() - start))
            if code != 0:
                break
    finally:
        (tree / bug.file).write_text(whole, encoding="utf-8")
    verdict = "time" if code is None else "survived" if code == 0 else "caught"
    lines = [line for line in text.splitlines() if line.startswith(("FAILED", "ERROR"))]
    return Outcome(bug, verdict, time.monotonic() - start, lines[0].split(" - ")[0] if lines else "")


def warm_up() -> None:
    """Import what every run needs and no bug touches: the runs are forked from this process."""
    import hypothesis  # noqa: F401
    import numba  # noqa: F401
    import pandas  # noqa: F401
    import scipy.optimize
    import scipy.stats  # noqa: F401
    import torch

    torch.set_num_threads(1)
    assert "annosim" not in sys.modules


def run_tests(tests: list[str], tree: Path, limit: float) -> tuple[int | None, str]:
    """Exit code and output of pytest in a fork of this process; no code when the limit was reached."""
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as out:
        sys.stdout.flush()
        child = os.fork()
        if child == 0:
            _pytest(tests, tree, out.fileno())
        code = _wait(child, limit)
        out.seek(0)
        return code, out.read()


def _wait(child: int, limit: float) -> int | None:
    """Exit code of a process; none when it had to be killed, with all that it had started."""
    end = time.monotonic() + limit
    while True:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        if time.monotonic() > end:
            with suppress(ProcessLookupError):
                os.killpg(child, signal.SIGKILL)
            os.waitpid(child, 0)
            return None
        time.sleep(0.05)


def _pytest(tests: list[str], tree: Path, out: int, recorder: Recorder | None = None) -> None:
    """Run the tests in this process and end it."""
    code = 3
    try:
        os.setsid()
        for number, file in enumerate((os.open(os.devnull, os.O_RDONLY), out, out)):
            os.dup2(file, number)
        os.chdir(tree)
        os.environ.update(PYTHONPATH=str(tree), OMP_NUM_THREADS="1", MPLBACKEND="agg")
        sys.dont_write_bytecode = True  # a file that is broken and mended within a second keeps its size and its time
        sys.path.insert(0, str(tree))
        files = list(dict.fromkeys(test.partition("::")[0] for test in tests))
        chooser = Chooser([test for test in tests if "::" in test])
        command = ["-q", "-p", "no:cacheprovider", "--durations=0", *([] if recorder else ["-x"]), *files]
        code = int(pytest.main(command, plugins=[chooser, *filter(None, [recorder])]))
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


class Chooser:
    """Leaves only the tests asked for by name, in that order; all where none is."""

    def __init__(self, names: list[str]) -> None:
        self.place = {name: number for number, name in enumerate(names)}

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        if self.place:
            items[:] = sorted((x for x in items if x.nodeid in self.place), key=lambda x: self.place[x.nodeid])


class Recorder:
    """Notes which functions of the package each test runs, caches emptied before it, and in how many seconds."""

    def __init__(self, tree: Path, path: Path) -> None:
        self.inside, self.path = str(tree / "annosim") + os.sep, path
        self.root = len(str(tree)) + 1
        self.seen: set[CodeType] = set()
        self.fixtures: dict[str, set[CodeType]] = defaultdict(set)
        self.functions: dict[str, list[str]] = defaultdict(list)
        self.seconds: dict[str, float] = {}
        self.caches: list[Callable[[], None]] = []
        self.modules: set[str] = set()

    def _call(self, frame: FrameType, _event: str, _argument: object) -> None:
        self.seen.add(frame.f_code)

    def _empty_caches(self) -> None:
        for name in [
            name for name in sys.modules if name.startswith(("annosim", "tests")) and name not in self.modules
        ]:
            self.modules.add(name)
            values = [*vars(sys.modules[name]).values()]
            for value in [*values, *(x for one in values if isinstance(one, type) for x in vars(one).values())]:
                clear = getattr(value, "cache_clear", None)
                if callable(clear) and str(getattr(value, "__module__", "")).startswith(("annosim", "tests")):
                    self.caches.append(clear)
        for clear in self.caches:
            clear()

    @pytest.hookimpl(wrapper=True)
    def pytest_fixture_setup(self, fixturedef, request):
        before, self.seen = self.seen, set()
        try:
            return (yield)
        finally:
            if fixturedef.scope != "function":
                self.fixtures[fixturedef.argname] |= self.seen
            self.seen |= before

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item):
        self._empty_caches()
        self.seen, start = set(), time.perf_counter()
        threading.settrace(self._call)
        sys.settrace(self._call)
        try:
            return (yield)
        finally:
            sys.settrace(None)
            threading.settrace(None)  # type: ignore[arg-type]
            self.seconds[item.nodeid] = round(time.perf_counter() - start, 3)
            for name in getattr(item, "fixturenames", ()):
                self.seen |= self.fixtures.get(name, set())
            ran = {code for code in self.seen if code.co_filename.startswith(self.inside)}
            for name in {f"{code.co_filename[self.root :]}:{_named(code)}" for code in ran}:
                self.functions[name].append(item.nodeid)

    def pytest_sessionfinish(self) -> None:
        before = json.loads(self.path.read_text()) if self.path.exists() else {"seconds": {}, "functions": {}}
        for name, tests in self.functions.items():
            before["functions"][name] = sorted({*before["functions"].get(name, []), *tests})
        before["seconds"].update(self.seconds)
        self.path.write_text(json.dumps(before))


def record(tests: list[str], path: Path) -> int | None:
    """Run the tests in this tree and add to the map which functions each of them runs."""
    child = os.fork()
    if child == 0:
        _pytest(tests, ROOT, os.dup(1), Recorder(ROOT, path))
    return _wait(child, 1e9)


def stages_of(bug: Bug, seen: dict) -> list[list[str]]:
    """Tests that run the broken function, in two stages: the quick ones, then the others; all of the room if none does."""
    seconds = seen["seconds"]
    found = {test for name in bug.functions for test in seen["functions"].get(name, []) if test in seconds}
    if not found:
        return [bug.tests]
    ordered = sorted(found, key=lambda test: seconds[test])
    spent, quick = 0.0, 0
    while quick < len(ordered) and spent + seconds[ordered[quick]] <= FIRST:
        spent, quick = spent + seconds[ordered[quick]], quick + 1
    return [part for part in (ordered[:quick], ordered[quick:]) if part]


def copy_tree(target: Path) -> Path:
    """A copy of what the tests need."""
    ignore = shutil.ignore_patterns(".git", "runs", "*.egg-info", ".mypy_cache", ".ruff_cache")
    shutil.copytree(ROOT, target, ignore=ignore)
    return target


def try_all(
    chosen: list[Bug], jobs: int, limit: float, stages: Callable[[Bug], list[list[str]]] = lambda bug: [bug.tests]
) -> Iterator[Outcome]:
    """Outcomes in the order of the bugs, ``jobs`` at a time, each in a copy of the tree."""
    warm_up()
    with tempfile.TemporaryDirectory(prefix="planted-") as folder:
        fork = multiprocessing.get_context("fork")
        trees = fork.SimpleQueue()
        for number in range(jobs):
            trees.put(copy_tree(Path(folder) / str(number)))
        with fork.Pool(jobs, _take_tree, (trees,)) as pool:
            yield from pool.imap(_try, [(bug, limit, stages(bug)) for bug in chosen])


def _take_tree(trees: multiprocessing.SimpleQueue) -> None:
    global _tree
    _tree = trees.get()


def _try(task: tuple[Bug, float, list[list[str]]]) -> Outcome:
    bug, limit, stages = task
    return try_bug(bug, _tree, limit, stages)


def table(outcomes: list[Outcome]) -> str:
    """Caught and survived by room."""
    rooms = sorted({outcome.bug.room for outcome in outcomes})
    lines = [f"{'room':<16} {'bugs':>5} {'caught':>7} {'by time':>8} {'survived':>9} {'share':>6}"]
    for room in [*rooms, "all"]:
        own = [outcome.verdict for outcome in outcomes if room in ("all", outcome.bug.room)]
        missed = sum(verdict in MISSED for verdict in own)
        share = 1 - missed / len(own)
        lines.append(
            f"{room:<16} {len(own):>5} {own.count('caught'):>7} {own.count('time'):>8} {missed:>9} {share:>6.0%}"
        )
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> int:
    """The command."""
    asked = _parse(arguments)
    chosen = _chosen(asked)
    if asked.list:
        print("\n".join(f"{bug.file}\n  - {bug.old}\n  + {bug.new}\n  {' '.join(bug.tests)}" for bug in chosen))
        return 0
    if asked.record:
        warm_up()
        return (
            record(asked.tests or sorted({test for bug in chosen for test in bug.tests}), asked.record.resolve()) or 0
        )
    known = _verdicts(asked.results)
    outcomes = [known[bug] for bug in chosen if bug in known]
    seen = json.loads(asked.map.read_text()) if asked.map else {"seconds": {}, "functions": {}}
    stages = (lambda bug: [asked.tests]) if asked.tests else lambda bug: stages_of(bug, seen)
    todo = [bug for bug in chosen if bug not in known]

    def note(outcome: Outcome) -> None:
        outcomes.append(outcome)
        _keep(outcome, asked.results)
        print(f"{outcome.verdict:<9} {outcome.seconds:5.0f} s  {outcome.bug.file}  {outcome.by}", flush=True)
        if outcome.verdict in MISSED:
            print(f"    - {outcome.bug.old}\n    + {outcome.bug.new}", flush=True)

    plain = [bug for bug in todo if asked.in_place and can_be_swapped(ROOT / bug.file, bug.old, bug.new)]
    rest = [bug for bug in todo if bug not in plain]
    for outcome in try_all(rest, asked.jobs, asked.limit, stages) if rest else ():
        note(outcome)
    try_in_place(plain, asked, seen, note)  # last: it imports the package into this process
    print(table(outcomes))
    missed = sum(outcome.verdict in MISSED for outcome in outcomes)
    return int(1 - missed / len(outcomes) < GOAL)


def try_in_place(bugs: list[Bug], asked: argparse.Namespace, seen: dict, note: Callable[[Outcome], None]) -> None:
    """Bugs of plain functions, planted into forks of one process that has imported the tests of all of them."""
    if not bugs:
        return
    warm_up()
    tests = asked.tests or sorted({test for bug in bugs for test in bug.tests})
    seconds = dict(seen["seconds"])

    def order(bug: Bug, names: list[str]) -> list[str]:
        """Those that run the function, and what the map does not know; without it doctests, tests of the file, others."""
        known = [name for part in stages_of(bug, seen) for name in part if name in names]
        stem, own = Path(bug.file).stem, bug.tests

        def place(name: str) -> tuple[bool, int, float]:
            file = name.partition("::")[0]
            at = min((i for i, test in enumerate(own) if file == test or file.startswith(test + "/")), default=99)
            first = 0 if file == bug.file else 1 if f"test_{stem}" in file else 2 + at
            return seconds.get(name, 0.0) > SLOW, first, seconds.get(name, 0.0)

        fresh = [name for name in names if place(name)[1] < 99 and not (known and name in seen["seconds"])]
        return known + sorted(fresh, key=place)

    plugin = InPlace(ROOT, bugs, order, seconds, asked.limit, lambda *row: note(Outcome(*row)))
    run_in_place(tests, ROOT, plugin)


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--room", action="append", help="a room, as rules or analysis; may be repeated")
    parser.add_argument("--bugs", type=Path, default=LIST, help="another list, in the form of planted_bugs.txt")
    parser.add_argument("--match", help="only bugs with this text in them")
    parser.add_argument("--jobs", type=int, default=1, help="how many at a time")
    parser.add_argument("--sample", type=int, help="so many bugs, drawn at random")
    parser.add_argument("--seed", type=int, default=0, help="of the sample")
    parser.add_argument("--limit", type=float, default=900.0, help="seconds for one bug")
    parser.add_argument("--tests", nargs="+", help="run these in place of the room's")
    parser.add_argument("--record", type=Path, help="run the tests of the rooms and add to this map; plant nothing")
    parser.add_argument("--map", type=Path, help="what --record wrote: run only tests that run the broken function")
    parser.add_argument("--results", type=Path, help="add verdicts to this file; do not retry bugs caught there")
    parser.add_argument(
        "--in-place", action="store_true", help="plant into forks of one process: quicker, for bugs in plain functions"
    )
    parser.add_argument("--list", action="store_true", help="print the bugs and run nothing")
    asked = parser.parse_args(arguments)
    rooms = {bug.room for bug in bugs(asked.bugs)}
    if not {*(asked.room or ())} <= rooms:
        parser.error(f"--room: no bug there; the rooms are {', '.join(sorted(rooms))}")
    return asked


def _chosen(asked: argparse.Namespace) -> list[Bug]:
    chosen = [bug for bug in bugs(asked.bugs) if not asked.room or bug.room in asked.room]
    if asked.match:
        chosen = [bug for bug in chosen if asked.match in bug.old + bug.new]
    if asked.sample is not None and asked.sample < len(chosen):
        chosen = random.Random(asked.seed).sample(chosen, asked.sample)
    if not chosen:
        raise SystemExit("planted: no bug chosen")
    return chosen


def _verdicts(path: Path | None) -> dict[Bug, Outcome]:
    """Bugs that an earlier run caught."""
    if path is None or not path.exists():
        return {}
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    found = [Outcome(Bug(**row.pop("bug")), **row) for row in rows]
    return {one.bug: one for one in found if one.verdict not in MISSED}


def _keep(outcome: Outcome, path: Path | None) -> None:
    if path is not None:
        with path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(asdict(outcome)) + "\n")


if __name__ == "__main__":
    raise SystemExit(main())
