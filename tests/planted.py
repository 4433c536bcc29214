"""Plants bugs and says which of them the tests catch.

    python tests/planted.py                            every bug, one after the other
    python tests/planted.py --room analysis --jobs 2   those of a room, two at a time
    python tests/planted.py --sample 40 --seed 1       forty, drawn at random
    python tests/planted.py --list                     what would be planted, and which tests would be run

``tests/planted_bugs.txt`` lists the bugs. Each is planted alone, in a copy of this tree; then the tests and the doctests
of its room run until one fails. A bug is caught when a test fails or the room can no longer be imported; it survives
when all pass. What exceeds the time limit counts as caught, and is counted apart. The exit code is 1 when fewer than
90 % are caught.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from queue import Queue
from subprocess import DEVNULL, STDOUT, Popen, TimeoutExpired

ROOT = Path(__file__).resolve().parents[1]
LIST = Path(__file__).with_name("planted_bugs.txt")
GOAL = 0.9

#: where the tests of a file are: the longest beginning of its path decides
TESTS = {
    "annosim/": "tests",
    "annosim/analysis/": "tests/analysis",
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
    "annosim/utilities/": "tests/test_utilities.py tests/test_networks.py tests/test_adapters.py",
    "annosim/learning/": "tests/learning",
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


@dataclass(frozen=True)
class Outcome:
    """What became of a bug: ``"caught"``, ``"survived"`` or ``"time"``; in how many seconds, and by which test."""

    bug: Bug
    verdict: str
    seconds: float
    by: str = ""


def bugs() -> Iterator[Bug]:
    """The bugs of the list."""
    file = old = ""
    for line in LIST.read_text(encoding="utf-8").splitlines():
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


def try_bug(bug: Bug, tree: Path, limit: float) -> Outcome:
    """Plant the bug in ``tree``, run its tests and mend the file again."""
    start = time.monotonic()
    whole = plant(bug, tree)
    try:
        code, text = run_tests(bug.tests, tree, limit)
    finally:
        (tree / bug.file).write_text(whole, encoding="utf-8")
    verdict = "time" if code is None else "survived" if code == 0 else "caught"
    lines = [line for line in text.splitlines() if line.startswith(("FAILED", "ERROR"))]
    return Outcome(bug, verdict, time.monotonic() - start, lines[0].split(" - ")[0] if lines else "")


def run_tests(tests: list[str], tree: Path, limit: float) -> tuple[int | None, str]:
    """Exit code and output of pytest; no code when the limit was reached."""
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", "--durations=0", *tests]
    environment = {**os.environ, "PYTHONPATH": str(tree), "OMP_NUM_THREADS": "1", "MPLBACKEND": "agg"}
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as out:
        run = Popen(
            command, cwd=tree, env=environment, stdin=DEVNULL, stdout=out, stderr=STDOUT, start_new_session=True
        )
        try:
            code: int | None = run.wait(limit)
        except TimeoutExpired:
            code = None
        finally:
            if run.poll() is None:
                os.killpg(run.pid, signal.SIGKILL)
                run.wait()
        out.seek(0)
        return code, out.read()


def copy_tree(target: Path) -> Path:
    """A copy of what the tests need."""
    ignore = shutil.ignore_patterns(".git", "runs", "*.egg-info", ".mypy_cache", ".ruff_cache")
    shutil.copytree(ROOT, target, ignore=ignore)
    return target


def try_all(chosen: list[Bug], jobs: int, limit: float) -> Iterator[Outcome]:
    """Outcomes in the order of the bugs, ``jobs`` at a time, each in a copy of the tree."""
    with tempfile.TemporaryDirectory(prefix="planted-") as folder, ThreadPoolExecutor(jobs) as pool:
        trees: Queue[Path] = Queue()
        for number in range(jobs):
            trees.put(copy_tree(Path(folder) / str(number)))

        def one(bug: Bug) -> Outcome:
            tree = trees.get()
            try:
                return try_bug(bug, tree, limit)
            finally:
                trees.put(tree)

        yield from pool.map(one, chosen)


def table(outcomes: list[Outcome]) -> str:
    """Caught and survived by room."""
    rooms = sorted({outcome.bug.room for outcome in outcomes})
    lines = [f"{'room':<16} {'bugs':>5} {'caught':>7} {'by time':>8} {'survived':>9} {'share':>6}"]
    for room in [*rooms, "all"]:
        own = [outcome.verdict for outcome in outcomes if room in ("all", outcome.bug.room)]
        missed = own.count("survived")
        share = 1 - missed / len(own)
        lines.append(
            f"{room:<16} {len(own):>5} {own.count('caught'):>7} {own.count('time'):>8} {missed:>9} {share:>6.0%}"
        )
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> int:
    """The command."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--room", action="append", help="a room, as rules or analysis; may be repeated")
    parser.add_argument("--jobs", type=int, default=1, help="how many at a time")
    parser.add_argument("--sample", type=int, help="so many bugs, drawn at random")
    parser.add_argument("--seed", type=int, default=0, help="of the sample")
    parser.add_argument("--limit", type=float, default=900.0, help="seconds for one bug")
    parser.add_argument("--list", action="store_true", help="print the bugs and run nothing")
    asked = parser.parse_args(arguments)
    chosen = [bug for bug in bugs() if not asked.room or bug.room in asked.room]
    if not chosen:
        parser.error(f"--room: no bug there; the rooms are {', '.join(sorted({bug.room for bug in bugs()}))}")
    if asked.sample is not None and asked.sample < len(chosen):
        chosen = random.Random(asked.seed).sample(chosen, asked.sample)
    if asked.list:
        print("\n".join(f"{bug.file}\n  - {bug.old}\n  + {bug.new}\n  {' '.join(bug.tests)}" for bug in chosen))
        return 0
    outcomes = []
    for outcome in try_all(chosen, asked.jobs, asked.limit):
        outcomes.append(outcome)
        print(f"{outcome.verdict:<9} {outcome.seconds:5.0f} s  {outcome.bug.file}  {outcome.by}", flush=True)
        if outcome.verdict == "survived":
            print(f"    - {outcome.bug.old}\n    + {outcome.bug.new}", flush=True)
    print(table(outcomes))
    survived = sum(outcome.verdict == "survived" for outcome in outcomes)
    return int(1 - survived / len(outcomes) < GOAL)


if __name__ == "__main__":
    raise SystemExit(main())
