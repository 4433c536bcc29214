"""Which laws do the estimators that people use obey? choix, evalica, crowd-kit, scikit-learn and annosim itself.

Each estimator of each package is run through the checks that apply to it. What a package documents as its own choice (a
penalty, a score instead of a likelihood) is declared with a tag, so that only laws that it claims are held against it.
Every failure comes with data that reproduce it in a few lines. Estimators that are not installed are skipped, with the
reason, and their claims are inconclusive.
"""

from __future__ import annotations

import importlib

import numpy as np
import pandas as pd

import annosim as an
from annosim import plotting
from annosim.checks import adapt, check_estimator
from annosim.study import Cell, Preset, Statement, Study, at_least, equal, every, true

REGULARISED, SCORE, SEQUENTIAL = "regularised", "score", "sequential"

# package -> (import name, [(callable, kind, tags, settings)])
PEERS = {
    "choix": (
        "choix",
        [
            *[
                (f"{how}_pairwise", "pairwise", [], {"alpha": 0.0} if "lsr" in how else {})
                for how in ("lsr", "ilsr", "mm")
            ],
            ("ilsr_pairwise", "pairwise", [REGULARISED], {"alpha": 0.01}),
            ("opt_pairwise", "pairwise", [], {"alpha": 0.0, "tol": 1e-9}),
            ("ep_pairwise", "pairwise", [REGULARISED], {"alpha": 0.1}),
            ("rank_centrality", "pairwise", [], {"alpha": 0.0}),
            *[(f"{how}_rankings", "ranking", [], {}) for how in ("lsr", "ilsr", "mm")],
            ("opt_rankings", "ranking", [], {"alpha": 0.0, "tol": 1e-9}),
            *[(f"{how}_top1", "choice", [], {}) for how in ("lsr", "ilsr", "mm")],
            ("opt_top1", "choice", [], {"alpha": 0.0, "tol": 1e-9}),
        ],
    ),
    "evalica": (
        "evalica",
        [
            ("bradley_terry", "pairwise", [], {"tolerance": 1e-10, "limit": 100_000}),
            ("bradley_terry", "pairwise", [], {}),
            ("newman", "pairwise", [], {"tolerance": 1e-10, "limit": 100_000}),
            ("counting", "pairwise", [SCORE], {}),
            ("average_win_rate", "pairwise", [SCORE], {}),
            ("eigen", "pairwise", [SCORE], {}),
            ("pagerank", "pairwise", [SCORE], {}),
            ("elo", "pairwise", [SCORE, SEQUENTIAL], {}),
        ],
    ),
    "crowdkit": (
        "crowdkit.aggregation",
        [
            ("BradleyTerry", "pairwise", [], {"n_iter": 100_000, "tol": 1e-12}),
            ("NoisyBradleyTerry", "pairwise", [REGULARISED], {"n_iter": 30}),
        ],
    ),  # fmt: skip
    "sklearn": (
        "sklearn.linear_model",
        [
            ("LogisticRegression", "pairwise", [], {"C": float("inf")}),
            ("LogisticRegression", "pairwise", [], {"C": float("inf"), "tol": 1e-10, "max_iter": 10_000}),
            ("LogisticRegression", "reward", [], {"C": float("inf"), "tol": 1e-10, "max_iter": 10_000}),
            ("LogisticRegression", "pairwise", [REGULARISED], {}),
        ],
    ),  # fmt: skip
}


def _tabular(data):
    return an.Annotator(an.Tabular(data.items.n), an.Luce())


def _linear(data):
    return an.Annotator(an.Linear(data.items.dim), an.Luce())


def _two_types(data):
    n = data.items.n
    return an.Mixture([an.Annotator(an.Tabular(n), an.Luce()) for _ in range(2)]).like(seed=0)


# name -> (model, kind, tags, settings of fit)
OURS = {
    "Bradley-Terry": (_tabular, "pairwise", ["intervals"], {}),
    "multinomial logit": (_tabular, "choice", ["intervals"], {}),
    "Plackett-Luce": (_tabular, "ranking", ["intervals"], {}),
    "linear reward": (_linear, "reward", [], {}),
    "two latent types": (_two_types, "mixture", [], {"starts": 8}),
}


def not_installed(package):
    """Whether a package is missing, and what to do."""
    if package == "annosim":
        return False, ""
    try:
        importlib.import_module(PEERS[package][0])
    except ImportError:
        return True, f"{package} is not installed; pip install '.[test]' brings it"
    return False, ""


#: Algorithms that take minutes on these worlds (a Python loop per row and step): the paper preset runs them.
SLOW = {"opt_rankings", "opt_top1", "NoisyBradleyTerry"}


def laws(package, number, fast, seed):
    """The checks of one estimator, a row each."""
    if package == "annosim":
        name = list(OURS)[number]
        model, kind, tags, settings = OURS[name]
        estimator = adapt.annosim(model, kind=kind, tags=tags, name=f"annosim {name}", **settings)
    else:
        module, rows = PEERS[package]
        name, kind, tags, settings = rows[number]
        target = adapt.load(f"{module}:{name}")
        estimator = adapt.ADAPTERS[package](target, kind=kind, tags=tags, **settings)
    statistical = not fast and name not in SLOW
    report = check_estimator(
        estimator, kind=estimator.kind, tags=estimator.tags, statistical=statistical, seed=0, name=estimator.name
    )
    return [
        {
            "estimator": estimator.name, "package": package, "version": estimator.version, "kind": estimator.kind,
            "check": r.name, "verdict": r.status, "p_value": r.p_value if r.p_value is not None else np.nan,
            "evidence": r.evidence,
        }
        for r in report
    ]  # fmt: skip


def noisy_gradient():
    """crowd-kit's NoisyBradleyTerry: its gradient against central differences of its own log-likelihood."""
    cls = adapt.load("crowdkit.aggregation:NoisyBradleyTerry")
    rows, workers = np.array([[1, 2, 1], [2, 3, 3], [1, 3, 1], [2, 1, 2], [3, 1, 3]]), np.array([0, 1, 0, 1, 0])
    x = np.linspace(-0.5, 0.9, 1 + 3 + 2 * 2)
    arguments = (rows, workers, 3, 2, 1e-5)
    declared = cls._compute_gradient(x, *arguments)
    step = 1e-6
    slope = np.array([
        (cls._compute_log_likelihood(x + step * e, *arguments) - cls._compute_log_likelihood(x - step * e, *arguments))
        / (2 * step)
        for e in np.eye(len(x))
    ])  # fmt: skip
    names = ["base", "score 1", "score 2", "score 3", "bias 1", "bias 2", "skill 1", "skill 2"]
    return {"gap": float(np.abs(slope - declared).max()), "names": names, "declared": declared, "slope": slope}


def iterations_do_nothing():
    """crowd-kit's BradleyTerry: how far ten and a hundred thousand iterations differ, and both from the optimum."""
    from annosim.checks.worlds import exact_world

    cls = adapt.load("crowdkit.aggregation:BradleyTerry")
    data, truth = exact_world("pairwise", (1, 2, 3, 4))
    few, many = (adapt.crowdkit(cls, n_iter=n)(data) for n in (10, 100_000))
    return {"moved": float(np.abs(few - many).max()), "error": float(np.abs(many - truth).max())}


def undefeated(package):
    """What a fit says when item 0 never loses."""
    from annosim.checks.refusals import outcome
    from annosim.checks.worlds import undefeated_world

    data = undefeated_world("pairwise")
    targets = {
        "evalica": lambda: adapt.evalica(adapt.load("evalica:bradley_terry")),
        "choix": lambda: adapt.choix(adapt.load("choix:opt_pairwise")),
        "annosim": lambda: adapt.annosim(_tabular),
    }
    estimator = targets[package]()
    kind, detail = outcome(lambda: estimator.raw(data))
    u = estimator.read(detail, data) if kind == "returned" else np.full(4, np.nan)
    return {
        "outcome": kind,
        "spread": float(np.ptp(u)),
        "utilities": u,
        "says": "" if kind == "returned" else str(detail),
    }


def disconnected(package):
    """What a fit says of items that were never compared with one another."""
    from annosim.checks.refusals import outcome
    from annosim.checks.worlds import disconnected_world

    data = disconnected_world("pairwise")
    estimator = adapt.choix(adapt.load("choix:opt_pairwise")) if package == "choix" else adapt.annosim(_tabular)
    kind, detail = outcome(lambda: estimator.raw(data))
    u = estimator.read(detail, data) if kind == "returned" else np.full(6, np.nan)
    return {"outcome": kind, "utilities": u}


def cells(fast):
    """One cell per estimator, and one per known defect."""
    for package, (_, rows) in PEERS.items():
        for number, row in enumerate(rows):
            if fast and row[0] in SLOW:
                continue
            name = f"{package} {row[0]} {number}"
            yield Cell(laws, {"package": package, "number": number, "fast": fast}, name, skip=not_installed)
    for number, name in enumerate(OURS):
        yield Cell(laws, {"package": "annosim", "number": number, "fast": fast}, f"annosim {name}")
    yield Cell(noisy_gradient, {}, "crowd-kit's gradient", skip=lambda: not_installed("crowdkit"))
    yield Cell(iterations_do_nothing, {}, "crowd-kit's iterations", skip=lambda: not_installed("crowdkit"))
    for package in ("evalica", "choix", "annosim"):
        yield Cell(undefeated, {"package": package}, f"undefeated {package}", skip=not_installed)
    for package in ("choix", "annosim"):
        yield Cell(disconnected, {"package": package}, f"disconnected {package}", skip=not_installed)


def _table(found):
    return found.frame("laws")


def claims(fast):
    """What the peers' own pages promise, and what this project promises of itself."""
    yield Statement(
        "own-estimators", "annosim's own estimators obey every law that applies to them", "this project",
        lambda found: equal(int((_ours(found)["verdict"] == "failed").sum()), 0, within=0),
    )  # fmt: skip
    yield Statement(
        "crowdkit-gradient", "crowd-kit's NoisyBradleyTerry declares a gradient that is not that of its log-likelihood",
        "crowd-kit 1.4.2, noisy_bt.py", lambda found: at_least(found.get("noisy_gradient", "gap"), 1e-3),
    )  # fmt: skip
    yield Statement(
        "crowdkit-iterations", "crowd-kit's BradleyTerry stops after two steps, whatever n_iter says",
        "crowd-kit 1.4.2, bradley_terry.py (p_old and p_new are one array)",
        lambda found: every([
            equal(found.get("iterations_do_nothing", "moved"), 0.0, within=0),
            at_least(found.get("iterations_do_nothing", "error"), 0.01),
        ]),
    )  # fmt: skip
    yield Statement(
        "evalica-undefeated", "evalica's Bradley-Terry scores collapse without a word when one item is undefeated",
        "evalica 0.4.2", lambda found: every([
            true(found.get("undefeated", "outcome", package="evalica") == "returned", "returned"),
            equal(found.get("undefeated", "spread", package="evalica"), 0.0, within=1e-6),
        ]),
    )  # fmt: skip
    yield Statement(
        "choix-unidentified", "choix's opt_pairwise returns finite numbers where no estimate exists",
        "choix 0.4.1", lambda found: every([
            true(found.get("undefeated", "outcome", package="choix") == "returned", "returned"),
            true(found.get("disconnected", "outcome", package="choix") == "returned", "returned"),
        ]),
    )  # fmt: skip
    yield Statement(
        "annosim-refuses", "annosim refuses both, and names the items at fault", "CONTRACT: laws of the house",
        lambda found: every([
            true(found.get("undefeated", "outcome", package="annosim") == "raised", "raised"),
            true(found.get("disconnected", "outcome", package="annosim") == "raised", "raised"),
        ]),
    )  # fmt: skip
    if not fast:
        yield Statement(
            "consistency", "every maximum-likelihood estimator that converges has an error that falls as n^-1/2",
            "asymptotic theory", lambda found: _consistent(found),
        )  # fmt: skip


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
    """Estimator by law: blue holds, orange fails, white does not apply; the failures' data are in the table below."""
    table = _table(found)
    codes = {"passed": 1.0, "failed": 0.0}
    order = list(dict.fromkeys(table["check"]))
    grid = table.assign(code=table["verdict"].map(codes)).pivot_table(
        index="estimator", columns="check", values="code", aggfunc="first", dropna=False
    )
    grid = grid.reindex(index=list(dict.fromkeys(table["estimator"])), columns=order).astype(float)
    fig, axes = plotting.figure(width=11.0, height=0.32 * len(grid) + 3.2)
    ax = axes[0, 0]
    from matplotlib.colors import ListedColormap

    colours = ListedColormap([plotting.colour(FAILS), plotting.colour(HOLDS)])
    ax.imshow(np.ma.masked_invalid(grid.to_numpy()), cmap=colours, vmin=0, vmax=1, aspect="auto")
    ax.set_xticks(range(len(order)), [c.removeprefix("check_").replace("_", " ") for c in order], rotation=90)
    ax.set_yticks(range(len(grid)), [name if len(name) < 48 else name[:46] + ".." for name in grid.index])
    ax.set_xticks(np.arange(-0.5, len(order)), minor=True)
    ax.set_yticks(np.arange(-0.5, len(grid)), minor=True)
    ax.grid(False, which="major")
    ax.grid(which="minor", color="white", linewidth=1.5)
    ax.tick_params(which="both", length=0)
    from matplotlib.patches import Patch

    ax.legend(
        handles=[Patch(color=plotting.colour(i), label=f"law {word}") for i, word in ((HOLDS, "holds"), (FAILS, "fails"))],
        loc="lower left", bbox_to_anchor=(0, 1.0), ncols=2, frameon=False,
    )  # fmt: skip
    return fig


def failures(found):
    """Every failure with data that reproduce it."""
    table = _table(found)
    failed = table[table["verdict"] == "failed"]
    return failed[["estimator", "version", "check", "evidence"]].reset_index(drop=True)


def matrix(found) -> pd.DataFrame:
    """Number of laws that hold, fail and do not apply, per estimator."""
    table = _table(found)
    counts = table.groupby(["estimator", "version", "verdict"], sort=False).size().unstack(fill_value=0)
    return counts.reset_index()


def finding(found, verdicts):
    """Two sentences."""
    table = _table(found)
    peers = table[table["package"] != "annosim"]
    failing = peers[peers["verdict"] == "failed"]["estimator"].nunique()
    total = peers["estimator"].nunique()
    mine = int((_ours(found)["verdict"] == "failed").sum())
    return (
        f"Of {total} estimators of other packages {failing} break at least one law that they do not disclaim, most "
        f"often by returning finite numbers where no estimate exists. annosim's own estimators break {mine}."
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
