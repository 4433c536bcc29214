"""What the paper claims of the toy experiments, judged on the cells' results."""

from __future__ import annotations

import numpy as np

from annosim.study import (
    CONTROL,
    STUDY_ADDS,
    Statement,
    at_least,
    at_most,
    binomial_interval,
    equal,
    every,
    increasing,
    inside,
    paper_says,
    true,
    worded,
)

PAPER = "Dumoulin et al. 2311.14115"
#: the figure that shows an experiment
_FIGURE = {"E1": "reward", "E2": "dpo", "E3": "dpo_annotator", "E4": "geometric", "E6": "ipo"}


def toy_claims(networks):
    """E1-E4 and E6: the three levels agree, and the peaks are those of the theory."""
    from . import world

    names = list(world.SETTINGS)
    yield Statement(
        "levels-exact",
        "infinite-data optimum (project) and the paper's density are one, for every rule of the likelihood (E1 to E4)",
        f"{PAPER}, abstract and notebook",
        lambda found: _levels(found, [e for e in names if e != "E6"]),
        whose=paper_says("abstract and public notebook"),
        figure="dpo",
    )
    yield Statement(
        "levels-exact-IPO",
        "so are the optimum of IPO and pi0 exp(E P(x > x') / tau) / Z",
        "this study's closed form",
        lambda found: _levels(found, ["E6"]),
        whose=STUDY_ADDS,
        figure="ipo",
    )
    yield Statement(
        "T3-other-rules",
        "the same for temperatures, per-token scores and geometric annotators: exp((f* log p* + g* - g + C) / f), and "
        "p* when both sides are of one rule",
        "this study's closed form",
        lambda found: every(
            [at_most(v, 1e-6) for v in found.values("other_rules", "tv")], "total variation at most 1e-6"
        ),
        whose=STUDY_ADDS,
    )
    yield Statement(
        "T2-proposal",
        "what is learned by likelihood does not depend on where pairs are drawn",
        "this study, from the paper's theory",
        lambda found: every(
            [at_most(found.exact("proposals", c), 1e-6) for c in ("tv_luce", "tv_dpo")],
            "total variation between the optima under two proposals at most 1e-6 (Luce, DPO)",
        ),
        whose=STUDY_ADDS,
        figure="proposals",
    )
    yield Statement(
        "E6-proposal",
        "what IPO learns does depend on it, even of a Luce annotator",
        "this study",
        lambda found: at_least(found.exact("proposals", "tv_ipo"), 0.01),
        "total variation between IPO's optima (tau 0.5) under two proposals at least 0.01",
        whose=STUDY_ADDS,
        figure="proposals",
    )
    for e in (e for e in names if e in networks):
        for v in world.SETTINGS[e]:
            label = f"{world.PARAMETER[e]} = {v:g}" if world.PARAMETER[e] else "reward model"
            yield Statement(
                f"{e}-network-{v:g}" if world.PARAMETER[e] else f"{e}-network",
                f"{e}, {label}: a network fitted to 2^15 pairs learns the density of the theory",
                "this study's closed form of IPO's optimum" if e == "E6" else f"{PAPER}, abstract and notebook",
                lambda found, e=e, v=v: at_most(found.estimate("network", "tv", experiment=e, value=v), 0.05),
                "total variation below 0.05",
                whose=STUDY_ADDS if e == "E6" else paper_says("abstract and public notebook"),
                figure=_FIGURE[e],
            )
    yield from _peaks(networks)


def _levels(found, experiments):
    from . import world

    return every(
        [
            at_most(found.exact("exact", "tv", experiment=e, value=v), 1e-6)
            for e in experiments
            for v in world.SETTINGS[e]
        ],
        "total variation at most 1e-6",
    )


_PEAKS = {
    ("E1", 0.0): (0.6383, 0.2394, 1e-4),
    ("E2", 1.0): (0.6444, 0.2427, 1e-3),
    ("E2", 4.0): (0.2070, 0.1646, 1e-3),
    ("E4", 0.25): (0.2052, 0.1621, 1e-3),
    ("E6", 0.1): (0.521, 0.248, 1e-3),
    ("E6", 0.5): (0.148, 0.130, 1e-3),
}


def _peaks(networks):
    for (e, v), (low, high, within) in _PEAKS.items():
        yield Statement(
            f"{e}-peaks-{v:g}",
            f"{e}: the learned density has peaks {low} near -2.5 and {high} near 2.5",
            "quadrature of this study on the notebook's constants",
            lambda found, e=e, v=v, low=low, high=high, within=within: every(
                [
                    equal(found.exact("exact", "left_peak", experiment=e, value=v), low, within),
                    equal(found.exact("exact", "right_peak", experiment=e, value=v), high, within),
                ],
                f"{low:g} and {high:g} within {within:g}",
                ["left", "right"],
            ),
            whose=CONTROL,
            figure=_FIGURE[e],
        )
    yield Statement(
        "E2-sharper-or-flatter",
        "DPO of a Luce annotator is pi0 p*^(1/beta)/Z: near p* at beta 1, and too little left mass at beta 4",
        "quadrature of this study on the notebook's constants",
        lambda found: every(
            [
                equal(found.exact("exact", "kl", experiment="E2", value=1.0), 0.0033, 1e-4),
                equal(found.exact("exact", "mass_left", experiment="E2", value=4.0), 0.3280, 1e-3),
            ],
            "KL(p*, q) 0.0033 at beta 1, mass left of zero 0.3280 at beta 4",
            ["KL", "mass"],
        ),
        whose=CONTROL,
        figure="dpo",
    )
    if "E1" in networks:
        yield Statement(
            "E1-offset",
            "the reward equals log p* up to one constant where the data are",
            f"{PAPER}, abstract and notebook",
            lambda found: at_most(found.estimate("network", "offset_spread", experiment="E1", value=0.0), 0.2),
            "spread of reward - log p* where pi0 p* > 1e-4, below 0.2 nats",
            whose=paper_says("abstract and public notebook"),
            figure="reward",
        )
        yield Statement(
            "E1-tails",
            "and is not identified where there are none",
            "this study",
            lambda found: at_least(found.estimate("network", "tail_gap", experiment="E1", value=0.0), 2.0),
            "largest gap of reward and log p* in the tails at least 2 nats",
            whose=STUDY_ADDS,
            figure="reward",
        )


def slic_claims():
    """E5."""
    from . import slic

    def exact(found, column, delta, weight=0.0):
        return found.exact("slic_exact", column, delta=delta, weight=weight)

    yield Statement(
        "E5-uniform",
        "SLiC with margin 0 and no regulariser learns the uniform density",
        "this study",
        lambda found: at_most(exact(found, "tv_uniform", 0.0), 1e-9),
        whose=STUDY_ADDS,
        figure="slic_densities",
    )
    yield Statement(
        "E5-homogeneous",
        "without regulariser the margin acts as a temperature: log pi(delta) = delta s + constant",
        "this study",
        lambda found: every(
            [at_most(exact(found, c, d), 1e-6) for d in slic.MARGINS for c in ("tv_tilt", "duality_gap")],
            "total variation to the tilted optimum, and duality gap, at most 1e-6",
        ),
        whose=STUDY_ADDS,
        figure="slic_densities",
    )
    yield Statement(
        "E5-staircase-exact",
        "without regulariser the optimum is a staircase: differences of log pi are multiples of the margin",
        "linear program with a totally unimodular matrix",
        lambda found: every(
            [at_most(exact(found, "off_staircase", d), 1e-9) for d in slic.MARGINS], "off a multiple by at most 1e-9"
        ),
        whose=STUDY_ADDS,
        figure="slic_densities",
    )
    yield Statement(
        "E5-unique",
        "no item of the staircase can be moved alone with the objective unchanged",
        "this study",
        lambda found: every([at_most(exact(found, "loose_items", d), 0) for d in slic.MARGINS if d], "no loose items"),
        whose=STUDY_ADDS,
        figure="slic_densities",
    )
    yield Statement(
        "E5-solved",
        "every exact optimum of SLiC is proved to be one",
        "duality gap",
        lambda found: every(
            [true(bool(v), "converged") for v in found.all("slic_exact", "converged")]
            + [at_most(v, 1e-8) for v in found.values("slic_exact", "duality_gap")],
            "converged, duality gap at most 1e-8",
        ),
        whose=CONTROL,
    )
    yield Statement(
        "E5-depends",
        "so what is learned depends on the margin: the left peak grows with it, with and without the regulariser",
        f"{PAPER}, abstract and notebook",
        lambda found: every(
            [increasing([exact(found, "left_peak", d, w) for d in slic.MARGINS]) for w in slic.WEIGHTS],
            "left peak increases in delta",
            ["without KL", "with KL"],
        ),
        whose=paper_says("abstract and public notebook"),
        figure="slic_densities",
    )
    yield Statement(
        "E5-pull",
        "the forward KL term pulls the optimum towards the reference",
        "this study",
        lambda found: every(
            [
                at_most(exact(found, "tv_reference", d, 1.0).value - exact(found, "tv_reference", d, 0.0).value, 0.0)
                for d in slic.MARGINS
            ],
            "nearer to pi0 with the term than without, at every margin",
        ),
        whose=STUDY_ADDS,
        figure="slic_densities",
    )
    yield Statement(
        "E5-network",
        "a smooth network comes near the exact optimum with the regulariser (margin 1)",
        "this study: the exact optimum is its own",
        lambda found: at_most(found.estimate("slic_network", "tv", delta=1.0, weight=1.0), 0.05),
        "total variation below 0.05",
        whose=STUDY_ADDS,
        figure="slic_densities",
    )
    yield Statement(
        "E5-staircase",
        "and cannot reach the staircase without it (margin 1)",
        "linear program with a totally unimodular matrix",
        lambda found: at_least(found.estimate("slic_network", "tv", delta=1.0, weight=0.0), 0.05),
        "total variation at least 0.05",
        whose=STUDY_ADDS,
        figure="slic_densities",
    )


def two_claims():
    """E7-E9."""
    from . import two

    yield Statement(
        "E7-one-mode",
        "one model of two annotators has a single mode near 1.5 and none at -2.5",
        f"{PAPER}, abstract and notebook",
        lambda found: every(
            [
                equal(found.exact("one_model_exact", "modes"), 1, 0),
                equal(found.exact("one_model_exact", "mode_at"), 1.5, 0.11),
            ],
            "one mode, at 1.5",
            ["modes", "at"],
        ),
        whose=paper_says("abstract and public notebook"),
        figure="one_model",
    )
    yield Statement(
        "E7-borda",
        "its optimum reproduces every item's Borda score, and so ranks by it",
        "first-order condition",
        lambda found: every(
            [
                at_most(found.exact("one_model_exact", "borda_residual"), 1e-10),
                true(bool(found.get("one_model_exact", "same_order")), "same order as the Borda scores"),
            ],
            "residual below 1e-10",
        ),
        whose=STUDY_ADDS,
        figure="one_model",
    )
    yield Statement(
        "E7-neither",
        "it captures neither annotator's density, nor their mixture",
        f"{PAPER}, abstract and notebook",
        lambda found: every(
            [at_least(found.exact("one_model_exact", c), 0.3) for c in ("tv_left", "tv_right", "tv_mixture")],
            "total variation to each at least 0.3",
            ["narrow", "wide", "mixture"],
        ),
        whose=paper_says("abstract and public notebook"),
        figure="one_model",
    )
    yield Statement(
        "E7-network",
        "the network fitted to 2^15 pairs finds the same wrong density",
        f"{PAPER}, abstract and notebook",
        lambda found: every(
            [
                at_most(found.estimate("one_model_network", "tv"), 0.05),
                inside(found.estimate("one_model_network", "mode_at"), 0.5, 2.5),
            ],
            "total variation to the projection below 0.05, mode between 0.5 and 2.5",
            ["total variation", "mode"],
        ),
        whose=paper_says("abstract and public notebook"),
        figure="one_model",
    )
    yield Statement(
        "E8-exact",
        "two models and their shares are recovered from the infinite-data law without annotator ids",
        "this study: the paper fits networks",
        lambda found: every(
            [
                at_most(found.get("two_models_exact", "divergence"), 1e-10),
                *[at_most(found.exact("two_models_exact", c), 1e-6) for c in ("tv_marginal", "tv_left", "tv_right")],
                equal(found.exact("two_models_exact", "weight_left"), 0.4, 1e-6),
            ],
            "divergence at most 1e-10; marginal, both densities and the share within 1e-6",
        ),
        whose=STUDY_ADDS,
        figure="two_models",
    )
    yield Statement(
        "E8-weights",
        "two networks fitted to 2^15 anonymous pairs find the shares of the annotators",
        f"{PAPER}, abstract and notebook",
        lambda found: equal(found.estimate("two_models_network", "weight_left"), 0.4, 0.03),
        whose=paper_says("abstract and public notebook"),
        figure="two_models",
    )
    for name, column, value, least in (
        ("narrow", "tv_left", two.NARROW, ""),
        ("marginal", "tv_marginal", two.MARGINAL, " as the least"),
    ):
        yield Statement(
            f"E8-band-{name}",
            f"from 2^15 anonymous pairs two networks come as near to the {name} density as in the paper's figure, within {two.BAND:g}",
            f"{PAPER}, figure of the two-model fit, read off",
            lambda found, c=column, v=value: at_most(found.estimate("two_models_network", c), v + two.BAND),
            f"total variation at most {value + two.BAND:g}: {value:g} read off{least}, and {two.BAND:g} for the reading",
            whose=paper_says("abstract and the notebook's figure, read off"),
            figure="two_models",
        )
    yield Statement(
        "E8-shortfall",
        "which is short of what the answers determine: in most runs not all of marginal, wide and narrow component are "
        "within a total variation of 0.05",
        "this study",
        lambda found: at_most(_rate(found, "recovered"), 0.5),
        "at most half of the seeds recover all three (exact binomial interval)",
        whose=STUDY_ADDS,
        figure="two_models",
    )
    yield Statement(
        "E8-rate-wide",
        "the wide component is recovered",
        "this study",
        lambda found: at_least(_rate(found, "wide_recovered"), 0.5),
        "at least half of the seeds: within a total variation of 0.05 (exact binomial interval)",
        whose=STUDY_ADDS,
        figure="two_models",
    )
    yield Statement(
        "E8-rate-told-apart",
        "they tell the two types apart; a smooth network under-fits the narrow one",
        "this study",
        lambda found: at_least(_rate(found, "told_apart"), 0.5),
        "at least half of the seeds: shares within 0.05, both components within 0.25 (exact binomial interval)",
        whose=STUDY_ADDS,
        figure="two_models",
    )
    yield Statement(
        "E9-plateaus",
        "the annotator mixture's preferences have plateaus at 0.4 and 0.6 that neither one reward nor the density "
        "mixture can make",
        f"{PAPER}, abstract and notebook",
        lambda found: every(
            [at_least(value, 0.25) for value in _plateau(found, "mixture")]
            + [at_most(value, 0.05) for name in ("model", "density") for value in _plateau(found, name)],
            "at each tolerance (1e-4, 1e-3, 1e-2) a quarter of the pair mass, of one reward at most 5 %",
            [
                f"{who}, {near}"
                for who in ("annotator mixture", "one reward", "density mixture")
                for near in ("1e-4", "1e-3", "1e-2")
            ],
        ),
        whose=paper_says("abstract and public notebook"),
        figure="heat_maps",
    )
    yield Statement(
        "E9-tolerance",
        "how much of the pair mass lies on the plateaus depends on what counts as near: .28 within 1e-4, .334 within "
        "1e-3, .40 within 1e-2",
        "quadrature of this study",
        lambda found: every(
            [
                equal(found, value, 0.01)
                for found, value in zip(_plateau(found, "mixture"), (0.28, 0.334, 0.40), strict=True)
            ]
        ),
        whose=STUDY_ADDS,
        figure="heat_maps",
    )
    yield Statement(
        "E9-two-types",
        "the well-specified model of two types has the plateaus",
        f"{PAPER}, fourth panel of the notebook's heat maps",
        lambda found: every(
            [
                equal(one, other, 0.01)
                for one, other in zip(_plateau(found, "two_types"), _plateau(found, "coarse"), strict=True)
            ],
            "at each tolerance the annotators' own share of the pair mass within .01",
        ),
        whose=paper_says("abstract and public notebook"),
        figure="heat_maps",
    )
    yield Statement(
        "E9-smooth",
        "the misspecified fit is smooth where the mixture has cliffs",
        "this study",
        lambda found: at_most(found.get("plateaus", "steepest_model") / found.get("plateaus", "steepest_mixture"), 0.1),
        "its steepest slope is at most a tenth of theirs",
        whose=STUDY_ADDS,
        figure="heat_maps",
    )


def online_claims():
    """E14: what rounds do to a minority."""
    here = lambda found, reference, column, mixing=0.0: found.exact(  # noqa: E731
        "online", column, reference=reference, mixing=mixing
    )
    finite = lambda found, reference, column: found.estimate("online_finite", column, reference=reference)  # noqa: E731
    yield Statement(
        "E14-moving",
        "online DPO of two annotators, the reference moving along: the mass left of zero, where the annotator with 40 % of the "
        "answers has all of theirs, dies out in twelve rounds",
        "this study, exact; 101 points, beta 1, from pi0, half of the point at zero counted as left",
        lambda found: every(
            [at_least(here(found, "moving", "first"), 0.35), at_most(here(found, "moving", "last"), 0.03)],
            "at least .35 after the first round, at most .03 after the twelfth",
            ["first", "twelfth"],
        ),
        whose=STUDY_ADDS,
        figure="online_rounds",
    )
    yield Statement(
        "E14-near",
        "what is within three standard deviations of that annotator's peak dies out with it",
        "this study, exact",
        lambda found: at_most(near(found, "moving")[-1] / near(found, "moving")[0], 0.1),
        "after the twelfth round at most a tenth of pi0's mass there",
        whose=STUDY_ADDS,
        figure="online_rounds",
    )
    yield Statement(
        "E14-fixed",
        "with the reference fixed the mass left of zero stays",
        "this study, exact",
        lambda found: every(
            [equal(here(found, "fixed", "last"), 0.4, 0.05), at_most(here(found, "fixed", "moved"), 1e-3)],
            ".4 within .05 after the twelfth round, and still",
            ["twelfth", "moved by"],
        ),
        whose=STUDY_ADDS,
        figure="online_rounds",
    )
    yield Statement(
        "E14-unserved",
        "which does not serve that annotator: within three standard deviations of the peak, where 40 % of the answers would put "
        ".4, one model of both has hardly more than pi0",
        "this study, exact",
        lambda found: at_most(near(found, "fixed")[-1], 0.2),
        "reference fixed, after the twelfth round: at most .2",
        whose=STUDY_ADDS,
        figure="online_rounds",
    )
    yield Statement(
        "E14-mixing",
        "drawing half of the pairs from pi0 does not save the mass left of zero from a moving reference",
        "this study, exact",
        lambda found: at_most(here(found, "moving", "last", 0.5), 0.2),
        whose=STUDY_ADDS,
        figure="online_rounds",
    )
    yield Statement(
        "E14-finite",
        "the mass left of zero does the same from 8,192 fresh pairs a round",
        "this study",
        lambda found: every(
            [at_most(finite(found, "moving", "last"), 0.1), at_least(finite(found, "fixed", "last"), 0.3)],
            "at most .1 with a moving reference, at least .3 with a fixed one (mean over seeds)",
            ["moving", "fixed"],
        ),
        whose=STUDY_ADDS,
        figure="online_rounds",
    )


def near(found, reference, mixing=0.0):
    """Mass of each round's policy within three standard deviations of the narrow annotator's peak, ``(rounds + 1,)``."""
    row = found.rows("online", reference=reference, mixing=mixing)[0]
    low, high = -2.5 - 3 * 0.25, -2.5 + 3 * 0.25
    x = np.unique([low, *row["x"][(row["x"] > low) & (row["x"] < high)], high])
    return np.array([np.trapezoid(np.interp(x, row["x"], density), x) for density in row["density"]])


def _plateau(found, name):
    """Share of the pair mass on the plateaus at each tolerance, exact."""
    return [float(value) for value in found.get("plateaus", f"plateau_{name}")]


def _rate(found, what):
    good = found.values("two_models_network", what)
    return binomial_interval(int(good.sum()), len(good))


def finding(found, judged):
    """When a density is found, when not, and by how much, in the words that the verdicts allow."""
    from . import world

    tried = [e for e in found.settings["networks"]]
    networks = [found.estimate("network", "tv", experiment=e, value=v).value for e in tried for v in world.SETTINGS[e]]
    ids = [c.id for c in judged if "-network" in c.id and c.id.split("-")[0] in tried]
    share, narrow, wide = (found.values("two_models_network", c) for c in ("weight_left", "tv_left", "tv_right"))
    exact, one = found.get("two_models_exact", "tv_left"), found.rows("one_model_exact")[0]
    first, last = (found.get("online", c, reference="moving", mixing=0.0) for c in ("first", "last"))
    stays = found.get("online", "last", reference="fixed", mixing=0.0)
    moving, fixed = near(found, "moving"), near(found, "fixed")
    off = f"{one['tv_left']:.2f} and {one['tv_right']:.2f} in total variation"
    return " ".join(
        [
            worded(
                judged,
                ["levels-exact", "levels-exact-IPO"],
                "One annotator: infinite pairs lead exactly to the density that theory gives for each rule, the annotator's own "
                "where rule and loss are the annotator's;",
                "One annotator: infinite pairs do not always lead to the density that theory gives;",
            ),
            worded(
                judged,
                ids,
                f"networks on 2^15 pairs come within a total variation of {max(networks):.3f}.",
                f"networks on 2^15 pairs do not all come within .05 (the worst is {max(networks):.3f} off).",
                f"whether all networks on 2^15 pairs come within .05 is not decided (the worst mean is {max(networks):.3f}).",
            ),
            worded(
                judged,
                ["E7-one-mode", "E7-neither"],
                f"One model of two annotators fails: its single mode, at {one['mode_at']:.2f}, is nobody's, and it is {off} from "
                "the two.",
                f"One model of two annotators does not fail as the paper says: {one['modes']} modes, {off} from the two.",
            ),
            worded(
                judged,
                "E8-exact",
                f"Two types repair it with infinite anonymous answers (off by {exact:.0e});",
                f"Two types do not repair it even with infinite anonymous answers (off by {exact:.0e});",
            ),
            worded(
                judged,
                "E8-weights",
                f"from 2^15, {len(share)} seeds find shares {share.min():.3f} to {share.max():.3f} (.4 is true),",
                f"from 2^15, {len(share)} seeds miss the shares ({share.min():.3f} to {share.max():.3f}; .4 is true),",
                f"from 2^15, {len(share)} seeds put the shares at {share.min():.3f} to {share.max():.3f} (.4 is true),",
            ),
            f"the wide density within {wide.mean():.3f} and the narrow one within {narrow.mean():.2f} on average,",
            worded(
                judged,
                ["E8-band-narrow", "E8-band-marginal"],
                "as near as in the paper's own figure, within the .1 of reading it off (.23 for the narrow one);",
                "less near than in the paper's own figure, read off (.23 for the narrow one);",
                "which does not decide whether they are as near as in the paper's own figure, read off (.23 for the narrow one);",
            ),
            worded(
                judged,
                "E8-shortfall",
                "most seeds miss .05 in one of them.",
                "most seeds are within .05 of all.",
                "whether most seeds miss .05 in one of them is not decided.",
            ),
            worded(
                judged,
                ["E14-moving", "E14-near"],
                f"Online, with DPO's reference moving along, the mass left of zero falls from {first:.2f} to {last:.3f} in twelve "
                f"rounds, and that near the narrow annotator from {moving[1]:.2f} to {moving[-1]:.3f};",
                f"Online, with DPO's reference moving along, the narrow annotator's side does not die out (left of zero {last:.3f} "
                f"after twelve rounds, near the annotator {moving[-1]:.3f});",
            ),
            worded(
                judged,
                "E14-fixed",
                f"a fixed reference keeps {stays:.2f} left of zero,",
                f"a fixed reference leaves {stays:.2f} left of zero,",
            ),
            worded(
                judged,
                "E14-unserved",
                f"but only {fixed[-1]:.2f} near the annotator, where .4 would be due.",
                f"and {fixed[-1]:.2f} near the annotator, where .4 would be due.",
            ),
        ]
    )
