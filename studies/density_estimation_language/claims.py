"""What the paper says of lengths, judged on the surrogate and on the transformers."""

from __future__ import annotations

from annosim.study import (
    STUDY_ADDS,
    Statement,
    at_least,
    at_most,
    binomial_interval,
    equal,
    every,
    increasing,
    paper_says,
    t_interval,
    true,
    worded,
)

from . import surrogate
from .sentences import NAMES

PAPER = "Dumoulin et al. 2311.14115"
#: pairs of classes of length, the shorter first
CLASSES = (("short", "middle"), ("middle", "long"), ("short", "long"))


def _bin(count, limits):
    low, high = limits
    return int(count[low : high + 1].sum()), high + 1 - low


def _share(count, bins, side):
    """Share of the middle bin among middle and a side, and what it would be if both were as dense."""
    (middle, wide), (outer, outer_wide) = _bin(count, bins[1]), _bin(count, bins[side])
    return binomial_interval(middle, middle + outer), wide / (wide + outer_wide)


def _valley(found, bins):
    """In every replicate the middle bin is less dense than either side."""
    counts = found.all("adapt", "count", kind="density")
    return every(
        [at_most(*_share(count, bins, side)) for count in counts for side in (0, 2)],
        "in every replicate fewer sentences per length in the middle bin than in either other",
        [f"replicate {r}, against {side}" for r in range(len(counts)) for side in ("shorter", "longer")],
    )


def _no_valley(found, bins):
    """In every replicate it is at least as dense as one of them."""
    sides = [[_share(count, bins, side) for side in (0, 2)] for count in found.all("adapt", "count", kind="annotators")]
    best = [max(pair, key=lambda one: one[0].value - one[1]) for pair in sides]
    return every(
        [at_least(*one) for one in best],
        "in every replicate the middle bin is at least as dense as one of the others",
        [f"replicate {r}" for r in range(len(best))],
    )


def _two_samples(found, bins):
    """Two samples of the same size: under one law a middle sentence of either is as likely to be of the first."""
    pairs = zip(*(found.all("adapt", "count", kind=kind) for kind in ("density", "annotators")), strict=True)
    middle = [[_bin(count, bins[1])[0] for count in pair] for pair in pairs]
    return every(
        [at_most(binomial_interval(one, one + two), 0.5) for one, two in middle],
        "in every replicate less than half of both models' middle sentences",
        [f"replicate {r}" for r in range(len(middle))],
    )


_DESIGNS = {
    "peaked": "annotators with normal lengths",
    "cut": "annotators cut out of all sentences (at most 20 tokens, more than 30)",
    "soft": "the same with soft borders",
}


#: what each design leads to: annotators cut out sharply never judge each other's lengths, and keep both modes
_SHAPES = {
    ("density", "peaked"): "two modes",
    ("annotators", "peaked"): "one mode",
    ("density", "cut"): "two modes",
    ("annotators", "cut"): "two modes as well",
    ("density", "soft"): "two modes with borders of up to 4 tokens, one with borders of 8",
    ("annotators", "soft"): "one mode",
}


def _expected(kind, design, parameter):
    if kind == "density":
        return 1 if design == "soft" and parameter > 4 else 2
    return 2 if design == "cut" else 1


def _surrogate():
    """The exact surrogate, design by design: a claim that holds for one kind of annotators may fail for another."""
    for design, words in _DESIGNS.items():
        for kind, name in (("density", "density mixture"), ("annotators", "annotator mixture")):
            yield Statement(
                f"E12-exact-{kind}-{design}",
                f"lengths only, {words}: the {name} gives {_SHAPES[kind, design]}",
                "exact surrogate of this study",
                lambda found, k=kind, d=design: every(
                    [
                        equal(
                            found.exact("lengths_only", "modes", kind=k, design=d, parameter=v), _expected(k, d, v), 0
                        )
                        for v in surrogate.DESIGNS[d]
                    ],
                    _SHAPES[k, d],
                    [f"{d} {v:g}" for v in surrogate.DESIGNS[d]],
                ),
                whose=STUDY_ADDS,
                figure="what_decides",
            )
    yield Statement(
        "E12-exact-figure",
        "lengths only: there are annotators for whom the surrogate has the shape of the paper's figure: two modes of the "
        "density mixture, one of the annotator mixture, and that one within three tokens of the short annotator's own "
        "(read off: 14 to 17 against 16 to 17)",
        f"exact surrogate of this study, against the figure of lengths of {PAPER}, read off",
        lambda found: true(any(_as_drawn(found, d, v) for d, v in _kinds()), "for at least one design and parameter"),
        whose=STUDY_ADDS,
        figure="lengths",
    )
    for design in ("cut", "soft"):
        yield Statement(
            f"E12-exact-overlap-{design}",
            f"lengths only, {_DESIGNS[design]}: the less the annotators overlap, the further the annotator mixture's highest "
            "mode falls below the short annotator's own",
            "exact surrogate of this study",
            lambda found, d=design: increasing(_shortfalls(found, d)),
            whose=STUDY_ADDS,
            figure="what_decides",
        )


def _kinds():
    return [(design, value) for design, values in surrogate.DESIGNS.items() for value in values]


def _as_drawn(found, design, parameter):
    """Whether both mixtures have the modes of the paper's figure."""
    row = found.rows("lengths_only", kind="annotators", design=design, parameter=parameter)[0]
    two = _modes(found, "density", design, parameter) == 2
    return two and row["modes"] == 1 and abs(row["highest"] - row["short_mode"]) <= 3


def _shortfalls(found, design):
    """Tokens between the short annotator's mode and the mixture's, from the largest overlap to the smallest."""
    rows = sorted(found.rows("lengths_only", kind="annotators", design=design), key=lambda r: -r["overlap"])
    return [row["short_mode"] - row["highest"] for row in rows]


def _modes(found, kind, design, parameter):
    return found.get("lengths_only", "modes", kind=kind, design=design, parameter=parameter)


def claims(bins):
    """All statements."""
    yield Statement(
        "E11-raw",
        "without normalisation every annotator prefers the shorter class",
        f"{PAPER}, as the study page records it",
        lambda found: every(
            [at_least(_preference(found, name, False, *pair), 0.5) for name in NAMES for pair in CLASSES],
            "all above 0.5",
            [f"{name}: {' over '.join(pair)}" for name in NAMES for pair in CLASSES],
        ),
        whose=paper_says("abstract and a figure, read off"),
        figure="preferred",
    )
    yield Statement(
        "E11-normalised",
        "with it the short annotator prefers short sentences and the long one long ones",
        f"{PAPER}, as the study page records it",
        lambda found: every(
            [
                at_least(_preference(found, "short", True, "short", "long"), 0.6),
                at_most(_preference(found, "long", True, "short", "long"), 0.4),
            ],
            "short annotator above 0.6, long annotator below 0.4",
            ["short", "long"],
        ),
        whose=paper_says("abstract and a figure, read off"),
        figure="preferred",
    )
    yield from _surrogate()
    yield Statement(
        "E13-density",
        "the model adapted to the density mixture says short and long sentences, and few between",
        f"{PAPER}, figure of lengths, read off",
        lambda found: _valley(found, bins),
        whose=paper_says("abstract and a figure, read off"),
        figure="lengths",
    )
    yield Statement(
        "E13-annotators",
        "the model adapted to the annotator mixture has no such valley",
        f"{PAPER}, figure of lengths, read off",
        lambda found: _no_valley(found, bins),
        whose=paper_says("abstract and a figure, read off"),
        figure="lengths",
    )
    yield Statement(
        "E13-two-samples",
        "the first says fewer sentences of middle length than the second",
        f"{PAPER}, figure of lengths, read off",
        lambda found: _two_samples(found, bins),
        whose=paper_says("abstract and a figure, read off"),
        figure="lengths",
    )


def _preference(found, *asked):
    """Mean preference for the first of two classes of length: mean over replicates, each with language models of its own."""
    columns = ("annotator", "normalised", "first", "second")
    return t_interval([r["preference"] for r in found.rows("preferences") if tuple(r[c] for c in columns) == asked])


def finding(found, judged):
    """When the two mixtures part, when not, and by how much, in the words that the verdicts allow."""
    has = ", ".join(f"{d} {v:g}" for d, v in _kinds() if _as_drawn(found, d, v))
    bins = found.settings["bins"]
    share = {}
    for kind in ("density", "annotators"):
        counts = sum(found.all("adapt", "count", kind=kind))
        share[kind] = f"{_bin(counts, bins[1])[0] / counts.sum():.0%}"
    middle = f"{bins[1][0]} to {bins[1][1]} tokens"
    first, second = f"{share['density']} sentences of {middle}", share["annotators"]
    return " ".join(
        [
            worded(
                judged,
                "E13-two-samples",
                f"Transformers adapted to one annotator whose density is half short, half long say fewer sentences between ({first}) "
                f"than those adapted to answers of two annotators ({second}).",
                f"Transformers adapted to one annotator whose density is half short, half long do not say fewer sentences between "
                f"({first}) than those adapted to answers of two annotators ({second}).",
                f"Whether transformers adapted to one annotator whose density is half short, half long say fewer sentences between "
                f"({first}) than those adapted to answers of two annotators ({second}) is not decided.",
            ),
            worded(
                judged,
                "E13-density",
                "The first have a valley between two sorts of length,",
                "The first have no valley between two sorts of length,",
                "Whether the first have a valley between two sorts of length is not decided in every replicate;",
            ),
            worded(
                judged,
                "E13-annotators",
                "the second have none.",
                "and the second have one.",
                "nor whether the second have none."
                if _open(judged, "E13-density")
                else "for the second it is not decided.",
            ),
            worded(
                judged,
                "E12-exact-figure",
                f"On lengths alone, exactly, the shape of the paper's figure is there when the annotators overlap (designs {has});",
                "On lengths alone, exactly, the shape of the paper's figure is nowhere;",
            ),
            worded(
                judged,
                ["E12-exact-overlap-cut", "E12-exact-overlap-soft"],
                "the fewer lengths both judge, the further the highest mode falls below the short annotator's own.",
                "how far the highest mode falls below the short annotator's own does not grow as the annotators overlap less.",
            ),
        ]
    )


def _open(claims, name):
    return next(c.verdict for c in claims if c.id == name) not in ("supported", "contradicted")
