"""Working memory is stated, and the formulas are held against the measured peak."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest

import annosim as an

PROGRAM = """
import sys, threading, time
import numpy as np
import annosim as an

def resident():
    return int(open("/proc/self/statm").read().split()[1]) * 4096

def make(case, scale):
    rng = np.random.default_rng(0)
    if case == "linear":
        items = an.Items(features=rng.normal(size=(20_000, 6)))
        truth = an.Annotator(an.Linear(rng.normal(size=6)), an.Luce())
        return truth, an.simulate(truth, an.Design(items, menu_size=3, annotators=int(200_000 * scale)), seed=0)
    n = {"matrix": 1200, "menus": 200, "classes": 30, "large": 300}[case]
    u = 0.3 * rng.normal(size=n)
    one = an.Annotator(an.Tabular(u), an.Luce())
    if case == "matrix":
        return one, an.simulate(one, an.Design(an.Items(n=n), annotators=int(50_000 * scale)), seed=0)
    if case == "menus":
        design = an.Design(an.Items(n=n), menu_size=8, feedback="ranking", annotators=int(200_000 * scale))
        return one, an.simulate(one, design, seed=0)
    two = an.Mixture([one, an.Annotator(an.Tabular(-u), an.Luce())], [0.6, 0.4])
    design = an.Design(an.Items(n=n), menu_size=4, feedback="ranking", annotators=int(4000 * scale), questions=20)
    return two, an.simulate(two, design, seed=0)

case = sys.argv[1]
prior = an.priors.Gaussian(1.0)  # the path by a matrix, whatever the data
model, data = make(case, 0.02)
an.fit(model, data, prior=prior)  # compiled before it is measured
model, data = make(case, 1.0)
data.annotator_ids
before, peak, end = resident(), 0, False
def watch():
    global peak
    while not end:
        peak = max(peak, resident())
        time.sleep(0.0005)
threading.Thread(target=watch, daemon=True).start()
found = an.fit(model, data, prior=prior)
end = True
print(peak - before, found.memory)
"""


@pytest.mark.slow
@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="resident memory is read from /proc (Linux)")
@pytest.mark.parametrize("case", ["matrix", "menus", "linear", "classes", "large"])
def test_formulas_against_the_measured_peak(case):
    """Within a factor of two either way, of tens of megabytes."""
    environment = os.environ | {"MALLOC_MMAP_THRESHOLD_": "65536", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-W", "ignore", "-c", PROGRAM, case]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=300, check=True)
    measured, stated = map(int, done.stdout.split())
    assert measured > 5e6 and 0.5 < stated / measured < 2.0


def table(n, rule=None):
    return an.Annotator(an.Tabular(n), rule or an.Luce())


def answers(rows, menu_size=2, n=10, annotators=None):
    design = an.Design(an.Items(n=n), menu_size=menu_size, annotators=rows)
    return an.simulate(table(np.linspace(-0.5, 0.5, n).tolist()), design, seed=0)


@pytest.mark.parametrize(
    "model",
    [
        table(10),
        table(10, an.Davidson(delta=an.free(1.0))),
        an.Mixture([table(np.arange(10) / 9), table(-np.arange(10) / 9)]),
    ],
)
def test_memory_is_stated_and_grows_with_the_answers_and_not_with_their_square(model):
    few, many = (an.fit(model, answers(rows)) for rows in (500, 2000))
    assert few.memory > 0 and "beside the data" in repr(few)
    assert few.memory <= many.memory <= 4.2 * few.memory


def test_repeated_menus_cost_no_more():
    """Ten times the answers to the same few menus: the same distinct orders, and a little more for the rows."""
    model = an.Mixture([table(np.arange(4) / 2), table(-np.arange(4) / 2)])
    few, many = (an.fit(model, answers(rows, menu_size=3, n=4)) for rows in (400, 4000))
    assert many.memory - few.memory < 60 * 3600
