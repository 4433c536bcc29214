"""What is claimed of hidden types, combined rewards and soft labels, and what is judged on the transformers."""

from __future__ import annotations

import numpy as np

from annosim.study import (
    BASELINE,
    CONTROL,
    STUDY_ADDS,
    Statement,
    at_least,
    at_most,
    difference,
    equal,
    every,
    increasing,
    inside,
    paper_says,
    provided,
    t_interval,
    worded,
)

from .grammar import SHARES

P1 = "Chidambaram, Seetharaman, Syrgkanis 2405.15065, 2510.15716"
P2 = "Wang et al. 2402.00742"
P3 = "Padmakumar et al. 2412.03822"
HERE = "this study"
ABSTRACT = paper_says("abstract")
HARD = ("plural", "paraphrase")


def column(found, group, name, where, **parameters):
    """One column of the rows of a group that match ``where``, one number per replicate, in their order."""
    rows = found.rows(group, **parameters)
    return np.array([r[name] for r in rows if all(r[k] == v for k, v in where.items())], dtype=float)


def typed(found, name, method, **design):
    """One column of L1 for one method, one number per replicate."""
    return column(found, "hidden_types", name, {"method": method}, answers="pairs", **design)


def combined(found, world, scheme, name, at, by="tilt"):
    """One column of L2 for one scheme at a KL or a number of draws."""
    return column(found, "combined_rewards", name, {"scheme": scheme, "by": by, "at": float(at)}, world=world)


def judged(found, judge, method, name, kind="all"):
    """One column of L3 for one method and one kind of prompts."""
    return column(found, "soft_labels", name, {"method": method, "prompts_are": kind}, judge=judge)


def claims(designs, kls, ks):
    """All statements of a preset."""
    yield Statement(
        "L0.reference",
        "the reference knows the grammar: nats per answer above its entropy",
        "the grammar's own law",
        lambda f: inside(
            t_interval(f.values("reference", "nats") + float(SHARES @ np.log(SHARES))), -0.05, 0.15, "0 to .15 nats"
        ),
        whose=CONTROL,
    )
    plain = {t: sorted(q for k, n, a, q in designs if (k, n, a) == ("plain", t, "pairs")) for t in (2, 3)}
    for types, questions in plain.items():
        if questions:
            yield from _types(types, min(questions), max(questions), questions)
    turning = [(n, q) for k, n, a, q in designs if k == "turning"]
    for types, most in turning:
        yield from _turning(types, most)
    yield from _single_reward(max(kls))
    yield from _sums(kls, max(ks))
    yield from _labels()


def _types(types, one, most, questions):
    """L1 for so many types."""
    at = {"kind": "plain", "types": types}
    few, many = {**at, "questions": one}, {**at, "questions": most}
    people = f"{types} hidden types, {most} pairs from each annotator"

    def gain(f, name, other, method, where):
        return difference(typed(f, name, other, **where), typed(f, name, method, **where))

    yield Statement(
        f"L1.{types}.assigned",
        f"{people}: EM-DPO assigns as many annotators rightly as one who knows the true rewards, within .05",
        HERE,
        lambda f: at_most(gain(f, "assigned", "oracle", "EM-DPO", many), 0.05),
        whose=STUDY_ADDS,
        figure="hidden_types",
    )
    yield Statement(
        f"L1.{types}.answers",
        f"{types} hidden types: of the same number of answers, more from each annotator assign more annotators rightly "
        f"({', '.join(map(str, questions))} each)",
        f"{P1}, lemma: many varied pairs of one user identify that user",
        lambda f: increasing(
            [t_interval(typed(f, "assigned", "EM-DPO", **at, questions=q)) for q in questions],
            [f"{q} each" for q in questions],
        ),
        whose=paper_says("the lemma on many varied pairs of one user"),
        figure="hidden_types",
    )
    yield Statement(
        f"L1.{types}.one-dpo",
        f"{people}: EM-DPO's policies are nearer to what each type wants than one DPO (mean regret, nats per prompt)",
        f"{P1}, abstract",
        lambda f: at_least(gain(f, "regret", "one DPO", "EM-DPO", many), 0.0),
        whose=ABSTRACT,
        figure="hidden_types",
    )
    for where, q in ((many, most), (few, one)):
        yield Statement(
            f"L1.{types}.k-means.{q}",
            f"{types} hidden types, {q} {'pair' if q == 1 else 'pairs'} from each annotator: EM-DPO's policies are nearer to "
            "what each type wants than those of k-means and a DPO per cluster (mean regret)",
            HERE,
            lambda f, w=where: at_least(gain(f, "regret", "k-means", "EM-DPO", w), 0.0),
            whose=BASELINE,
            figure="hidden_types",
        )
    yield Statement(
        f"L1.{types}.known",
        f"{people}: not knowing the types costs EM-DPO at most .1 nats of mean regret against a DPO per true type",
        HERE,
        lambda f: at_least(gain(f, "regret", "oracle", "EM-DPO", many), -0.1),
        whose=STUDY_ADDS,
        figure="hidden_types",
    )
    for other, whose, source in (("pooled DPO", ABSTRACT, f"{P1}, abstract"), ("uniform mixture", STUDY_ADDS, HERE)):
        yield Statement(
            f"L1.{types}.min-max.{other.replace(' ', '-')}",
            f"{people}: the worst type's regret under the min-max policy of EM's types is below that under: {other}",
            source,
            lambda f, o=other: at_least(gain(f, "worst_regret", o, "min-max regret", many), 0.0),
            whose=whose,
            figure="one_policy",
        )


def _turning(types, most):
    """Tastes that turn with the prompt: no word is anybody's favourite."""
    where = {"kind": "turning", "types": types, "questions": most}
    yield Statement(
        "L1.turning.k-means",
        f"tastes that turn with the prompt, {most} pairs from each annotator: k-means on words assigns at most .1 more than "
        "the larger type's share rightly",
        HERE,
        lambda f: at_most(t_interval(typed(f, "assigned", "k-means", **where)), 0.7),
        whose=BASELINE,
        figure="hidden_types",
    )
    yield Statement(
        "L1.turning.em",
        "there EM-DPO, which reads the prompt, still assigns at least .8",
        HERE,
        lambda f: at_least(t_interval(typed(f, "assigned", "EM-DPO", **where)), 0.8),
        whose=STUDY_ADDS,
        figure="hidden_types",
    )


def _gain(found, world, better, worse, name, at, by="tilt"):
    return difference(combined(found, world, better, name, at, by), combined(found, world, worse, name, at, by))


def calibrated(found, kl):
    """Whether the reward models have the scale that LSC reads off them (one slope for all KLs)."""
    names = ("helpful", "polite")
    slopes = [t_interval(combined(found, "clean", "raw sum", f"slope_{name}", kl)) for name in names]
    return every([equal(slope, 1.0, 0.3) for slope in slopes], labels=names)


def _where_calibrated(found, kl, judgement):
    """LSC is a function of the scale of rewards: with another scale than the annotators' it is another method."""
    return provided(calibrated(found, kl), judgement, "L2.calibrated")


def _single_reward(kl):
    """L2, one reward with a shortcut."""
    yield Statement(
        "L2.calibrated",
        "reward models of answers without a shortcut are calibrated: slope of held-out logits 1 within .3",
        HERE,
        lambda f: calibrated(f, kl),
        whose=CONTROL,
    )
    yield Statement(
        "L2.single",
        f"one reward, people who are flattered: at KL {kl:g} LSC beats the 85 % quantile more often than the raw reward",
        f"{P2}, abstract",
        lambda f: _where_calibrated(
            f, kl, at_least(_gain(f, "shortcut", "helpful, LSC", "helpful, raw", "beat_helpful", kl), 0.0)
        ),
        whose=ABSTRACT,
        figure="combined_rewards",
    )
    yield Statement(
        "L2.flattery",
        f"and flatters less (mass of the flattering opener at KL {kl:g})",
        f"{P2}, abstract",
        lambda f: _where_calibrated(
            f, kl, at_most(_gain(f, "shortcut", "helpful, LSC", "helpful, raw", "flattery", kl), 0.0)
        ),
        whose=ABSTRACT,
        figure="combined_rewards",
    )


def _sums(kls, k):
    """L2, two rewards."""
    kl = max(kls)
    for world, words in (("shortcut", "people who are flattered"), ("clean", "people who are not")):
        yield Statement(
            f"L2.sum.{world}",
            f"two rewards, {words}: at KL {kl:g} the LSC sum makes more answers good in both than the raw sum",
            f"{P2}, abstract"
            if world == "shortcut"
            else "this study: without a shortcut the two cross at some KL (reward_transforms)",
            lambda f, w=world: _where_calibrated(
                f, kl, at_least(_gain(f, w, "LSC sum", "raw sum", "both_good", kl), 0.0)
            ),
            whose=ABSTRACT if world == "shortcut" else STUDY_ADDS,
            figure="combined_rewards",
        )
        yield Statement(
            f"L2.best-of.{world}",
            f"and so it does as a choice of the best of {k}",
            HERE,
            lambda f, w=world: _where_calibrated(
                f, kl, at_least(_gain(f, w, "LSC sum", "raw sum", "both_good", k, "best of n"), 0.0)
            ),
            whose=STUDY_ADDS,
            figure="combined_rewards",
        )
    yield Statement(
        "L2.log-good",
        f"in the quantity of its own theory, E log P(good in both), the LSC sum is ahead at every KL ({min(kls):g} to {kl:g}; "
        "people who are not flattered)",
        f"{P2}, abstract; transformers learn the rewards",
        lambda f: _where_calibrated(
            f,
            kl,
            every(
                [at_least(_gain(f, "clean", "LSC sum", "raw sum", "log_good", at), 0.0) for at in kls],
                labels=[f"KL {at:g}" for at in kls],
            ),
        ),
        whose=ABSTRACT,
        figure="combined_rewards",
    )


def _better(found, judge, method, name, kind="all", than="none"):
    return difference(judged(found, judge, method, name, kind), judged(found, judge, than, name, kind))


def learnable(found, kinds=HARD):
    """Whether a reward model of this size learns anything where tastes differ and among paraphrases: from the best labels."""
    reached = [t_interval(judged(found, "faithful", "soft label", "pearson", kind)) for kind in kinds]
    return every([at_least(one, 0.2) for one in reached], labels=kinds)


def _where_learnable(found, judgement, kinds=HARD):
    """What nobody can learn at this size, no margin can improve, and nothing of it can be lost."""
    return provided(learnable(found, kinds), judgement, "L3.learnable")


def _labels():
    """L3."""
    yield Statement(
        "L3.learnable",
        "a reward model of this size learns what people prefer where tastes differ and among paraphrases, when it is told by soft "
        "labels of ten faithful judgements (Pearson)",
        HERE,
        learnable,
        "correlation at least .2 in both",
        whose=CONTROL,
        figure="soft_labels",
    )
    yield Statement(
        "L3.weak",
        "a reward model of single votes follows what people prefer less where tastes differ, and where answers are paraphrases, "
        "than where all agree (Pearson)",
        f"{P3}, abstract",
        lambda f: _where_learnable(
            f,
            every(
                [
                    at_least(
                        difference(*(judged(f, "faithful", "none", "pearson", at) for at in ("agreed", kind))), 0.0
                    )
                    for kind in HARD
                ],
                labels=[f"agreed less {kind}" for kind in HARD],
            ),
        ),
        whose=ABSTRACT,
        figure="soft_labels",
    )
    for method in ("M1 unsigned", "M2 signed"):
        short, source = method.split()[0], f"{P3}, abstract; the formula is this study's reading"
        yield Statement(
            f"L3.pearson.{short}",
            f"{method} margins of ten faithful judgements raise the correlation where tastes differ and among paraphrases",
            source,
            lambda f, m=method: _where_learnable(
                f, every([at_least(_better(f, "faithful", m, "pearson", kind), 0.0) for kind in HARD], labels=HARD)
            ),
            whose=ABSTRACT,
            figure="soft_labels",
        )
        yield Statement(
            f"L3.brier.{short}",
            f"{method} margins lower the Brier score over all prompts (after one temperature)",
            source,
            lambda f, m=method: at_most(_better(f, "faithful", m, "brier"), 0.0),
            whose=ABSTRACT,
            figure="soft_labels",
        )
    yield Statement(
        "L3.soft.brier",
        "soft labels lower the Brier score over all prompts",
        HERE,
        lambda f: at_most(_better(f, "faithful", "soft label", "brier"), 0.0),
        whose=BASELINE,
        figure="soft_labels",
    )
    yield Statement(
        "L3.soft.best",
        "and more than either margin",
        HERE,
        lambda f: every(
            [at_most(_better(f, "faithful", "soft label", "brier", than=m), 0.0) for m in ("M1 unsigned", "M2 signed")],
            labels=["less M1", "less M2"],
        ),
        whose=BASELINE,
        figure="soft_labels",
    )
    yield Statement(
        "L3.majority",
        "training on the judges' majority lowers the Brier score less than soft labels",
        HERE,
        lambda f: at_least(_better(f, "faithful", "majority", "brier", than="soft label"), 0.0),
        whose=BASELINE,
        figure="soft_labels",
    )
    yield Statement(
        "L3.persona.soft",
        "judges who are all one persona of the minority: soft labels lose correlation where tastes differ",
        HERE,
        lambda f: at_most(_better(f, "persona", "soft label", "pearson", "plural"), 0.0),
        "change of the correlation at most 0",
        whose=BASELINE,
        figure="soft_labels",
    )
    yield Statement(
        "L3.persona.unsigned",
        "unsigned margins of the same judges change it by less than .1",
        HERE,
        lambda f: _where_learnable(
            f, equal(_better(f, "persona", "M1 unsigned", "pearson", "plural"), 0.0, 0.1), ("plural",)
        ),
        whose=STUDY_ADDS,
        figure="soft_labels",
    )


def finding(found, judged_claims):
    """When each method works on transformers, when not, and by how much, in the words that the verdicts allow."""
    designs, kl = found.settings["designs"], max(found.settings["kls"])
    asked = sorted(q for k, n, a, q in designs if (k, n, a) == ("plain", 2, "pairs"))
    most, ids = asked[-1], {c.id for c in judged_claims}
    mean = lambda name, method, q=most: float(typed(found, name, method, kind="plain", types=2, questions=q).mean())  # noqa: E731
    nats = {m: f"{mean('regret', m):.2f}" for m in ("EM-DPO", "oracle", "one DPO", "k-means")}
    worst = {m: f"{mean('worst_regret', m):.2f}" for m in ("min-max regret", "uniform mixture", "pooled DPO")}
    by_questions = ", ".join(f"{mean('assigned', 'EM-DPO', q):.0%} with {q}" for q in asked)
    both = {w: 100 * _gain(found, w, "LSC sum", "raw sum", "both_good", kl).value for w in ("shortcut", "clean")}
    brier = {m: f"{judged(found, 'faithful', m, 'brier').mean():.4f}" for m in ("none", "M2 signed", "soft label")}
    say = lambda *words: worded(judged_claims, *words)  # noqa: E731
    sentences = [
        say(
            "L1.2.one-dpo",
            f"Tiny transformers, two hidden types, {most} pairs from each annotator: EM-DPO works and leaves a type {nats['EM-DPO']} "
            f"nats from its best policy (a DPO per true type {nats['oracle']}, k-means and a DPO each {nats['k-means']}, one DPO "
            f"{nats['one DPO']}).",
            f"Tiny transformers, two hidden types, {most} pairs from each annotator: EM-DPO is no better than one DPO "
            f"({nats['EM-DPO']} against {nats['one DPO']} nats from a type's best policy).",
            f"Tiny transformers, two hidden types, {most} pairs from each annotator: whether EM-DPO beats one DPO is not decided "
            f"({nats['EM-DPO']} against {nats['one DPO']} nats from a type's best policy).",
        ),
        say(
            "L1.2.answers",
            f"It needs several answers from each: of the same number in all it assigns {by_questions}.",
            f"More answers from each do not help: it assigns {by_questions}.",
            f"What more answers from each do is not decided: it assigns {by_questions}.",
        ),
        say(
            "L1.2.min-max.pooled-DPO",
            f"One policy for all: the worst-off type's regret is {worst['min-max regret']} by min-max of EM's types, "
            f"{worst['uniform mixture']} by their uniform mixture, {worst['pooled DPO']} by one DPO.",
            f"One policy for all by min-max of EM's types does not spare the worst-off type ({worst['min-max regret']} against "
            f"{worst['pooled DPO']} by one DPO).",
            f"Whether min-max of EM's types spares the worst-off type against one DPO is not decided ({worst['min-max regret']} "
            f"against {worst['pooled DPO']}).",
        ),
    ]
    if "L1.turning.em" in ids:
        types, questions = next((n, q) for k, n, a, q in designs if k == "turning")
        turned = typed(found, "assigned", "EM-DPO", kind="turning", types=types, questions=questions).mean()
        sentences.append(
            say(
                "L1.turning.em",
                f"Where tastes turn with the prompt it still assigns {turned:.0%}.",
                f"Where tastes turn with the prompt it fails ({turned:.0%} assigned rightly).",
                f"Where tastes turn with the prompt it assigns {turned:.0%}, which is not decided against .8.",
            )
        )
    sentences += [
        say(
            "L2.calibrated",
            f"At KL {kl:g} the LSC sum changes the answers good in both rewards by {both['shortcut']:+.1f} points where people are "
            f"flattered (that it makes more of them: {_verdict(judged_claims, 'L2.sum.shortcut')}) and {both['clean']:+.1f} where "
            f"they are not ({_verdict(judged_claims, 'L2.sum.clean')}).",
            f"Combined rewards are not judged: LSC reads the scale of rewards that are not calibrated (slopes: {calibrated(found, kl)}).",
            "Combined rewards are not judged: LSC reads the scale of rewards that are not known to be calibrated (slopes: "
            f"{calibrated(found, kl)}).",
        ),
        say(
            "L3.soft.brier",
            f"Ten faithful judgements per vote lower the Brier score from {brier['none']} to {brier['soft label']} as soft labels",
            f"Ten faithful judgements per vote do not lower the Brier score as soft labels ({brier['none']}, {brier['soft label']})",
            f"Whether ten faithful judgements per vote lower the Brier score as soft labels is not decided ({brier['none']}, "
            f"{brier['soft label']})",
        ),
        say(
            "L3.brier.M2",
            f"and to {brier['M2 signed']} as signed margins;",
            f"and not as signed margins ({brier['M2 signed']});",
            f"nor whether signed margins do ({brier['M2 signed']})."
            if _open(judged_claims, "L3.soft.brier")
            else f"(signed margins: {brier['M2 signed']}, not decided);",
        ),
        say(
            "L3.learnable",
            "what they do where tastes differ is judged below.",
            f"where tastes differ or answers are paraphrases this model learns too little to judge them (correlation: {learnable(found)}).",
            f"where tastes differ or answers are paraphrases it is not known to learn enough to judge them (correlation: "
            f"{learnable(found)}).",
        ),
    ]
    return " ".join(sentences)


def _verdict(claims, name):
    return next(c.verdict for c in claims if c.id == name)


def _open(claims, name):
    return _verdict(claims, name) not in ("supported", "contradicted")
