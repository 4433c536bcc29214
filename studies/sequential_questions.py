"""How many questions tell who somebody is: chosen one after another, or at random."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

import annosim as an
from annosim import plotting
from annosim.study import (
    CONTROL,
    STUDY_ADDS,
    Cell,
    Preset,
    Statement,
    Study,
    at_most,
    binomial_interval,
    equal,
    t_interval,
)

DIM, ITEMS, ALPHA = 3, 10, 0.05


def make_people(kind, seed):
    """Three types of people, or as many tastes as people, on items with three features."""
    rng = np.random.default_rng(seed)
    if kind == "tastes":
        return an.RandomCoefficients(rng.normal(size=2).tolist(), [1.0, 1.0], an.Luce(), points=12)
    weights = rng.normal(size=(3, DIM))
    weights *= 2.0 / np.linalg.norm(weights, axis=1, keepdims=True)
    return an.Mixture([an.Annotator(an.Linear(w), an.Luce()) for w in weights.tolist()])


def interview(kind, target, choose, people, seed):
    """Mean questions, share decided, wrong decisions of one population."""
    dim = 2 if kind == "tastes" else DIM
    items = an.Items(features=np.random.default_rng(seed + 1).normal(size=(ITEMS, dim)))
    plan = an.planning.Sequential(an.Design(items), target=target, alpha=ALPHA, choose=choose, most=150)
    found = plan.simulate(make_people(kind, seed), people, seed=seed)
    return {
        "questions": float(found.questions.mean()),
        "decided": float(found.decided.mean()),
        "wrong": int((found.decided & ~found.right).sum()),
        "people": people,
    }


def wald(seed, people):
    """Two mirrored types and one question: Wald's sequential test, whose mean length is known."""
    pair = an.Mixture([an.Annotator(an.Tabular([0.0, s]), an.Luce()) for s in (0.5, -0.5)])
    plan = an.planning.Sequential(an.Design(an.Items(n=2), menus=[[0, 1]]), alpha=ALPHA)
    return {"questions": float(plan.simulate(pair, people, seed=seed).questions.mean())}


KINDS = (("types", "type"), ("types", "policy"), ("tastes", "policy"))


def cells(replicates, people, tastes):
    """Both ways to choose, on the same people and seeds."""
    common = {"replicates": replicates, "seed_name": "sequential_questions"}
    for kind, target in KINDS if tastes else KINDS[:2]:
        for choose in ("random", "best"):
            yield Cell(interview, {"kind": kind, "target": target, "choose": choose, "people": people}, **common)
    yield Cell(wald, {"people": 400}, replicates=replicates, seed_name="wald")


def column(found, name, kind, target, choose):
    """One number per population."""
    rows = found.rows("interview", kind=kind, target=target, choose=choose)
    return np.array([r[name] for r in rows], dtype=float)


def share_needed(found, kind, target):
    """Chosen questions per question asked at random: a geometric mean over populations, with its interval; paired."""
    chosen, random = (column(found, "questions", kind, target, choose) for choose in ("best", "random"))
    log = t_interval(np.log(chosen / random))
    return replace(log, value=np.exp(log.value), low=np.exp(log.low), high=np.exp(log.high))


def wald_length():
    """Steps of a walk between two walls (Feller, An Introduction to Probability Theory I, XIV.3)."""
    p, steps = 1 / (1 + np.exp(-0.5)), np.ceil(np.log(2 / ALPHA - 1) / 0.5)
    ratio = ((1 - p) / p) ** steps
    return steps / (2 * p - 1) * (1 - ratio) / (1 + ratio)


def claims(tastes):
    """Savings, the promised error, and the control."""
    for kind, target in KINDS if tastes else KINDS[:2]:
        what = {"type": "the type", "policy": "the best item"}[target]
        yield Statement(
            f"Q1.{kind}.{target}",
            f"chosen questions decide {what} of people with {kind} in at most two thirds of the questions asked at random",
            "this study",
            lambda f, k=kind, t=target: at_most(share_needed(f, k, t), 2 / 3),
            whose=STUDY_ADDS,
            figure="questions_until_decided",
        )
        for choose in ("random", "best"):
            yield Statement(
                f"Q2.{kind}.{target}.{choose}",
                f"looked at after every answer ({choose} questions), {what} is decided wrongly with probability {ALPHA} at most",
                "Ville 1939; Waudby-Smith and Ramdas 2020",
                lambda f, k=kind, t=target, c=choose: at_most(_error(f, k, t, c), ALPHA),
                whose=CONTROL,
            )
    yield Statement(
        "Q3",
        "with two mirrored types the interview is as long as Wald's sequential test",
        "Wald 1945; Feller I, XIV.3",
        lambda f: equal(f.estimate("wald", "questions", people=400), wald_length(), 1.0),
        whose=CONTROL,
    )


def _error(found, kind, target, choose):
    wrong, people = (column(found, name, kind, target, choose).sum() for name in ("wrong", "people"))
    return binomial_interval(int(wrong), int(people))


#: what is asked of whom, in words
WORDS = {
    ("types", "type"): ("the type of people of three types", "three types of people:\nwhich one?"),
    ("types", "policy"): ("the best item of people of three types", "three types of people:\nwhich item is best?"),
    ("tastes", "policy"): ("the best item of people who all differ", "people who all differ:\nwhich item is best?"),
}


def questions_until_decided(found):
    """Mean number of questions until one is sure: each line a population of people, asked at random and asked in turn."""
    kinds = KINDS if found.settings["tastes"] else KINDS[:2]
    fig, axes = plotting.figure(1, len(kinds), width=4.4 * len(kinds), height=4.0, sharey=True)
    for number, (kind, target) in enumerate(kinds):
        pairs = [column(found, "questions", kind, target, choose) for choose in ("random", "best")]
        for row in np.stack(pairs, -1):
            axes[0, number].plot([0, 1], row, "-o", color=plotting.colour(number), alpha=0.6)
        axes[0, number].set(xticks=[0, 1], xticklabels=["at random", "chosen"], yscale="log", xlim=(-0.3, 1.3))
        plotting.label(axes[0, number], "", "" if number else "questions a person", title=WORDS[kind, target][1])
    return fig


def finding(found, claims):
    """How many questions are saved, where least, and whether looking after every answer costs anything, in the words of the
    verdicts."""
    verdict = {claim.id: claim.verdict for claim in claims}
    kinds = KINDS if found.settings["tastes"] else KINDS[:2]
    share = {one: share_needed(found, *one) for one in kinds}
    most, least = (pick(kinds, key=lambda one: share[one].value) for pick in (min, max))
    wrong = max(_error(found, *one, choose).value for one in kinds for choose in ("random", "best"))
    safe = all(verdict[f"Q2.{kind}.{target}.{c}"] == "supported" for kind, target in kinds for c in ("random", "best"))

    def needed(one):
        e = share[one]
        sure = "" if verdict[f"Q1.{one[0]}.{one[1]}"] == "supported" else ", not surely two thirds or fewer"
        return f"{WORDS[one][0]} in {e.value:.0%} [{e.low:.0%}, {e.high:.0%}{sure}]"

    rule = "the rule is safe, and asks more than it would have to" if safe else "the rule is not shown to be safe"
    return (
        f"Questions chosen one after another save the most for {needed(most)} of the questions that are needed at random, and the "
        f"least for {needed(least)}. Stopping as soon as one is sure errs in {wrong:.1%} at most ({ALPHA:.0%} is allowed): {rule}."
    )


STUDY = Study(
    name="sequential_questions",
    title="Questions chosen one after another",
    paper="Lindley 1956; MacKay 1992; Ville 1939",
    presets={
        "quick": Preset(0.1, {"replicates": 6, "people": 50, "tastes": False}, decisive=False),
        "paper": Preset(5, {"replicates": 30, "people": 200, "tastes": True}),
    },
    cells=cells,
    claims=claims,
    figures=[questions_until_decided],
    finding=finding,
)
