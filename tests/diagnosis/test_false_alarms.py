"""How often a page raises an alarm where nothing is wrong; the 200 data sets behind the figure in the documentation.

``python tests/diagnosis/test_false_alarms.py`` measures all of them (a few minutes).
"""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binom, binomtest

import annosim as an

#: kind of data: first seed and number of data sets
SIMULATED = {"pairs": (0, 120), "ties": (1000, 50), "rankings": (2000, 30)}


def clean(kind: str, seed: int) -> an.PreferenceData:
    """Annotators of one taste, by Luce's or Davidson's rule, about texts whose length says nothing."""
    rng = np.random.default_rng(seed)
    n, people, questions = int(rng.integers(4, 13)), int(rng.integers(20, 80)), int(rng.integers(6, 40))
    utility = an.Tabular((rng.normal(size=n) * rng.uniform(0.3, 1.2)).tolist())
    rule = an.Davidson(delta=float(rng.uniform(0.2, 1))) if kind == "ties" else an.Luce()
    items = an.Items(n=n, texts=["x" * int(size) for size in rng.integers(5, 200, n)])
    menu_size, feedback = (3, "ranking") if kind == "rankings" else (2, "choice")
    design = an.Design(items, menu_size=menu_size, feedback=feedback, annotators=people, questions=questions)
    return an.simulate(an.Annotator(utility, rule), design, seed=seed)


def alarms(kind: str, first: int, count: int) -> int:
    """Pages on which some test rejects."""
    found = (an.diagnose(clean(kind, seed)) for seed in range(first, first + count))
    return sum(any(one.p_value is not None for one in page.alarms) for page in found)


@pytest.mark.slow
@pytest.mark.parametrize("kind", list(SIMULATED))
def test_a_page_of_clean_data_rarely_raises_an_alarm(kind):
    """20 pages a kind, at most 5 % each (false alarm of this test: 1e-7)."""
    assert alarms(kind, SIMULATED[kind][0], 20) <= binom.ppf(1 - 1e-7, 20, 0.05)


if __name__ == "__main__":
    raised = {kind: alarms(kind, *span) for kind, span in SIMULATED.items()}
    total, pages = sum(raised.values()), sum(count for _, count in SIMULATED.values())
    interval = binomtest(total, pages).proportion_ci()
    print(f"{raised}: {total} of {pages} pages, 95 % interval {interval.low:.4f} to {interval.high:.4f}")
