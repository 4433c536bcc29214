"""What is claimed of EM-DPO, of regret and of real annotators, and what is judged."""

from __future__ import annotations

import numpy as np

from annosim.study import (
    BASELINE,
    CONTROL,
    STUDY_ADDS,
    Estimate,
    Statement,
    at_least,
    at_most,
    binomial_interval,
    difference,
    equal,
    every,
    paper_says,
    t_interval,
    true,
)

from .real import LLMFAO, UKP

PAPER = "Chidambaram, Seetharaman, Syrgkanis 2405.15065, 2510.15716"
HERE = "this study"
ABSTRACT = paper_says("abstract")
WORDS = {("pairs", 1): "one pair", ("best of three", 1): "one best-of-three answer", ("pairs", 2): "two pairs"}


def column(found, name, method, **which):
    """One column of the EM experiment, one number per replicate."""
    return np.array(
        [r[name] for r in found.rows("em_dpo", **which) if r["method"] == method and name in r], dtype=float
    )


def found_shares(found, kind, answers, questions, annotators):
    """Mean error in two worlds with the same law of single pairs, over their distance, one number per replicate."""
    return found.values("twin_worlds", "share", kind=kind, answers=answers, questions=questions, annotators=annotators)


def share(found, kind, answers, questions, annotators):
    """Their mean with its interval."""
    return t_interval(found_shares(found, kind, answers, questions, annotators))


def em_statements(worlds, em):
    """EM-DPO: what single pairs leave open, what closes it, baselines and laws."""
    for kind, (annotators, _) in worlds.items():
        many, few = max(annotators), min(annotators)
        yield Statement(
            f"EM.{kind}.pairs",
            f"{kind} policies, one pair from each of {many} annotators: EM's mean error on antipodal types and on people without "
            "preferences is no less than half their distance, the best that any method can do where both answer by one law",
            "equal laws and the triangle inequality",
            lambda f, k=kind, m=many: at_least(share(f, k, "pairs", 1, m), 0.45),
            "at least .45: one half, less .05 for the chance of few replicates",
            whose=CONTROL,
            figure="what_em_can_tell",
        )
        yield Statement(
            f"EM.{kind}.necessary",
            f"{kind} policies, one answer from each of {many} annotators: EM misses the two worlds by more with pairs than with best "
            "of three",
            f"{PAPER}, abstract",
            lambda f, k=kind, m=many: _higher(*(found_shares(f, k, a, 1, m) for a in ("pairs", "best of three"))),
            "error over distance: larger with pairs",
            whose=ABSTRACT,
            figure="what_em_can_tell",
        )
        for answers, q in (("best of three", 1), ("pairs", 2)):
            words = WORDS[answers, q]
            yield Statement(
                f"EM.{kind}.{'three' if q == 1 else 'two_pairs'}",
                f"{kind} policies, {words} from each of {many} annotators: EM tells antipodal types from people without "
                "preferences (mean error in the two worlds below half their distance)",
                HERE if q == 2 else f"{PAPER}, abstract",
                lambda f, k=kind, a=answers, q=q, m=many: at_most(share(f, k, a, q, m), 0.5),
                whose=STUDY_ADDS if q == 2 else ABSTRACT,
                figure="what_em_can_tell",
            )
        if few < many:
            yield Statement(
                f"EM.{kind}.shrinks",
                f"{kind} policies, antipodal types, one best-of-three answer per annotator: the error of the rewards "
                f"falls from {few} to {many} annotators",
                HERE,
                lambda f, k=kind, a=few, b=many: _higher(_wrong(f, k, a), _wrong(f, k, b)),
                whose=STUDY_ADDS,
                figure="what_em_can_tell",
            )
    for kind, (_, annotators, questions, _) in em.items():
        yield from _against_baselines(kind, max(annotators), max(q for q in questions if q <= 5))
    yield Statement(
        "EM.laws",
        "The log-likelihood never falls (networks by line search included); one type is DPO; known types "
        "are every group's own DPO; the naming of types does not matter",
        "Dempster, Laird, Rubin 1977",
        lambda f: every(
            [at_least(r["smallest_step"], -1e-8) for r in f.rows("likelihood_laws")]
            + [
                at_most(r[name], 1e-6)
                for r in f.rows("likelihood_laws")
                for name in ("one_type", "known_types", "naming", "network_fall")
            ]
        ),
        whose=CONTROL,
    )


def _higher(first, second):
    """The first of two independent samples has the larger mean."""
    return at_least(difference(first, second, paired=False), 0)


def _wrong(found, kind, annotators):
    return found.values(
        "twin_worlds", "antipodal", kind=kind, answers="best of three", questions=1, annotators=annotators
    )


def _against_baselines(kind, many, most):
    """EM against clustering, and what more answers per annotator and a policy for both groups gain."""
    which = {"kind": kind, "tastes": "general", "annotators": many}
    one, several = {"questions": 1, **which}, {"questions": most, **which}
    three = {"answers": "best of three"}
    for baseline, words in (("k-means", "k-means"), ("hard", "hard EM")):
        yield Statement(
            f"EM.{kind}.{baseline}",
            f"{kind} policies, one best-of-three answer from each of {many} annotators: EM's rewards are closer than "
            f"those of {words}",
            HERE,
            lambda f, b=baseline: every(
                [
                    at_least(_gain(f, "error", b, "em", **three, **one), 0),
                    at_least(_how_often_closer(f, "em", b, **three, **one), 0.5),
                ],
                "on average, and in more than half of the data sets (exact binomial interval)",
                ["gain", "share of data sets"],
            ),
            whose=BASELINE,
            figure="em_by_answers",
        )
    yield Statement(
        f"EM.{kind}.answers",
        f"{kind} policies: types are found better with more answers per annotator ({most} against 1)",
        "this study",
        lambda f: every(
            [
                _higher(
                    column(f, "accuracy", "em", answers=a, **several), column(f, "accuracy", "em", answers=a, **one)
                )
                for a in ("pairs", "best of three")
            ],
            "share assigned rightly: larger",
            ["pairs", "best of three"],
        ),
        whose=STUDY_ADDS,
        figure="em_by_answers",
    )
    for best, name, words in (
        ("min-max regret", "worst_regret", "KL-regularised regret"),
        ("min-max mixture", "worst_loss", "loss of reward"),
    ):
        for other in ("pooled DPO", "uniform mixture", "largest group's own"):
            yield Statement(
                f"{best.replace(' ', '-')}.{kind}.{other}",
                f"{kind} policies, {most} best-of-three answers: the worst group's {words} under the {best} policy is "
                f"below that under: {other}",
                f"{PAPER}, abstract" if other == "pooled DPO" else HERE,
                lambda f, b=best, n=name, o=other: at_least(_gain(f, n, o, b, **three, **several), 0),
                whose=ABSTRACT if other == "pooled DPO" else STUDY_ADDS,
                figure="regret_of_policies",
            )


def _how_often_closer(found, method, other, **which):
    """In how many data sets the rewards of the first method are nearer to the truth."""
    closer = column(found, "error", method, **which) < column(found, "error", other, **which)
    return binomial_interval(int(closer.sum()), len(closer))


def spared(found, kind, annotators, other, questions=5):
    """Worst type's regret under another policy less that under the min-max policy, best-of-three answers."""
    which = {"kind": kind, "tastes": "general", "annotators": annotators, "questions": questions}
    return _gain(found, "worst_regret", other, "min-max regret", answers="best of three", **which)


def _gain(found, name, other, method, **which):
    return difference(column(found, name, other, **which), column(found, name, method, **which))


def regret_statements():
    """The two solvers of min-max regret."""
    yield Statement(
        "regret.game",
        "Min-max mixture: multiplicative weights on both sides come within their bound "
        "range (sqrt(log K / 2T) + sqrt(log J / 2T)) of the linear program, and never below it",
        "this study; bound of multiplicative weights",
        lambda f: every(
            [at_most(r["game_apart"] / r["game_bound"], 1) for r in f.rows("regret_laws")]
            + [at_least(r["game_apart"], -1e-9) for r in f.rows("regret_laws")]
        ),
        whose=CONTROL,
    )
    yield Statement(
        "regret.convex",
        "KL-regularised min-max regret: the log-linear pool is as good as a generic convex solver's "
        "policy (within 1e-6), with a duality gap below 1e-10",
        HERE,
        lambda f: every(
            [equal(r["convex"] - r["kl"], 0, 1e-6) for r in f.rows("regret_laws")]
            + [at_most(r["kl_gap"], 1e-10) for r in f.rows("regret_laws")]
        ),
        whose=CONTROL,
    )


def at(source):
    """Which part of which file, as the cells take it."""
    return {name: source[name] for name in ("file", "topic", "items", "people")}


def short(source):
    """A name for a data set."""
    file = source["file"]
    return f"ukp.{source['topic']}" if file == UKP else file.split("/")[-1].split(".")[0]


def real_statements(sources):
    """Real annotators: one type against two, the number of types, and what one-type twins reproduce."""
    for source in sources:
        yield from _about(short(source), at(source), source["tests"], source["file"] in (UKP, LLMFAO))


def _about(name, where, tests, votes):
    for method, words in (("score", "dependence within annotators"), ("likelihood_ratio", "likelihood ratio")):
        if method in tests:
            yield Statement(
                f"real.{name}.{method}",
                f"{name}: one type is rejected ({words}, parametric bootstrap)",
                HERE,
                lambda f, m=method: at_most(_p_value(f, method=m, **where), 0.05),
                whose=STUDY_ADDS,
                figure="real_types",
            )
    if "likelihood_ratio" in tests:
        yield Statement(
            f"real.{name}.types",
            f"{name}: BIC and the likelihood of held-out annotators choose more than one type",
            HERE,
            lambda f: every(
                [
                    at_least(f.rows("by_types", **where)[0]["best_bic"], 2),
                    at_least(_better_than_one(f.rows("by_types", **where)), 0),
                ],
                "BIC: at least 2; held-out log-likelihood of the best number above that of one type",
                ["types by BIC", "gain per held-out annotator"],
            ),
            whose=STUDY_ADDS,
            figure="real_types",
        )
    if not votes:
        yield Statement(
            f"real.{name}.before",
            f"{name}: before any fit, identify finds full rank for every number of types",
            HERE,
            lambda f: true(all(r["rank"] == r["of"] for r in f.rows("by_types", **where)), "full rank for each K"),
            whose=STUDY_ADDS,
            figure="real_types",
        )
        return
    for what, words in (("ties", "tie rate"), ("agreement", "agreement between annotators")):
        yield Statement(
            f"real.{name}.{what}",
            f"{name}: votes simulated from the one-type fit reproduce the {words}",
            HERE,
            lambda f, w=what: at_least(_as_far(f.rows("one_type_twin", **where)[0], w), 0.05),
            "of the simulated data sets at least 5 % are as far from their mean (exact binomial interval)",
            whose=STUDY_ADDS,
        )


def _p_value(found, **which):
    """The share of simulated one-type data sets that are as extreme: a share of so many fits, with its interval."""
    row = found.rows("one_or_two", **which)[0]
    return binomial_interval(int(row["as_extreme"]), int(row["fits"]))


def _better_than_one(rows):
    """What the best number of types gains per held-out annotator on one type; errors with annotators as units."""
    gain, error = max(r["held_out"] for r in rows) - rows[0]["held_out"], rows[0]["held_out_error"]
    return Estimate(gain, gain - 1.96 * error, gain + 1.96 * error, "paired, annotators as units")


def _as_far(row, what):
    """The share of simulated data sets as far from their mean as the observed number: of so many, with its interval."""
    return binomial_interval(int(row[f"{what}_as_far"]), int(row["twins"]))
