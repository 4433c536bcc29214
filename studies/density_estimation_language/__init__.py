"""Language models and the length of what they say (Dumoulin et al. 2311.14115, E10-E13), on sentences of Shakespeare.

Three small transformers (GPT-2 of ``transformers``, built from a config; extra ``hf``) are trained here: on all
sentences (*whole*), on short ones and on long ones. Two annotators (the short and the long one) answer pairs drawn from
*whole*, by length-normalised log-probability. *Annotator mixture*: each pair is answered by one of the two. *Density
mixture*: one annotator whose density is half of each. The paper: adapting *whole* to the first gives one mode of
lengths, to the second two. Beside it the same pipeline with nothing but lengths, exactly, by ``project``: there,
whether the annotator mixture has one mode or two depends on what the annotators are like (see ``surrogate.py``). With
borders that overlap by a few tokens it is as the paper says; cut out sharply, as the paper's subsets are, both mixtures
have two modes; and annotators whose lengths are far apart leave one mode below them both.

The token counts are those of this corpus, not of the paper's (LM1B); what is tested is the shape, by bins of lengths
that each preset fixes in advance. Modes of a histogram would not do: the corpus itself has three, at 5, 10 and 17.

Desk preset, 2026-11-21, its sizes fixed before the run (width 128, 4 layers, 4,000 ids, 3 replicates, one epoch of 2^14
pairs as in the paper):

* E11 without normalisation: supported, every preference for the shorter class at least .97. With it: contradicted; the
  short annotator prefers short to long sentences with .83 to .85, but the long one does not prefer long ones (.52 to
  .53, where *whole* has .69 to .70; at the quick size it does).
* E13 density mixture, fewer sentences of 12 to 16 tokens per length than of 3 to 8 and of 20 to 30: inconclusive; five
  of six comparisons supported, the sixth (replicate 0, against the longer) has a share of .298 [.269, .328] where .3125
  is even. Sentences pile up at the cap of 50 tokens (4 to 9 %), where no bin is: the long mode is not a peak, and
  a part of it is cut off.
* E13 annotator mixture, no such valley: supported in all three (share .369 [.341, .398] and more against .3125).
* Two samples: supported in all three; of both models' middle sentences at most .409 [.373, .446] are the first's.
* Adaptation is far from its end: nats per pair above the answers' entropy fall from .46, .45, .62 to .41, .43, .49
  (density) and go from 1.15, 1.15, 1.52 to 1.28, 1.26, 1.43 (annotators): one epoch moves the lengths, not the loss.

Quick preset, the same day: E11 supported both ways; the density mixture's valley supported (.149 [.124, .176] where .5
is even), that the annotator mixture has none inconclusive (.383 [.347, .419], even at .385), two samples supported.
Before, pairs were drawn with repetition, and a third of them was never asked.

Paper preset: calculated, not run (no GPU was at hand). tinyshakespeare has 10,605 words in sentences of at most 49, so
its vocabulary of 30,000 becomes 10,608 ids, and the model 24.4 million parameters: 49 MFLOP a token forward, 146 with
the gradient. One replicate trains on 6.2 million token places (1,200 steps of 256 sentences sorted by length: 21 places
each of all, 7 of short and 32 of long ones), 0.91 PFLOP; draws and scores 65,536 sentences, 0.19; adapts twice on 256
steps of 256 sentences of 50 places and scores them again, 1.1. Three replicates: 6.5 PFLOP, 11 minutes at 10 TFLOP/s in
float32, which is half of an A100's peak without tensor cores. Two steps of every stage were run at this size on a CPU
core, at 0.12 TFLOP/s: 6.6 s a step on all sentences, 2.2 on short and 10 on long ones, 15 for a step of adaptation,
whose peak of memory is 6.1 GiB (2.8 in training). So two cores would need about 8 hours.
"""

from __future__ import annotations

from annosim.study import Cell, Preset, Study

from . import figures, surrogate
from .claims import claims, finding
from .mixtures import adapt, preferences, proposals
from .sentences import models


def cells(
    shape, short, long, steps, batch, rate, pairs, adapt_steps, adapt_batch, adapt_rate, beta, samples, replicates
):
    """All cells of a preset; a replicate is everything anew, from the language models on."""
    base = Cell(
        models,
        {"shape": shape, "short": short, "long": long, "steps": steps, "batch": batch, "rate": rate},
        name="models",
        replicates=replicates,
    )
    drawn = Cell(
        proposals, {"shape": shape, "pairs": pairs}, name="proposals", replicates=replicates, needs={"models": base}
    )
    yield Cell(
        preferences,
        {"short": short, "long": long, "samples": samples},
        name="preferences",
        replicates=replicates,
        needs={"proposals": drawn},
    )
    how = {"shape": shape, "steps": adapt_steps, "batch": adapt_batch, "rate": adapt_rate, "samples": samples}
    for kind in ("density", "annotators"):
        for design, parameters in surrogate.DESIGNS.items():
            for parameter in parameters:
                yield Cell(
                    surrogate.lengths_only,
                    {"kind": kind, "design": design, "parameter": parameter, "longest": 60, "beta": beta},
                    name=f"lengths only, {kind}, {design} {parameter:g}",
                )
        yield Cell(
            adapt,
            {"kind": kind, **how, "beta": beta},
            name=f"adapt, {kind}",
            replicates=replicates,
            needs={"models": base, "proposals": drawn},
            seed_name="adapt",
        )


STUDY = Study(
    name="density_estimation_language",
    title="Annotator mixtures, density mixtures, and the lengths of sentences",
    paper="Dumoulin, Johnson, Castro, Larochelle, Dauphin (arXiv 2311.14115), language-model experiments",
    presets={
        "quick": Preset(
            3,
            {
                "shape": {"vocabulary": 1000, "width": 64, "layers": 2, "heads": 4, "length": 32},
                "short": 7,
                "long": 17,
                "steps": 400,
                "batch": 64,
                "rate": 3e-3,
                "pairs": 2**13,
                "adapt_steps": 128,
                "adapt_batch": 64,
                "adapt_rate": 1e-3,
                "beta": 4e-5,
                "samples": 2000,
                "replicates": 1,
            }
            | {"bins": [[3, 7], [10, 14], [17, 24]]},
            decisive=False,
        ),
        "desk": Preset(
            25,
            {
                "shape": {"vocabulary": 4000, "width": 128, "layers": 4, "heads": 4, "length": 50},
                "short": 8,
                "long": 20,
                "steps": 800,
                "batch": 64,
                "rate": 1e-3,
                "pairs": 2**14,
                "adapt_steps": 256,
                "adapt_batch": 64,
                "adapt_rate": 3e-4,
                "beta": 4e-5,
                "samples": 4096,
                "replicates": 3,
            }
            | {"bins": [[3, 8], [12, 16], [20, 30]]},
        ),
        "paper": Preset(
            15,
            {
                "shape": {"vocabulary": 30000, "width": 512, "layers": 6, "heads": 8, "length": 50},
                "short": 8,
                "long": 20,
                "steps": 600,
                "batch": 256,
                "rate": 6e-4,
                "pairs": 2**15,
                "adapt_steps": 256,
                "adapt_batch": 128,
                "adapt_rate": 1e-5,
                "beta": 4e-5,
                "samples": 8192,
                "replicates": 3,
            }
            | {"bins": [[3, 8], [12, 16], [20, 30]]},
            "on one GPU (--device cuda), by calculation",
        ),
    },
    cells=lambda bins, **settings: cells(**settings),
    claims=claims,
    finding=finding,
    figures=[figures.lengths, figures.what_decides, figures.preferred],
    tables=[figures.surrogates, figures.trained],
    data=["tinyshakespeare.txt"],
    in_ci=False,
)
