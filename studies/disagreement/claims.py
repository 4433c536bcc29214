"""What is claimed of disagreement, and what is judged."""

from __future__ import annotations

import numpy as np

from annosim.study import (
    BASELINE,
    CONTROL,
    STUDY_ADDS,
    Attribution,
    Estimate,
    Statement,
    at_least,
    at_most,
    difference,
    equal,
    every,
    increasing,
    paper_says,
    t_interval,
    true,
)

SOURCE = "Padmakumar et al. 2412.03822"
HERE = "this study's formulas"
ABSTRACT = paper_says("abstract")
HARD = ("plural", "paraphrase", "both")
METHODS = ("M1 unsigned", "M2 signed", "M3 inside", "soft label", "majority", "constant")


def _whose(method) -> Attribution:
    """Of each of this study's three readings of the abstract, all of them alike; the others are baselines."""
    return STUDY_ADDS if method.startswith("M") else BASELINE


def _source(method):
    return f"this study's reading of {SOURCE}, abstract" if method.startswith("M") else "this study"


def column(found, group, name, where, **parameters):
    """One column of the rows of a group that match ``where``, one number per replicate, in their order."""
    rows = found.rows(group, **parameters)
    return np.array([r[name] for r in rows if all(r[k] == v for k, v in where.items())], dtype=float)


def cell(found, name, kind, model="votes"):
    """A score of the single-vote (or infinite-data) reward model in one kind of prompts."""
    return column(found, "single_votes", name, {"prompts_are": kind, "model": model})


def gap(found, kind, model="votes"):
    """How far the correlation of a reward model's forecasts with observed shares stays below the noise ceiling."""
    return cell(found, "ceiling_share", kind, model) - cell(found, "pearson_share", kind, model)


def gain(found, method, name, kind, judge="faithful", judges=10, level=0.95):
    """Paired difference of a method to plain Bradley-Terry on the same votes."""
    parts = [
        column(found, "margins", name, {"method": m, "prompts_are": kind}, judge=judge, judges=judges)
        for m in (method, "none")
    ]
    return difference(*parts, level=level)


def real_gain(found, method, name, kind):
    """The same on the real votes, with the interval for random splits."""
    parts = [column(found, "held_out_scores", name, {"method": m}, kind=kind) for m in (method, "none")]
    return split_interval(parts[0] - parts[1], _test_share(found, kind))


def debate_gain(found, method, name):
    """The same with one debate left out: debates are the units, each with other texts and other annotators. Of each the
    mean over draws of the votes that are learned from."""
    by_debate = []
    for debate in range(found.settings["debates"]):
        parts = [column(found, "other_debates", name, {"method": m}, debate=debate) for m in (method, "none")]
        by_debate.append(float(np.mean(parts[0] - parts[1])))
    return t_interval(by_debate)


def _test_share(found, kind):
    """Held-out pairs per training pair."""
    return float(np.mean([r["test_pairs"] / r["train_pairs"] for r in found.rows("held_out_scores", kind=kind)]))


def split_interval(values, ratio, level=0.95):
    """Mean over random splits of one data set with the corrected t interval (Nadeau and Bengio 2003): splits share most
    of their pairs, so that their variance is multiplied by ``1/n + ratio`` instead of ``1/n``."""
    from scipy.stats import t

    n, mean = len(values), float(np.mean(values))
    if n == 1:
        return Estimate(mean, -np.inf, np.inf, "one split: no interval", 1)
    half = float(t.ppf(0.5 + level / 2, n - 1) * np.std(values, ddof=1) * np.sqrt(1 / n + ratio))
    return Estimate(mean, mean - half, mean + half, f"corrected t over splits, {level:.0%}", n)


def formula_statements():
    """Closed forms of the optimum of one pair."""
    names = {
        "M1 unsigned": "e^d = [(2p-1) + sqrt((2p-1)^2 + 4p(1-p)k^2)] / [2(1-p)k], k = e^-m",
        "M2 signed": "d = logit p + alpha (2q - 1)",
        "M3 inside": "the first with -m: it shrinks |d|",
        "soft label": "d = logit q",
    }
    for name, formula in names.items():
        yield Statement(
            f"F.{name.split()[0]}",
            f"{name}: on one pair, {formula} (largest error against the projection)",
            HERE,
            lambda f, n=name: every(
                [equal(r["gap"] - r["closed_form"], 0, 1e-7) for r in f.rows("one_pair") if r["objective"] == n]
            ),
            whose=CONTROL,
            figure="closed_forms",
        )
    for p, m, value in ((0.55, 0.5, 0.2653), (0.7, 1.0, 1.4309)):
        yield Statement(
            f"F.M1.{p}",
            f"M1 at p = {p}, m = {m}: d = {value}",
            HERE,
            lambda f, p=p, m=m, v=value: equal(
                next(r["gap"] for r in f.rows("one_pair", p=p, m=m) if r["objective"] == "M1 unsigned"), v, 6e-5
            ),
            whose=CONTROL,
            figure="closed_forms",
        )
    yield Statement(
        "F.inflates",
        "M1 inflates |d| and M3 shrinks it at every p but 1/2",
        HERE,
        lambda f: every([_wider(f, "M1 unsigned", 1), _wider(f, "M3 inside", -1)], labels=("M1", "M3")),
        whose=CONTROL,
        figure="closed_forms",
    )


def _wider(found, name, sign):
    rows = found.rows("one_pair")
    plain = {(r["p"], r["m"]): abs(r["gap"]) for r in rows if r["objective"] == "none"}
    steps = [sign * (abs(r["gap"]) - plain[r["p"], r["m"]]) for r in rows if r["objective"] == name]
    return at_least(min(steps), 1e-6)


def share_of_ceiling(found, kind):
    """How much of the noise ceiling the reward model's correlation reaches in one kind of prompts, less the same where
    people agree."""
    return ratio_gap(*[(cell(found, "pearson_share", k), cell(found, "ceiling_share", k)) for k in (kind, "agreed")])


def ratio_gap(first, second):
    """Difference of two ratios of means, each of a pair of samples over the same replicates, with the t interval of its
    linearised replicates (delta method)."""
    ratio = [reached.mean() / ceiling.mean() for reached, ceiling in (first, second)]
    moved = [(a - r * b) / b.mean() for (a, b), r in zip((first, second), ratio, strict=True)]
    return t_interval(ratio[0] - ratio[1] + moved[0] - moved[1])


def table_statements():
    """The 2 x 2. Low correlation is built into a cell where people hardly differ from coins, so that what is judged is how
    far the model stays below what the truth itself reaches there."""
    for kind in HARD:
        whose = STUDY_ADDS if kind == "both" else ABSTRACT
        yield Statement(
            f"A1.{kind}",
            f"as the cells were made, a reward model of single votes correlates less with the share of 4 held-out votes where "
            f"responses are {kind} than where people agree",
            "this study",
            lambda f, k=kind: at_least(_lost(f, k), 0.0),
            whose=CONTROL,
            figure="correlation_by_cell",
        )
        yield Statement(
            f"A3.{kind}",
            f"reward models of single votes correlate weakly where responses are {kind}, beyond the votes' own noise: they reach a "
            "smaller share of the noise ceiling than where people agree (difference of the shares)",
            f"{SOURCE}, abstract: weakly; the comparison with the ceiling is this study's",
            lambda f, k=kind: at_most(share_of_ceiling(f, k), 0.0),
            whose=whose,
            figure="correlation_by_cell",
        )
        yield Statement(
            f"A3.{kind}.points",
            f"and in points of correlation, of which there are fewer to lose, the gap to the ceiling is larger, too ({kind})",
            "this study",
            lambda f, k=kind: at_least(difference(gap(f, k), gap(f, "agreed")), 0.0),
            whose=STUDY_ADDS,
            figure="correlation_by_cell",
        )
    yield Statement(
        "A4.paraphrase",
        "infinite data close the gap where responses are paraphrases (noise was the only obstacle)",
        "this study",
        lambda f: at_most(t_interval(gap(f, "paraphrase", "infinite data")), 0.02),
        whose=STUDY_ADDS,
        figure="correlation_by_cell",
    )
    yield Statement(
        "A4.plural",
        "infinite data do not close it where tastes differ (one reward cannot be all of them)",
        "this study",
        lambda f: at_least(t_interval(gap(f, "plural", "infinite data")), 0.02),
        whose=STUDY_ADDS,
        figure="correlation_by_cell",
    )


def _best_reading(found):
    """The reading that raises the correlation most where it raises it least; intervals for the best of three."""
    raised = {m: [gain(found, m, "pearson", k, level=1 - 0.05 / 3) for k in HARD] for m in METHODS[:3]}
    best = max(raised, key=lambda m: min(e.value for e in raised[m]))
    return every([at_least(e, 0.0) for e in raised[best]], labels=[f"{best}, {kind}" for kind in HARD])


def margin_statements():
    """What the judges add."""
    yield Statement(
        "M.paper",
        "margins from synthetic judgements (ten faithful ones per pair) bring reward models nearer to the aggregate preference where "
        "people disagree, in the best of three readings of how (correlation with the true preference, all three hard cells)",
        f"{SOURCE}, abstract; the formulas are this study's readings",
        _best_reading,
        whose=ABSTRACT,
        figure="what_margins_change",
    )
    for method in METHODS:
        yield Statement(
            f"M.corr.{method}",
            f"{method} (10 faithful judgements per pair) raises the correlation with the "
            f"true preference "
            "in all three hard cells",
            _source(method),
            lambda f, m=method: every([at_least(gain(f, m, "pearson", k), 0.0) for k in HARD], labels=HARD),
            whose=_whose(method),
            figure="what_margins_change",
        )
        yield Statement(
            f"M.brier.{method}",
            f"{method} lowers the Brier score in all three hard cells (after one temperature fitted on held-out votes)",
            _source(method),
            lambda f, m=method: every([at_most(gain(f, m, "brier", k), 0.0) for k in HARD], labels=HARD),
            whose=_whose(method),
            figure="what_margins_change",
        )
        yield Statement(
            f"M.ece.{method}",
            f"{method} lowers the calibration error over all prompts (after one temperature)",
            _source(method),
            lambda f, m=method: at_most(gain(f, m, "ece", "all"), 0.0),
            whose=_whose(method),
            figure="size_and_bias_of_judges",
        )
    yield Statement(
        "M.best",
        "soft labels beat every margin in Brier score over all prompts (10 faithful judgements)",
        "this study",
        lambda f: every([at_most(_between(f, "soft label", m), 0.0) for m in METHODS[:3]], labels=METHODS[:3]),
        whose=BASELINE,
        figure="size_and_bias_of_judges",
    )


def judge_statements():
    """What kind of judge?"""
    change = lambda f, method, judge, kind="plural", name="pearson": gain(f, method, name, kind, judge)  # noqa: E731
    yield Statement(
        "J.persona.soft",
        "judges who are one persona (ten judgements a pair, all by one of the six types): soft labels lose correlation where "
        "tastes differ",
        "this study",
        lambda f: at_most(change(f, "soft label", "one persona"), 0.0),
        whose=BASELINE,
        figure="kinds_of_judges",
    )
    yield Statement(
        "J.persona.unsigned",
        "unsigned margins of the same judges lose nothing there",
        "this study",
        lambda f: equal(change(f, "M1 unsigned", "one persona"), 0.0, 0.05),
        whose=STUDY_ADDS,
        figure="kinds_of_judges",
    )
    for method in ("M2 signed", "M3 inside"):
        yield Statement(
            f"J.persona.{method.split()[0]}",
            f"{method} margins of one persona lose correlation where tastes differ",
            "this study",
            lambda f, m=method: at_most(change(f, m, "one persona"), 0.0),
            whose=STUDY_ADDS,
            figure="kinds_of_judges",
        )
    yield Statement(
        "J.confident.soft",
        "over-confident judges: after one temperature soft labels are still better than none (Brier score, all prompts)",
        "this study",
        lambda f: at_most(change(f, "soft label", "over-confident", "all", "brier"), 0.0),
        whose=BASELINE,
        figure="kinds_of_judges",
    )
    yield Statement(
        "J.panel",
        "ten judgements of a correlated panel (correlation .5) are worth 1.8 votes: soft labels of them fall between those of "
        "one and of three independent judgements (Brier score, all prompts)",
        "this study",
        lambda f: every(
            [
                at_least(_apart(f, ("correlated panel", 10), ("faithful", 3)), 0.0),
                at_most(_apart(f, ("correlated panel", 10), ("faithful", 1)), 0.0),
            ],
            labels=("panel less three", "panel less one"),
        ),
        whose=BASELINE,
        figure="kinds_of_judges",
    )
    for method in ("M2 signed", "M3 inside", "soft label"):
        yield Statement(
            f"J.style.{method}",
            f"judges with a taste for a style make {method} worse than no judge (Pearson, all prompts)",
            "this study",
            lambda f, m=method: at_most(change(f, m, "biased by style", "all"), 0.0),
            whose=BASELINE if method == "soft label" else STUDY_ADDS,
            figure="kinds_of_judges",
        )


def _apart(found, first, second):
    """Brier score of soft labels of two kinds of judges, on the same worlds."""
    parts = [
        column(found, "margins", "brier", {"method": "soft label", "prompts_are": "all"}, judge=judge, judges=count)
        for judge, count in (first, second)
    ]
    return difference(*parts)


def paraphrase_statements(shares):
    """F: raters who cannot tell, and raters of two minds."""
    group = "paraphrase_twins"
    some = [s for s in shares if s > 0]
    yield Statement(
        "P.same",
        "raters who cannot tell paraphrases apart and raters of two minds about them: one answer each has one law, and one "
        "reward, whatever the share of paraphrases",
        "this study",
        lambda f: every(
            [at_most(v, 1e-12) for v in f.values(group, "one_answer")]
            + [at_most(v, 1e-6) for v in f.values(group, "rewards_apart")],
            "laws within 1e-12, rewards within 1e-6",
        ),
        whose=CONTROL,
        figure="paraphrase_twins",
    )
    yield Statement(
        "P.blind",
        "that reward is right about the content and indifferent between paraphrases, whatever their share (infinite data)",
        "this study",
        lambda f: every(
            [
                at_most(v, 1e-6)
                for s in some
                for c in ("variant_weight", "content_error")
                for v in f.values(group, c, share=s)
            ]
        ),
        whose=CONTROL,
        figure="paraphrase_twins",
    )
    yield Statement(
        "P.cost",
        "which costs raters who cannot tell nothing, and each of two minds a regret",
        "this study",
        lambda f: every(
            [
                at_most(t_interval(f.values(group, "cost_cannot_tell", share=max(shares))), 1e-6),
                at_least(t_interval(f.values(group, "cost_two_minds", share=max(shares))), 0.1),
            ],
            "at most 1e-6 nats against at least .1",
            ("cannot tell", "of two minds"),
        ),
        whose=STUDY_ADDS,
        figure="paraphrase_twins",
    )
    yield Statement(
        "P.slower",
        "the content is learned more slowly the more paraphrases are asked",
        "this study",
        lambda f: at_least(
            difference(
                f.values(group, "finite_error", share=max(shares)), f.values(group, "finite_error", share=min(shares))
            ),
            0.0,
        ),
        "error at the largest share above that at the smallest",
        whose=STUDY_ADDS,
        figure="paraphrase_twins",
    )
    yield Statement(
        "P.repeat",
        "two answers by the same rater separate the two, the sooner the more paraphrases are asked (annotators for odds of 20)",
        "this study",
        lambda f: increasing(
            [f.estimate(group, "annotators_needed", share=s) for s in sorted(some, reverse=True)],
            [f"share {s:g}" for s in sorted(some, reverse=True)],
        ),
        whose=STUDY_ADDS,
        figure="paraphrase_twins",
    )


def _lost(found, kind):
    return difference(cell(found, "pearson_share", "agreed"), cell(found, "pearson_share", kind))


def _over_one_vote(found, kind):
    parts = [column(found, "held_out_scores", n, {"method": "none"}, kind=kind) for n in ("pearson", "one_vote")]
    return split_interval(parts[0] - parts[1], _test_share(found, kind))


def _between(found, first, second):
    at = {"judge": "faithful", "judges": 10}
    parts = [column(found, "margins", "brier", {"method": m, "prompts_are": "all"}, **at) for m in (first, second)]
    return difference(*parts)


def kind_statements():
    """Which kind of disagreement?"""
    far = lambda f, g, q: f.exact(g, "distance", questions=q)  # noqa: E731
    for group, words in (("laws", "random responses"), ("laws_on_real_pairs", "pairs asked in a real debate")):
        yield Statement(
            f"K1.{group}",
            f"one answer each: two opposite camps and people who cannot tell have the same law ({words})",
            "this study",
            lambda f, g=group: at_most(far(f, g, 1), 1e-12),
            whose=CONTROL,
            figure="repeated_answers",
        )
        yield Statement(
            f"K2.{group}",
            f"two answers each separate them ({words}; total variation)",
            "this study",
            lambda f, g=group: at_least(far(f, g, 2), 0.01),
            whose=STUDY_ADDS,
            figure="repeated_answers",
        )
        yield Statement(
            f"K3.{group}",
            f"identify says so: not identified from one answer each, identified locally from two ({words})",
            "this study",
            lambda f, g=group: true(_verdicts(f, g), "not_identified, then locally_identified"),
            whose=CONTROL,
        )
    who = lambda f, people, name, swap: t_interval(  # noqa: E731
        column(f, "repeated_answers", name, {"people": people}, swap=swap)
    )
    yield Statement(
        "K4.plural",
        "asked again with sides swapped, people of strong tastes agree with themselves",
        "this study",
        lambda f: at_least(who(f, "plural", "within", True), 0.9),
        whose=CONTROL,
        figure="repeated_answers",
    )
    for people, words in (("paraphrases", "see paraphrases"), ("below the j.n.d.", "see no difference")):
        yield Statement(
            f"K4.{people.split()[0]}",
            f"and people who {words} do so at chance",
            "this study",
            lambda f, p=people: equal(who(f, p, "within", True), 0.5, 0.02),
            whose=CONTROL,
            figure="repeated_answers",
        )
    yield Statement(
        "K5.rival",
        "without swapping sides a position bias looks like taste",
        "this study",
        lambda f: at_least(who(f, "position bias", "within", False), 0.7),
        whose=CONTROL,
        figure="repeated_answers",
    )
    yield Statement(
        "K5.swapped",
        "swapping unmasks it",
        "this study",
        lambda f: equal(who(f, "position bias", "within", True), 0.5, 0.02),
        whose=CONTROL,
        figure="repeated_answers",
    )
    yield Statement(
        "K6",
        "the real votes hold no repeated answer of one annotator, so they cannot tell the kinds apart (pairs of "
        "answers by one annotator to one question)",
        "UKPConvArg1",
        lambda f: equal(f.exact("laws_on_real_pairs", "within_pairs", questions=1), 0, 0.5),
        whose=STUDY_ADDS,
    )


def _verdicts(found, group):
    verdicts = [found.get(group, "verdict", questions=q) for q in (1, 2)]
    return verdicts == ["not_identified", "locally_identified"]


def real_statements(models, debates):
    """The votes of UKPConvArg1. Methods are compared with the linear model, whose fit is exact; a network's scores vary with its
    training by more than methods differ, so that the figure shows them and no claim is made."""
    for kind in models:
        yield Statement(
            f"R0.{kind}",
            f"a {kind} reward model of one vote per pair predicts the others' votes on new "
            f"arguments better "
            "than one more vote does (Pearson)",
            "this study",
            lambda f, k=kind: at_least(_over_one_vote(f, k), 0.0),
            whose=STUDY_ADDS,
            figure="real_votes",
        )
    places = [
        ("linear", "new arguments of the same debates", lambda f, m, n: real_gain(f, m, n, "linear"), "real_votes")
    ]
    if debates:
        places.append(("debate", f"one debate left out of the {debates} that there are", debate_gain, "other_debates"))
    for place, where, change, figure in places:
        for method in ("M1 unsigned", "M2 signed", "M3 inside", "soft label"):
            for name, words, judge in (
                ("pearson", "raises the correlation", at_least),
                ("brier", "lowers the Brier score", at_most),
            ):
                yield Statement(
                    f"R.{place}.{name}.{method}",
                    f"{where}, linear model: {method} from the other annotators {words}",
                    _source(method),
                    lambda f, m=method, n=name, j=judge, c=change: j(c(f, m, n), 0.0),
                    whose=_whose(method),
                    figure=figure,
                )
    for method in ("M2 signed, judged by a model", "M3 inside, judged by a model"):
        yield Statement(
            f"R.model.{method.split(',')[0]}",
            f"linear model: {method} (the judge learned from half of the votes) changes the Brier score by less than .001",
            "this study",
            lambda f, m=method: equal(real_gain(f, m, "brier", "linear"), 0.0, 0.001),
            whose=STUDY_ADDS,
        )
