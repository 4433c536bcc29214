"""The statements: S1 to S8 exactly, then every claim of the paper on the pipeline, with an interval."""

from __future__ import annotations

import math

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
        whose=STUDY_ADDS,
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
        whose=STUDY_ADDS,
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
        whose=STUDY_ADDS,
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
        yield Statement(
            f"S6.{name.replace(' ', '_')}",
            f"best of 64 with two independent rewards by {name}: both beat their 85 % "
            f"quantile with probability {value}",
            "this study's derivation",
            lambda f, n=name, v=value: equal(_both(f, n), v, 0.006),
            whose=STUDY_ADDS,
            figure="exact_worlds",
        )
    yield Statement(
        "S6.minimum.closed",
        "the minimum finds a response that is good in both whenever there is one: 1 - (1 - .15^2)^64 = .7669",
        "this study, closed form",
        lambda f: equal(_both(f, "minimum"), 1 - (1 - 0.15**2) ** 64, 0.005),
        whose=CONTROL,
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
        f"{SOURCE}, abstract",
        lambda f: every([equal(e, 0, 1e-9) for e in f.all("dependence", "error", strength=0.0)]),
        whose=paper_says("abstract"),
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
    parts = {"low": [k for k in kls if k < 1], "high": [k for k in kls if k >= 1]}
    words = {"low": f"at equal KL of {_list(parts['low'])}", "high": f"at equal KL of {_list(parts['high'])}"}
    yield from _single(parts, words)
    yield from _combined(parts, words)
    yield from _in_its_own_terms(kls)
    yield from _over_types([k for k in kls if k >= 1])
    yield from _uniformity(kls)
    for part in ("high", "low"):
        yield from _hacking(parts[part], part, words[part])
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
            [at_most(t_interval(column(f, "softmax_gradient", "gap", {"reward": r})), 0.02) for r in ("raw", "LSC")]
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


def _always(world, better, worse, name, kls, sign):
    """A judge: the difference of two schemes has this sign at each of these KLs."""
    bound = at_least if sign > 0 else at_most
    return lambda f: every([bound(gain(f, world, better, worse, name, kl), 0.0) for kl in kls])


def _single(parts, words):
    """One reward: above the 85 % quantile more often at a large KL; at a small one it is not what LSC spends KL on."""
    for one in ("helpful", "harmless"):
        pair, name = (f"{one}, LSC", f"{one}, raw"), f"beat_{one}"
        yield Statement(
            f"P1.{one}.shortcut",
            f"{one} reward: LSC beats the 85 % quantile more often than raw {words['high']} (shortcut, unequal prompts)",
            f"{SOURCE}, abstract",
            _always("shortcut", *pair, name, parts["high"], 1),
            whose=ABSTRACT,
            figure="win_rate_against_kl",
        )
        yield Statement(
            f"P1.{one}.shortcut.low",
            f"{one} reward: {words['low']} neither is five points ahead (shortcut, unequal prompts)",
            "this study",
            lambda f, p=pair, n=name: every([equal(gain(f, "shortcut", *p, n, kl), 0.0, 0.05) for kl in parts["low"]]),
            whose=STUDY_ADDS,
            figure="win_rate_against_kl",
        )
        yield Statement(
            f"P1.{one}.clean",
            f"{one} reward, no shortcut, equal prompts: LSC beats the quantile less often {words['low']}",
            "this study",
            _always("clean", *pair, name, parts["low"], -1),
            whose=STUDY_ADDS,
        )


def _combined(parts, words):
    """Two rewards: the raw sum is the paper's comparison, weighted sums and the minimum are baselines."""
    for other in ("raw sum", "weighted sum 3:1", "weighted sum 1:3"):
        yield Statement(
            f"P2.{other.replace(' ', '_').replace(':', '')}.shortcut",
            f"two rewards: LSC sum gives more responses good in both than the {other} {words['high']} (shortcut, unequal prompts)",
            f"{SOURCE}, abstract" if other == "raw sum" else "this study",
            _always("shortcut", "LSC sum", other, "both_good", parts["high"], 1),
            whose=ABSTRACT if other == "raw sum" else BASELINE,
            figure="good_in_both_against_kl",
        )
    yield Statement(
        "P2.raw_sum.shortcut.low",
        f"two rewards: {words['low']} neither sum is three points ahead (shortcut, unequal prompts)",
        "this study",
        lambda f: every(
            [equal(gain(f, "shortcut", "LSC sum", "raw sum", "both_good", kl), 0.0, 0.03) for kl in parts["low"]]
        ),
        whose=STUDY_ADDS,
        figure="good_in_both_against_kl",
    )
    yield Statement(
        "P2.minimum.clean",
        "two rewards, no shortcut: the minimum of the two makes more responses good in both than the LSC sum at every equal KL",
        "this study: the paper makes no claim on the minimum",
        _always("clean", "LSC sum", "minimum", "both_good", parts["low"] + parts["high"], -1),
        whose=BASELINE,
        figure="good_in_both_against_kl",
    )
    yield Statement(
        "P2.minimum.shortcut",
        f"with a shortcut the two are within six points of each other {words['high']}",
        "this study: the paper makes no claim on the minimum",
        lambda f: every(
            [equal(gain(f, "shortcut", "LSC sum", "minimum", "both_good", kl), 0.0, 0.06) for kl in parts["high"]]
        ),
        whose=BASELINE,
        figure="good_in_both_against_kl",
    )


def _in_its_own_terms(kls):
    """The sum of LSC rewards against the raw sum: the quantity of the theory, the crossover, and the price."""
    for world, place in (("shortcut", "shortcut, unequal prompts"), ("clean", "no shortcut, equal prompts")):
        yield Statement(
            f"P2.log_good.{world}",
            f"two rewards: E log P(good in every property) is higher under the LSC sum than under the raw sum at every equal "
            f"KL ({place})",
            f"{SOURCE}, abstract: the sum is the log-probability of being good in all measured properties",
            _always(world, "LSC sum", "raw sum", "log_good", kls, 1),
            whose=ABSTRACT,
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


def aggregate(found, name, way, at):
    """One column of the policies over hidden types, one number per world."""
    rows = found.rows("aggregate_types")
    return np.array([r[name] for r in rows if r["way"] == way and r["at"] == at], dtype=float)


def _over_types(kls):
    """E: the conjunction over hidden types."""
    worse = lambda f, other, at: difference(aggregate(f, "worst", "LSC sum", at), aggregate(f, "worst", other, at))  # noqa: E731
    yield Statement(
        "E.worst",
        "over hidden types of which one cares more than the others: the worst-served type finds more responses good under the "
        f"LSC sum than under the mean utility at equal KL of {_list(kls)}",
        "this study",
        lambda f: every([at_least(worse(f, "mean utility", at), 0.0) for at in kls]),
        whose=STUDY_ADDS,
        figure="over_hidden_types",
    )
    yield Statement(
        "E.minimum",
        f"at KL {max(kls):g} also more than under the minimum over types, which asks for the least satisfied type and so for "
        "the loudest",
        "this study",
        lambda f: at_least(worse(f, "minimum", max(kls)), 0.0),
        whose=BASELINE,
        figure="over_hidden_types",
    )
    yield Statement(
        "E.price",
        "the price: a lower mean utility at every equal KL",
        "Gibbs' variational principle",
        lambda f: every(
            [
                at_most(difference(*(aggregate(f, "utility", way, at) for way in ("LSC sum", "mean utility"))), 0.0)
                for at in kls
            ]
        ),
        whose=CONTROL,
    )


def _hacking(kls, tag, words):
    for one in ("helpful", "harmless"):
        pair = (f"{one}, LSC", f"{one}, raw")
        text = f"{one} reward: LSC puts less mass on the shortcut than raw {words}"
        judge = _always("shortcut", *pair, "shortcut", kls, -1)
        yield Statement(
            f"P3.{one}.{tag}",
            text,
            f"{SOURCE}, abstract (reward hacking)",
            judge,
            whose=paper_says("abstract"),
            figure="shortcut_and_spread",
        )


def _uniformity(kls):
    """Underfitting is some prompts left behind: win rates differ between prompts, on average along the path of KL."""
    for one in ("helpful", "harmless"):
        yield Statement(
            f"P4.{one}",
            f"{one} reward: LSC's win rates differ less between prompts (standard deviation) than raw's, on average over equal KL "
            f"of {_list(kls)}",
            f"{SOURCE}, abstract (underfitting)",
            lambda f, o=one: at_most(_over_path(f, f"spread_{o}", o, kls), 0.0),
            whose=ABSTRACT,
            figure="shortcut_and_spread",
        )


def _over_path(found, name, one, kls):
    """Difference of LSC and raw, averaged over the path of KL before replicates are compared."""
    path = lambda scheme: np.mean(  # noqa: E731
        [column(found, "frontier", name, {"scheme": f"{one}, {scheme}", "at": kl}, world="shortcut") for kl in kls],
        axis=0,
    )
    return difference(path("LSC"), path("raw"))


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
