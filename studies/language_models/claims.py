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
    t_interval,
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
        lambda f: increasing([t_interval(typed(f, "assigned", "EM-DPO", **at, questions=q)) for q in questions]),
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


def _single_reward(kl):
    """L2, one reward with a shortcut."""
    yield Statement(
        "L2.calibrated",
        "reward models of answers without a shortcut are calibrated: slope of held-out logits 1 within .3",
        HERE,
        lambda f: every(
            [
                equal(t_interval(combined(f, "clean", "raw sum", f"slope_{name}", kl)), 1.0, 0.3)
                for name in ("helpful", "polite")
            ]
        ),
        whose=CONTROL,
    )
    yield Statement(
        "L2.single",
        f"one reward, people who are flattered: at KL {kl:g} LSC beats the 85 % quantile more often than the raw reward",
        f"{P2}, abstract",
        lambda f: at_least(_gain(f, "shortcut", "helpful, LSC", "helpful, raw", "beat_helpful", kl), 0.0),
        whose=ABSTRACT,
        figure="combined_rewards",
    )
    yield Statement(
        "L2.flattery",
        f"and flatters less (mass of the flattering opener at KL {kl:g})",
        f"{P2}, abstract",
        lambda f: at_most(_gain(f, "shortcut", "helpful, LSC", "helpful, raw", "flattery", kl), 0.0),
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
            f"{P2}, abstract",
            lambda f, w=world: at_least(_gain(f, w, "LSC sum", "raw sum", "both_good", kl), 0.0),
            whose=ABSTRACT,
            figure="combined_rewards",
        )
        yield Statement(
            f"L2.best-of.{world}",
            f"and so it does as a choice of the best of {k}",
            HERE,
            lambda f, w=world: at_least(_gain(f, w, "LSC sum", "raw sum", "both_good", k, "best of n"), 0.0),
            whose=STUDY_ADDS,
            figure="combined_rewards",
        )
    yield Statement(
        "L2.log-good",
        f"in the quantity of its own theory, E log P(good in both), the LSC sum is ahead at every KL ({min(kls):g} to {kl:g}; "
        "people who are not flattered)",
        f"{P2}, abstract; transformers learn the rewards",
        lambda f: every([at_least(_gain(f, "clean", "LSC sum", "raw sum", "log_good", at), 0.0) for at in kls]),
        whose=ABSTRACT,
        figure="combined_rewards",
    )


def _better(found, judge, method, name, kind="all", than="none"):
    return difference(judged(found, judge, method, name, kind), judged(found, judge, than, name, kind))


def _labels():
    """L3."""
    yield Statement(
        "L3.weak",
        "a reward model of single votes follows what people prefer less where tastes differ, and where answers are paraphrases, "
        "than where all agree (Pearson)",
        f"{P3}, abstract",
        lambda f: every(
            [
                at_least(
                    difference(
                        judged(f, "faithful", "none", "pearson", "agreed"),
                        judged(f, "faithful", "none", "pearson", kind),
                    ),
                    0.0,
                )
                for kind in HARD
            ]
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
            lambda f, m=method: every([at_least(_better(f, "faithful", m, "pearson", kind), 0.0) for kind in HARD]),
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
            [at_most(_better(f, "faithful", "soft label", "brier", than=m), 0.0) for m in ("M1 unsigned", "M2 signed")]
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
        whose=BASELINE,
        figure="soft_labels",
    )
    yield Statement(
        "L3.persona.unsigned",
        "unsigned margins of the same judges change it by less than .1",
        HERE,
        lambda f: equal(_better(f, "persona", "M1 unsigned", "pearson", "plural"), 0.0, 0.1),
        whose=STUDY_ADDS,
        figure="soft_labels",
    )


def finding(found, judged_claims):
    """When each method works on transformers, when not, and by how much."""
    designs, kl = found.settings["designs"], max(found.settings["kls"])
    most = max(q for k, n, a, q in designs if (k, n, a) == ("plain", 2, "pairs"))
    mean = lambda name, method, **w: float(typed(found, name, method, questions=most, **w).mean())  # noqa: E731
    two = {"kind": "plain", "types": 2}
    both = {w: _gain(found, w, "LSC sum", "raw sum", "both_good", kl).value for w in ("shortcut", "clean")}
    brier = {m: float(judged(found, "faithful", m, "brier").mean()) for m in ("none", "M2 signed", "soft label")}
    lost = _better(found, "persona", "soft label", "pearson", "plural").value
    return (
        f"Tiny transformers, two hidden types, {most} pairs from each annotator: EM-DPO assigns {mean('assigned', 'EM-DPO', **two):.0%} "
        f"of the annotators rightly (k-means on words {mean('assigned', 'k-means', **two):.0%}) and leaves a type "
        f"{mean('regret', 'EM-DPO', **two):.2f} nats from its best policy (k-means and a DPO each "
        f"{mean('regret', 'k-means', **two):.2f}, one DPO {mean('regret', 'one DPO', **two):.2f}). The worst type's regret under one "
        f"policy for all: min-max of EM's types {mean('worst_regret', 'min-max regret', **two):.2f}, their uniform mixture "
        f"{mean('worst_regret', 'uniform mixture', **two):.2f}, one DPO {mean('worst_regret', 'pooled DPO', **two):.2f}. At KL {kl:g} the "
        f"LSC sum makes {100 * both['shortcut']:+.1f} points of answers good in both rewards where people are flattered and "
        f"{100 * both['clean']:+.1f} where they are not. Ten faithful judgements per vote bring the Brier score from "
        f"{brier['none']:.4f} to {brier['M2 signed']:.4f} (signed margins) and {brier['soft label']:.4f} (soft labels); of one persona of "
        f"the minority soft labels change the correlation by {lost:+.2f} where tastes differ."
    )
