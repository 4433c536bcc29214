"""What is asked: the estimators of each package with their settings, and annosim's own."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

import annosim as an
from annosim.checks import adapt, check_estimator

REGULARISED, SCORE, SEQUENTIAL, DAVIDSON = "regularised", "score", "sequential", "davidson"


@dataclass(frozen=True)
class Peer:
    """One estimator of a package, as it is asked.

    Attributes:
        name: of the function or class.
        kind: of data.
        tags: what its documentation declares (the adapters add what the settings imply).
        settings: arguments.
        tolerance: what the laws call equal. Estimators that stop at a looser tolerance of their own by default are
            asked for two decimals, those that were told to go on for four.
    """

    name: str
    kind: str = "pairwise"
    tags: tuple[str, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)
    tolerance: float = 1e-4


DEFAULT = 1e-2
TIGHT = {"tolerance": 1e-10, "limit": 100_000}

#: package -> (module, its estimators)
PEERS = {
    "choix": (
        "choix",
        [
            *[
                Peer(f"{how}_pairwise", settings={"alpha": 0.0} if "lsr" in how else {})
                for how in ("lsr", "ilsr", "mm")
            ],
            *[Peer(f"{how}_pairwise_dense") for how in ("lsr", "ilsr")],
            Peer("ilsr_pairwise", settings={"alpha": 0.01}),
            Peer("opt_pairwise", settings={"alpha": 0.0, "tol": 1e-9}),
            Peer("opt_pairwise"),
            Peer("ep_pairwise", tags=(REGULARISED,), settings={"alpha": 0.1}),
            Peer("rank_centrality", settings={"alpha": 0.0}),
            *[Peer(f"{how}_rankings", "ranking") for how in ("lsr", "ilsr", "mm")],
            Peer("opt_rankings", "ranking", settings={"alpha": 0.0, "tol": 1e-9}),
            *[Peer(f"{how}_top1", "choice") for how in ("lsr", "ilsr", "mm")],
            Peer("opt_top1", "choice", settings={"alpha": 0.0, "tol": 1e-9}),
        ],
    ),
    "evalica": (
        "evalica",
        [
            Peer("bradley_terry", settings=TIGHT),
            Peer("bradley_terry", tolerance=DEFAULT),
            Peer("newman", settings=TIGHT),
            Peer("bradley_terry", "ties", settings=TIGHT),
            Peer("newman", "ties", (DAVIDSON,), TIGHT),
            Peer("counting", tags=(SCORE,)),
            Peer("average_win_rate", tags=(SCORE,)),
            Peer("eigen", tags=(SCORE,)),
            Peer("pagerank", tags=(SCORE,)),
            Peer("elo", tags=(SCORE, SEQUENTIAL)),
        ],
    ),
    "crowdkit": (
        "crowdkit.aggregation",
        [
            Peer("BradleyTerry", settings={"n_iter": 100_000, "tol": 1e-12}),
            Peer("NoisyBradleyTerry", tags=(REGULARISED, "annotators"), settings={"n_iter": 30}, tolerance=DEFAULT),
        ],
    ),
    "sklearn": (
        "sklearn.linear_model",
        [
            Peer("LogisticRegression", settings={"C": float("inf")}, tolerance=DEFAULT),
            Peer("LogisticRegression", settings={"C": float("inf"), "tol": 1e-10, "max_iter": 10_000}),
            Peer("LogisticRegression", "reward", settings={"C": float("inf"), "tol": 1e-10, "max_iter": 10_000}),
            Peer("LogisticRegression", tags=(REGULARISED,), tolerance=DEFAULT),
        ],
    ),
}


def bradley_terry(data):
    return an.Annotator(an.Tabular(data.items.n), an.Luce())


def _linear(data):
    return an.Annotator(an.Linear(data.items.dim), an.Luce())


def _two_types(data):
    n = data.items.n
    return an.Mixture([an.Annotator(an.Tabular(n), an.Luce()) for _ in range(2)]).like(seed=0)


def _davidson(data):
    return an.Annotator(an.Tabular(data.items.n), an.Davidson(an.free(0.5)))


def _rao_kupper(data):
    return an.Annotator(an.Tabular(data.items.n), an.rules.RaoKupper(an.free(1.5)))


# name -> (model, kind, tags, settings of fit)
OURS = {
    "Bradley-Terry": (bradley_terry, "pairwise", ["intervals"], {}),
    "multinomial logit": (bradley_terry, "choice", ["intervals"], {}),
    "Plackett-Luce": (bradley_terry, "ranking", ["intervals"], {}),
    "Davidson": (_davidson, "ties", [DAVIDSON], {}),
    "Rao-Kupper": (_rao_kupper, "ties", ["rao_kupper"], {}),
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
        tolerance, call = 1e-4, f"studies/peers.py: OURS[{name!r}]"
    else:
        module, peers = PEERS[package]
        peer = peers[number]
        name, tolerance, call = peer.name, peer.tolerance, command(package, peer)
        target = adapt.load(f"{module}:{name}")
        estimator = adapt.ADAPTERS[package](target, kind=peer.kind, tags=peer.tags, **peer.settings)
    report = check_estimator(
        estimator, statistical=not fast and name not in SLOW, tolerance=tolerance, seed=0, raise_on_failure=False
    )
    return [
        {
            "estimator": label(package, estimator),
            "package": package,
            "version": estimator.version,
            "kind": estimator.kind,
            "call": call,
            "check": r.name,
            "verdict": r.status,
            "p_value": r.p_value if r.p_value is not None else np.nan,
            "evidence": r.evidence,
        }
        for r in report
    ]


def label(package, estimator):
    """A name that is unique: functions of one name for several kinds of data say which."""
    name = estimator.name.replace("tolerance=1e-10, limit=100000", "tight").replace(
        "tol=1e-10, max_iter=10000", "tight"
    )
    several = package in ("evalica", "sklearn") and estimator.kind != "pairwise"
    return f"{name} on {estimator.kind}" if several else name


def command(package, peer):
    """The command that repeats an estimator's checks."""
    words = [f"annosim check {PEERS[package][0]}:{peer.name} --adapter {package} --kind {peer.kind} --fast"]
    words += [f"--set {name}={value}" for name, value in peer.settings.items()]
    words += [f"--tag {tag}" for tag in peer.tags]
    return " ".join(words + ([f"--tolerance {peer.tolerance:g}"] if peer.tolerance != 1e-4 else []))
