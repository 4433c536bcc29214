"""The statements: S1 to S8 exactly, then every claim of the paper on the pipeline, with an interval."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from annosim.study import (
    BASELINE,
    CONTROL,
    STUDY_ADDS,
    Statement,
    at_least,
    at_most,
    binomial_interval,
    difference,
    equal,
    every,
    paper_says,
    t_interval,
)

from .fair import SET_UP

SOURCE = "Wang et al. 2402.00742"
ABSTRACT = paper_says("abstract")


def column(found, group, name, where, **parameters):
    """One column of the rows of a group that match ``where``, one number per replicate, in their order."""
    rows = found.rows(group, **parameters)
    return np.array([r[name] for r in rows if all(r[k] == v for k, v in where.items())], dtype=float)


def gain(found, world, better, worse, name, at, group="frontier", key="at"):
    """Paired difference of two schemes over replicates."""
    first, second = (column(found, group, name, {"scheme": s, key: at}, world=world) for s in (better, worse))
    return difference(first, second)


def exact_statements(shares):
    """S1 to S8 and best of n."""
    shortcut = lambda found, gamma, name: found.exact("shortcut", name, gamma=gamma, reward=10.0)  # noqa: E731
    yield Statement(
        "S1.raw",
        "With Exponential(1) rewards the raw tilt's Z diverges at gamma = 1 (it grows as the cut-off does)",
        "this study's derivation",
        lambda f: at_least(math.exp(_last_growth(f, 1.0, "raw")), 1.99),
        whose=STUDY_ADDS,
    )
    yield Statement(
        "S1.raw.light",
        "at gamma = 2 the tail is light enough: Z = 2 whatever the cut-off",
        "this study's derivation",
        lambda f: equal(math.exp(_rows(f, 2.0)[-1]["raw"]), 2.0, 1e-3),
        whose=STUDY_ADDS,
    )
    yield Statement(
        "S1.lsc",
        "LSC's Z is at most 1 in every world",
        "this study's derivation",
        lambda f: at_most(f.exact("bounds_on_random_worlds", "z"), 1.0),
        whose=CONTROL,
    )
    for gamma, name, value in ((2, "raw", 0.1159), (1, "raw", 0.9304), (2, "lsc", 0.0019), (1, "lsc", 0.0034)):
        yield Statement(
            f"S2.{name}.{gamma}",
            f"mass .001 at reward 10 gets {value} after the {name} tilt at gamma {gamma}",
            "this study's derivation",
            lambda f, g=gamma, n=name, v=value: equal(shortcut(f, float(g), n), v, 6e-5),
            whose=STUDY_ADDS,
            figure="exact_worlds",
        )
    yield Statement(
        "S2.bound",
        "pi(A) <= pi_0(A) / Z for every set under LSC (largest pi(A) Z / pi_0(A) over random worlds)",
        "this study's derivation",
        lambda f: at_most(f.exact("bounds_on_random_worlds", "lsc"), 1 + 1e-9),
        whose=CONTROL,
    )
    yield Statement(
        "S2.raw",
        "raw tilts have no such bound",
        "this study's derivation",
        lambda f: at_least(f.exact("bounds_on_random_worlds", "raw"), 1e6),
        whose=STUDY_ADDS,
    )
    for name, value in (("raw", 0.517), ("lsc", 0.652)):
        yield Statement(
            f"S3.{name}",
            f"prompts of spread .5, 1, 2, 4, mean KL 1: the 85 % quantile is beaten with probability {value} ({name})",
            "this study's derivation",
            lambda f, n=name, v=value: equal(_spread(f, n)["beaten"], v, 1e-3),
            whose=STUDY_ADDS,
            figure="exact_worlds",
        )
    yield Statement(
        "S3.kl",
        "the raw tilt spends KL s^2 / (2 gamma^2) on a prompt of spread s (largest error over prompts)",
        "this study's derivation",
        lambda f: at_most(_spread(f, "raw")["closed_form_error"], 1e-9),
        whose=CONTROL,
        figure="exact_worlds",
    )
    yield Statement(
        "S5",
        "best of k with one reward has the same law under LSC (largest difference over random worlds with ties)",
        "this study's derivation",
        lambda f: at_most(f.exact("best_of_k_invariance", "difference"), 1e-12),
        whose=CONTROL,
    )
    for name, value in shares.items():
        closed = ": 1 - (1 - .15^2)^64" if name == "minimum" else ""
        yield Statement(
            f"S6.{name.replace(' ', '_')}",
            f"best of 64 with two independent rewards by {name.replace('lsc', 'LSC')}: both beat their 85 % quantile with probability "
            f"{value:.4f} (the integral{closed})",
            "this study's derivation",
            lambda f, n=name, v=value: equal(_both(f, n), v, 0.004),
            whose=STUDY_ADDS,
            figure="exact_worlds",
        )
    yield Statement(
        "S8",
        "as gamma falls all monotone transforms of one reward concentrate on its argmax (mass outside at gamma 1e-5)",
        "this study's derivation",
        lambda f: every([at_most(r["outside"], 1e-6) for r in f.rows("cold_limit") if r["gamma"] == 1e-5]),
        whose=CONTROL,
    )
    bounds = lambda f, name: f.exact("best_of_n_bounds", name)  # noqa: E731
    yield Statement(
        "BoN.kl",
        "best of n: KL <= log n - (n-1)/n on finite worlds (smallest slack)",
        "Beirami et al. 2401.01879",
        lambda f: at_least(bounds(f, "kl_slack"), -1e-12),
        whose=CONTROL,
    )
    yield Statement(
        "BoN.win",
        "best of n: win rate <= n/(n+1) on finite worlds (smallest slack)",
        "Gao et al. 2210.10760",
        lambda f: at_least(bounds(f, "win_slack"), -1e-12),
        whose=CONTROL,
    )
    yield Statement(
        "BoN.equal",
        "both are equalities for continuous rewards (largest error)",
        "Beirami et al. 2401.01879",
        lambda f: at_most(bounds(f, "continuous_error"), 1e-6),
        whose=CONTROL,
    )
    yield Statement(
        "LSC.limit",
        "a reference far above gives the raw tilt back (total variation)",
        "this study's derivation",
        lambda f: at_most(f.exact("normalisation_of_lsc", "far_reference"), 1e-9),
        whose=CONTROL,
    )
    yield Statement(
        "LSC.shift",
        "LSC is invariant to r -> r + c(x)",
        "this study's derivation",
        lambda f: at_most(f.exact("normalisation_of_lsc", "shift"), 1e-9),
        whose=CONTROL,
    )
    yield Statement(
        "LSC.scale",
        "LSC is not invariant to r -> 3 r: scale is calibration (total variation)",
        "this study's derivation",
        lambda f: at_least(f.exact("normalisation_of_lsc", "scale"), 0.05),
        whose=CONTROL,
    )
    yield Statement(
        "AND.independent",
        "the sum of log-probabilities is exact when annotators share no leniency",
        "this study: the product of independent probabilities",
        lambda f: every([equal(e, 0, 1e-9) for e in f.all("dependence", "error", strength=0.0)]),
        whose=CONTROL,
    )
    yield Statement(
        "AND.dependent",
        "a common leniency of 1 logit makes the sum too pessimistic by more than .05 nats",
        "this study",
        lambda f: every([at_least(e, 0.05) for e in f.all("dependence", "error", strength=1.0)]),
        whose=STUDY_ADDS,
    )


def pipeline_statements(kls, ks, policy_gradient_steps):
    """The paper's claims, restated for the pipeline; where they fail, they fail here."""
    yield from _single(kls)
    yield from _combined(kls)
    yield from _in_its_own_terms(kls)
    yield from _over_types(kls)
    yield from _hacking_and_uniformity(kls)
    yield Statement(
        "P5",
        "the reference value matters: the quantile beaten by q85, mean and canned references differs at KL 1",
        "this study",
        lambda f: at_least(_reference_range(f), 0.01),
        whose=STUDY_ADDS,
        figure="reference_values",
    )
    yield Statement(
        "P5.scale",
        "and so does the scale of the reward model (x 3 against x 0.3)",
        "this study",
        lambda f: at_least(_variant_gap(f, "scale x 3", "scale x 0.3"), 0.01),
        whose=STUDY_ADDS,
        figure="reference_values",
    )
    yield Statement(
        "P6",
        f"best of {max(ks)} with two rewards: LSC sum gives more responses good in both than the raw sum",
        "this study",
        lambda f: at_least(gain(f, "shortcut", "LSC sum", "raw sum", "both_good", max(ks), "best_of", "k"), 0.0),
        whose=STUDY_ADDS,
        figure="best_of_k",
    )
    yield Statement(
        "PG.softmax",
        f"policy gradient ({policy_gradient_steps} steps, softmax policy) ends within .02 nats of "
        f"the exact "
        "Gibbs optimum",
        "this study",
        lambda f: every(
            [at_most(t_interval(column(f, "softmax_gradient", "gap", {"reward": r})), 0.02) for r in ("raw", "LSC")],
            labels=("raw", "LSC"),
        ),
        whose=CONTROL,
        figure="policy_gradient",
    )
    yield Statement(
        "PG.token",
        "and so does a token policy over sequences",
        "this study",
        lambda f: at_most(t_interval(f.values("token_gradient", "gap")), 0.02),
        whose=CONTROL,
        figure="policy_gradient",
    )
    yield Statement(
        "O1.truth",
        "over-optimisation: with a harmful shortcut the truth is lower at KL 3 than at KL 1 (the fall)",
        "Gao et al. 2210.10760",
        lambda f: at_least(t_interval(_falls(f, "one model", "gold")), 0.0),
        whose=CONTROL,
        figure="overoptimisation",
    )
    yield Statement(
        "O1.proxy",
        "while the proxy is higher",
        "Gao et al. 2210.10760",
        lambda f: at_most(t_interval(_falls(f, "one model", "proxy")), 0.0),
        whose=CONTROL,
        figure="overoptimisation",
    )
    yield Statement(
        "O2",
        "the minimum of an ensemble falls less than one model",
        "Coste et al. 2310.02743",
        lambda f: at_least(difference(_falls(f, "one model", "gold"), _falls(f, "ensemble minimum", "gold")), 0.0),
        whose=BASELINE,
        figure="overoptimisation",
    )
    yield Statement(
        "O3",
        "and the fall stays: members that share the shortcut cannot see it",
        "this study; ensembles as in Coste et al. 2310.02743",
        lambda f: at_least(t_interval(_falls(f, "ensemble minimum", "gold")), 0.0),
        whose=BASELINE,
        figure="overoptimisation",
    )
    yield Statement(
        "C1",
        "a reward model fitted to unbiased answers is calibrated: slope of held-out logits 1 within .1",
        "this study",
        lambda f: equal(f.estimate("calibration", "slope", world="clean"), 1.0, 0.1),
        whose=CONTROL,
    )


def _list(values):
    return ", ".join(f"{v:g}" for v in values)


def _at(kls):
    return [f"KL {kl:g}" for kl in kls]


def _always(world, better, worse, name, kls, sign):
    """A judge: the difference of two schemes has this sign at each of these KLs."""
    bound = at_least if sign > 0 else at_most
    return lambda f: every([bound(gain(f, world, better, worse, name, kl), 0.0) for kl in kls], labels=_at(kls))


#: the two worlds, and how a statement names them
PLACES = {"shortcut": "shortcut, unequal prompts", "clean": "no shortcut, equal prompts"}


def _path(id, text, world, better, worse, name, kls, sign, *, source, whose, figure):
    """One comparison under one rule: on average over the whole path of KL. What was found is printed for each KL of it, so
    that where a method wins and where it loses is in the numbers, not in the choice of a KL."""
    bound = at_least if sign > 0 else at_most
    return Statement(
        id,
        f"{text}, on average over equal KL of {_list(kls)} ({PLACES[world]})",
        source,
        lambda f: _and_at_each(
            bound(over_path(f, world, better, worse, name, kls), 0.0),
            kls,
            [gain(f, world, better, worse, name, kl) for kl in kls],
        ),
        whose=whose,
        figure=figure,
    )


def _and_at_each(judged, kls, found):
    """The judgement of a mean over the path, with what was found at each KL of it."""
    numbers = [f"{at}: {e}" for at, e in zip(_at(kls), found, strict=True)]
    return replace(judged, found="; ".join([f"mean {judged}", *numbers]))


def over_path(found, world, better, worse, name, kls):
    """Paired difference of two schemes, averaged over the path of KL before replicates are compared."""
    path = lambda scheme: np.mean(  # noqa: E731
        [column(found, "frontier", name, {"scheme": scheme, "at": kl}, world=world) for kl in kls], axis=0
    )
    return difference(path(better), path(worse))


def _whose(world):
    """The paper claims what its reasons (underfitting, hacking) are there for; a world without them is this study's."""
    return (f"{SOURCE}, abstract", ABSTRACT) if world == "shortcut" else ("this study", STUDY_ADDS)


def _single(kls):
    """One reward: above the 85 % quantile more often?"""
    for world in PLACES:
        source, whose = _whose(world)
        for one in ("helpful", "harmless"):
            yield _path(
                f"P1.{one}.{world}",
                f"{one} reward: LSC beats the 85 % quantile more often than raw",
                *(world, f"{one}, LSC", f"{one}, raw", f"beat_{one}", kls, 1),
                source=source,
                whose=whose,
                figure="win_rate_against_kl",
            )


def _combined(kls):
    """Two rewards: the raw sum is the paper's comparison, weighted sums and the minimum are baselines."""
    figure = "good_in_both_against_kl"
    text = "two rewards: LSC sum gives more responses good in both than the"
    for world in PLACES:
        source, whose = _whose(world)
        yield _path(
            f"P2.raw_sum.{world}",
            f"{text} raw sum",
            *(world, "LSC sum", "raw sum", "both_good", kls, 1),
            source=source,
            whose=whose,
            figure=figure,
        )
    for other, sign in (("weighted sum 3:1", 1), ("weighted sum 1:3", 1), ("minimum", -1)):
        world = "shortcut" if sign > 0 else "clean"
        yield _path(
            f"P2.{other.replace(' ', '_').replace(':', '')}.{world}",
            f"{text} {other}"
            if sign > 0
            else "two rewards: the minimum of the two gives more responses good in both than the LSC sum",
            *(world, "LSC sum", other, "both_good", kls, sign),
            source="this study: the paper makes no claim on it",
            whose=BASELINE,
            figure=figure,
        )


def _in_its_own_terms(kls):
    """The sum of LSC rewards against the raw sum: the quantity of the theory, the crossover, and the price."""
    for world, place in PLACES.items():
        whose = _whose(world)[1]
        yield Statement(
            f"P2.log_good.{world}",
            f"two rewards: E log P(good in every property) is higher under the LSC sum than under the raw sum at every equal "
            f"KL ({place})",
            f"{SOURCE}, abstract: the sum is the log-probability of being good in all measured properties"
            + ("" if world == "shortcut" else "; a world without its reasons is this study's"),
            _always(world, "LSC sum", "raw sum", "log_good", kls, 1),
            whose=whose,
            figure="log_good_against_kl",
        )
    low, high = [k for k in kls if k <= 1], [k for k in kls if k >= 2]
    yield Statement(
        "P2.crossover.low",
        f"no shortcut, equal prompts: the raw sum makes as many or more responses good in both (above the 85 % quantile) than "
        f"the LSC sum at equal KL of {_list(low)}",
        "this study",
        _always("clean", "LSC sum", "raw sum", "both_good", low, -1),
        whose=STUDY_ADDS,
        figure="good_in_both_against_kl",
    )
    if high:
        yield Statement(
            "P2.crossover.high",
            f"and the LSC sum makes more at equal KL of {_list(high)}",
            "this study",
            _always("clean", "LSC sum", "raw sum", "both_good", high, 1),
            whose=STUDY_ADDS,
            figure="good_in_both_against_kl",
        )
    yield Statement(
        "P1.price",
        "the price of LSC: the raw tilt maximises the mean reward at its KL, so in the world without a shortcut LSC's mean "
        "true utility is lower",
        "Gibbs' variational principle",
        _always("clean", "helpful, LSC", "helpful, raw", "utility_helpful", kls, -1),
        whose=CONTROL,
    )


def aggregate(found, name, way, at, types=3):
    """One column of the policies over hidden types, one number per world."""
    rows = found.rows("aggregate_types", types=types)
    return np.array([r[name] for r in rows if r["way"] == way and r["at"] == at], dtype=float)


def types_over_path(found, name, first, second, kls, types=3):
    """Paired difference of two policies over hidden types, averaged over the path of KL before worlds are compared."""
    path = lambda way: np.mean([aggregate(found, name, way, kl, types) for kl in kls], axis=0)  # noqa: E731
    return difference(path(first), path(second))


def _over_types(kls):
    """E: the conjunction over hidden types."""
    who = f"over three hidden types ({SET_UP})"
    for other, whose, source, words in (
        ("mean utility", STUDY_ADDS, "this study", "than under the mean utility"),
        (
            "minimum",
            BASELINE,
            "this study",
            "than under the minimum over types, which asks for the least satisfied type and so for the loudest",
        ),
    ):
        yield Statement(
            "E.worst" if other == "mean utility" else "E.minimum",
            f"{who}: the worst-served type finds more responses good under the LSC sum {words}, on average over equal KL of "
            f"{_list(kls)}",
            source,
            lambda f, o=other: _and_at_each(
                at_least(types_over_path(f, "worst", "LSC sum", o, kls), 0.0),
                kls,
                [difference(aggregate(f, "worst", "LSC sum", kl), aggregate(f, "worst", o, kl)) for kl in kls],
            ),
            whose=whose,
            figure="over_hidden_types",
        )
    yield Statement(
        "E.two",
        "but with the first two of these types alone the worst-served finds more responses good under the minimum than under the LSC sum, "
        f"on average over equal KL of {_list(kls)}",
        "this study",
        lambda f: at_least(types_over_path(f, "worst", "minimum", "LSC sum", kls, types=2), 0.0),
        whose=STUDY_ADDS,
    )
    yield Statement(
        "E.price",
        "the price: a lower mean utility at every equal KL",
        "Gibbs' variational principle",
        lambda f: every(
            [
                at_most(difference(*(aggregate(f, "utility", way, at) for way in ("LSC sum", "mean utility"))), 0.0)
                for at in kls
            ],
            labels=_at(kls),
        ),
        whose=CONTROL,
    )


def _hacking_and_uniformity(kls):
    """Less mass on the shortcut, and fewer prompts left behind: win rates that differ less between prompts."""
    for one in ("helpful", "harmless"):
        pair = (f"{one}, LSC", f"{one}, raw")
        for id, text, name, reason in (
            ("P3", "LSC puts less mass on the shortcut than raw", "shortcut", "reward hacking"),
            ("P4", "LSC's win rates differ less between prompts (s.d.) than raw's", f"spread_{one}", "underfitting"),
        ):
            yield _path(
                f"{id}.{one}",
                f"{one} reward: {text}",
                *("shortcut", *pair, name, kls, -1),
                source=f"{SOURCE}, abstract ({reason})",
                whose=ABSTRACT,
                figure="shortcut_and_spread",
            )


def _rows(found, gamma):
    return found.rows("exponential_tail", gamma=gamma)


def _last_growth(found, gamma, name):
    rows = _rows(found, gamma)
    return rows[-1][name] - rows[-2][name]


def _spread(found, name):
    return next(r for r in found.rows("spread_of_prompts") if r["reward"] == name)


def _both(found, name):
    row = next(r for r in found.rows("two_rewards", rho=0.0) if r["score"] == name)
    return binomial_interval(int(row["wins"]), int(row["draws"]))


def _variant_gap(found, first, second):
    values = [column(found, "reference_values", "beat_helpful", {"variant": v}) for v in (first, second)]
    return difference(*values)


def _reference_range(found):
    names = ("quantile .85", "mean", "canned")
    return widest_difference([column(found, "reference_values", "beat_helpful", {"variant": v}) for v in names])


def widest_difference(samples):
    """Paired difference of the largest and the smallest mean. They are picked after looking, so that the interval is
    Bonferroni's for all ordered pairs: equal samples must not differ because the extremes of noise were compared."""
    means, pairs = [np.mean(s) for s in samples], len(samples) * (len(samples) - 1)
    return difference(samples[np.argmax(means)], samples[np.argmin(means)], level=1 - 0.05 / pairs)


def _falls(found, score, name):
    """A utility at KL 1 minus the same at KL 3 along the Gibbs path, per replicate."""
    where = {"score": score, "method": "Gibbs"}
    early, late = (column(found, "overoptimisation", name, {**where, "at": at}) for at in (1.0, 3.0))
    return early - late
