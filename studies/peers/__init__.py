"""Which laws do the estimators that people use obey? choix, evalica, crowd-kit, scikit-learn and annosim itself.

Each estimator of each package is run through the checks that apply to it. What a package documents as its own choice (a
penalty, a score instead of a likelihood) is declared with a tag, so that only laws that it claims are held against it.
Every failure comes with data that reproduce it in a few lines. Estimators that are not installed are skipped, with the
reason, and their claims are inconclusive.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.colors import ListedColormap
from matplotlib.patches import Patch

from annosim import plotting
from annosim.study import CONTROL, STUDY_ADDS, Cell, Preset, Statement, Study, at_least, equal, every, true

from .defects import disconnected, iterations_do_nothing, losers_first, noisy_gradient, two_items, undefeated
from .estimators import OURS, PEERS, SLOW, laws, not_installed


def cells(fast):
    """One cell per estimator, and one per known defect."""
    for package, (_, peers) in PEERS.items():
        for number, peer in enumerate(peers):
            if fast and peer.name in SLOW:
                continue
            name = f"{package} {peer.name} {number}"
            yield Cell(laws, {"package": package, "number": number, "fast": fast}, name, skip=not_installed)
    for number, name in enumerate(OURS):
        yield Cell(laws, {"package": "annosim", "number": number, "fast": fast}, f"annosim {name}")
    yield Cell(noisy_gradient, {}, "crowd-kit's gradient", skip=lambda: not_installed("crowdkit"))
    yield Cell(iterations_do_nothing, {}, "crowd-kit's iterations", skip=lambda: not_installed("crowdkit"))
    yield Cell(losers_first, {}, "evalica's order", skip=lambda: not_installed("evalica"))
    yield Cell(two_items, {}, "evalica's two items", skip=lambda: not_installed("evalica"))
    for package in ("evalica", "choix", "annosim"):
        yield Cell(undefeated, {"package": package}, f"undefeated {package}", skip=not_installed)
    for package in ("choix", "annosim"):
        yield Cell(disconnected, {"package": package}, f"disconnected {package}", skip=not_installed)


def _table(found):
    return found.frame("laws")


def claims(fast):
    """What the peers' own pages promise, and what this project promises of itself."""
    yield Statement(
        "own-estimators",
        "annosim's own estimators obey every law that applies to them",
        "this project",
        lambda found: equal(int((_ours(found)["verdict"] == "failed").sum()), 0, within=0),
        whose=CONTROL,
        figure="law_matrix",
    )
    yield Statement(
        "crowdkit-gradient",
        "crowd-kit's NoisyBradleyTerry declares a gradient that is not that of its log-likelihood",
        "crowd-kit 1.4.2, noisy_bt.py",
        lambda found: at_least(found.get("noisy_gradient", "gap"), 1e-3),
        whose=STUDY_ADDS,
    )
    yield Statement(
        "crowdkit-iterations",
        "crowd-kit's BradleyTerry stops after two steps, whatever n_iter says",
        "crowd-kit 1.4.2, bradley_terry.py (p_old and p_new are one array)",
        lambda found: every(
            [
                equal(found.get("iterations_do_nothing", "moved"), 0.0, within=0),
                at_least(found.get("iterations_do_nothing", "error"), 0.01),
            ],
            labels=("moved between 10 and 100,000 steps", "still off by"),
        ),
        whose=STUDY_ADDS,
    )
    yield Statement(
        "evalica-undefeated",
        "when one item is undefeated, evalica's Bradley-Terry gives every item one score (its tolerance) in silence",
        "evalica 0.4.2",
        lambda found: every(
            [
                true(found.get("undefeated", "outcome", package="evalica") == "returned", "returned"),
                equal(found.get("undefeated", "spread", package="evalica"), 0.0, within=1e-6),
            ],
            labels=("returned in silence", "spread of the scores"),
        ),
        whose=STUDY_ADDS,
    )
    yield Statement(
        "evalica-eigen",
        "evalica's eigen gives its highest score to the item that loses most, where its other methods give it to the "
        "winner (it takes the left eigenvector of the matrix of wins)",
        "evalica 0.4.2, _pairwise.py: matrix.T @ scores",
        lambda found: every(
            [
                true(found.get("losers_first", "best")["eigen"] == 2, "the loser first"),
                true(
                    {v for k, v in found.get("losers_first", "best").items() if k != "eigen"} == {0}, "the winner first"
                ),
            ],
            labels=("eigen: the loser first", "the others: the winner first"),
        ),
        whose=STUDY_ADDS,
    )
    yield Statement(
        "evalica-newman",
        "evalica's newman does not converge when the comparison graph is bipartite (two items, an even ring); the "
        "result's iterations, at their limit, are the only sign",
        "evalica 0.4.2",
        lambda found: every(
            [
                equal(found.get("two_items", "difference"), 0.0, within=1e-6),
                at_least(found.get("two_items", "truth"), 1.0),
            ],
            labels=("difference of the two items", "that of the estimate"),
        ),
        whose=STUDY_ADDS,
    )
    yield Statement(
        "choix-unidentified",
        "choix's opt_pairwise, its penalty switched off, returns finite numbers where no estimate exists (the manual "
        "recommends alpha > 0 on sparse data; nothing says that the data were)",
        "choix 0.4.1",
        lambda found: every(
            [
                true(found.get("undefeated", "outcome", package="choix") == "returned", "returned"),
                true(found.get("disconnected", "outcome", package="choix") == "returned", "returned"),
            ],
            labels=("an undefeated item", "items that never met"),
        ),
        whose=STUDY_ADDS,
    )
    yield Statement(
        "annosim-refuses",
        "annosim refuses both, and names the items at fault",
        "annosim's own promise",
        lambda found: every(
            [
                true(found.get("undefeated", "outcome", package="annosim") == "raised", "raised"),
                true(found.get("disconnected", "outcome", package="annosim") == "raised", "raised"),
            ],
            labels=("an undefeated item", "items that never met"),
        ),
        whose=CONTROL,
    )
    if not fast:
        yield Statement(
            "consistency",
            "every maximum-likelihood estimator that converges has an error that falls as n^-1/2",
            "asymptotic theory",
            lambda found: _consistent(found),
            whose=CONTROL,
        )


def _ours(found):
    table = _table(found)
    return table[table["package"] == "annosim"]


def _consistent(found):
    table = _table(found)
    rows = table[(table["check"] == "check_consistency") & (table["verdict"] != "not_applicable")]
    rows = rows[rows["package"].isin(["choix", "sklearn", "annosim"])]
    return equal(int((rows["verdict"] == "failed").sum()), 0, within=0)


#: colours of the key figure
HOLDS, FAILS = 0, 1


def law_matrix(found):
    """Estimator by law: blue holds, orange fails, white does not apply; the failures' data are in the table below. Laws that
    apply to no estimator of this run have no column."""
    table = _table(found)
    codes = {"passed": 1.0, "failed": 0.0}
    applies = table[table["verdict"].isin(list(codes))]
    order = [check for check in dict.fromkeys(table["check"]) if (applies["check"] == check).any()]
    grid = table.assign(code=table["verdict"].map(codes)).pivot_table(
        index="estimator", columns="check", values="code", aggfunc="first", dropna=False
    )
    grid = grid.reindex(index=list(dict.fromkeys(table["estimator"])), columns=order).astype(float)
    fig, axes = plotting.figure(width=0.42 * len(order) + 6.5, height=0.34 * len(grid) + 3.6)
    ax = axes[0, 0]
    ax.set_title("laws (columns) held against estimators (rows)", loc="left", pad=34)
    colours = ListedColormap([plotting.colour(FAILS), plotting.colour(HOLDS)])
    ax.imshow(np.ma.masked_invalid(grid.to_numpy()), cmap=colours, vmin=0, vmax=1, aspect="auto")
    ax.set_xticks(range(len(order)), [c.removeprefix("check_").replace("_", " ") for c in order], rotation=90)
    ax.set_yticks(range(len(grid)), [name if len(name) < 52 else name[:50] + ".." for name in grid.index])
    ax.set_xticks(np.arange(-0.5, len(order)), minor=True)
    ax.set_yticks(np.arange(-0.5, len(grid)), minor=True)
    ax.grid(False, which="major")
    ax.grid(which="minor", color="white", linewidth=1.5)
    ax.tick_params(which="both", length=0)
    words = ((HOLDS, "holds"), (FAILS, "fails"))
    ax.legend(
        handles=[Patch(color=plotting.colour(i), label=f"law {word}") for i, word in words],
        loc="lower left",
        bbox_to_anchor=(0, 1.0),
        ncols=2,
        frameon=False,
    )
    return fig


#: check -> what its failure means, in a maintainer's words
GROUPS = {
    "check_refuses_undefeated": "silent where no estimate exists",
    "check_refuses_disconnected": "silent where no estimate exists",
    "check_refuses_separable": "silent where no estimate exists",
    "check_refuses_nan": "silent on empty or NaN input",
    "check_deterministic": "depends on global random state",
    "check_leaves_global_generators_alone": "depends on global random state",
}


def failures(found):
    """Every failure with the data that show it, and the command that repeats it."""
    table = _table(found)
    failed = table[table["verdict"] == "failed"]
    failed = failed.assign(what=[GROUPS.get(check, "another estimate than the law's") for check in failed["check"]])
    return failed[["estimator", "version", "check", "what", "evidence", "call"]].reset_index(drop=True)


def matrix(found) -> pd.DataFrame:
    """Number of laws that hold, fail and do not apply, per estimator."""
    table = _table(found)
    counts = table.groupby(["estimator", "version", "verdict"], sort=False).size().unstack(fill_value=0)
    return counts.reset_index()


def finding(found, claims):
    """How many estimators break a law, how, and whether annosim's own do."""
    table, verdict = _table(found), {claim.id: claim.verdict for claim in claims}
    asked = table[table["verdict"].isin(["passed", "failed"])]
    peers = asked[asked["package"] != "annosim"]
    broken = peers[peers["verdict"] == "failed"]
    silent = sum(GROUPS.get(check, "").startswith("silent where") for check in broken["check"])
    mine = asked[asked["package"] == "annosim"]
    own = (
        f"annosim's own {mine['estimator'].nunique()} obey all that apply ({len(mine)} checks)"
        if verdict["own-estimators"] == "supported"
        else f"annosim's own break {int((mine['verdict'] == 'failed').sum())} of {len(mine)}"
    )
    refuses = (
        "annosim refuses such data and names the items at fault"
        if verdict["annosim-refuses"] == "supported"
        else "annosim does not always refuse such data either"
    )
    return (
        f"Most laws hold for most estimators: of {peers['estimator'].nunique()} of other packages, "
        f"{broken['estimator'].nunique()} break at least one that applies to them, in {len(broken)} of {len(peers)} checks. "
        f"{silent} of these failures are finite numbers without a warning where no estimate exists, which most manuals neither "
        f"promise nor exclude; {refuses}, and {own}."
    )


STUDY = Study(
    name="peers",
    title="Which laws do the estimators that people use obey?",
    paper="choix 0.4.1, evalica 0.4.2, crowd-kit 1.4.2, scikit-learn; laws as in annosim.checks",
    presets={"quick": Preset(1.0, {"fast": True}), "paper": Preset(6.0, {"fast": False})},
    cells=cells,
    claims=claims,
    figures=[law_matrix],
    tables=[matrix, failures],
    finding=finding,
)
