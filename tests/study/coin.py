"""A trivial study for the tests of the runner: the share of heads of a coin, with one cell that fails on request.

``COIN_LOG`` names a file to which every cell that really runs appends its name; ``COIN_SLEEP`` makes it slow.
"""

from __future__ import annotations

import os
import time

import numpy as np

from annosim import plotting
from annosim.study import (
    STUDY_ADDS,
    Cell,
    Preset,
    Statement,
    Study,
    at_least,
    binomial_interval,
    equal,
    every,
    paper_says,
)


def model(share, seed):
    """The world: a coin with this share of heads."""
    return {"tosses": np.random.default_rng(seed).random(400) < share}


def heads(tosses, share, replicate, fail=False):
    """What is measured on it."""
    if os.environ.get("COIN_LOG"):
        with open(os.environ["COIN_LOG"], "a", encoding="utf-8") as log:
            log.write(f"{share:g}/{replicate}\n")
    time.sleep(float(os.environ.get("COIN_SLEEP", "0")))
    if fail:
        raise ValueError("the coin stands\non its edge")
    return {"heads": int(tosses.sum()), "tosses": len(tosses), "running": np.cumsum(tosses) / np.arange(1, 401)}


def spread(coins):
    """A cell that needs the result of another one."""
    return {"range": float(coins["running"].max() - coins["running"].min())}


def impossible(share):
    """Skip shares that no coin has."""
    return share > 1, f"a share of {share:g} is above one"


def cells(shares, replicates, edge=()):
    """The cells of a preset."""
    tossed = [
        Cell((model, heads), {"share": s, "fail": s in edge}, f"coin {s:g}", replicates, skip=impossible)
        for s in shares
    ]
    return [*tossed, *(Cell(spread, {}, f"spread of {c.title}", replicates, needs={"coins": c}) for c in tossed)]


def pooled(found, share):
    """Share of heads over all replicates with its exact interval."""
    counts = found.frame("heads", share=share)
    return binomial_interval(int(counts["heads"].sum()), int(counts["tosses"].sum()), 0.999999)


def claims(shares):
    """Each coin has its share; and all of them together."""
    for share in shares:
        yield Statement(
            f"share-{share:g}",
            f"a coin with share {share:g} shows heads so often",
            "Bernoulli 1713",
            lambda found, share=share: equal(pooled(found, share), share, within=0.2),
            expected=f"{share:g} within 0.2",
            whose=paper_says("the whole book"),
        )
    yield Statement(
        "all",
        "every coin shows heads",
        "the tests",
        lambda found: every([at_least(pooled(found, s), 0.01) for s in shares]),
        whose=STUDY_ADDS,
    )


def running_share(found):
    """Share of heads after so many tosses, one line per coin (replicate 0)."""
    fig, axes = plotting.figure()
    for i, row in enumerate(r for r in found.finished("heads") if r["replicate"] == 0):
        plotting.line(axes[0, 0], np.arange(1, 401), row["running"], f"{row['share']:g}", i)
    plotting.label(axes[0, 0], "tosses", "share of heads")
    plotting.legend(axes[0, 0])
    return fig


STUDY = Study(
    name="coin",
    title="Coins show heads as often as they should",
    paper="Bernoulli, Ars conjectandi, 1713",
    presets={
        "quick": Preset(0.05, {"shares": [0.3, 0.6], "replicates": 3}),
        "edge": Preset(0.05, {"shares": [0.3, 0.6, 2.0], "replicates": 2, "edge": [0.6]}),
    },
    cells=cells,
    claims=claims,
    figures=[running_share],
)
