"""Language models and the length of what they say (Dumoulin et al. 2311.14115, E10-E13), on sentences of Shakespeare.

Three small transformers are trained here: on all sentences (*whole*), on short ones and on long ones. Two annotators
(the short and the long one) answer pairs drawn from *whole*, by length-normalised log-probability. *Annotator mixture*:
each pair is answered by one of the two. *Density mixture*: one annotator whose density is half of each. The paper:
adapting *whole* to the first gives one mode of lengths, to the second two. Beside it the same pipeline with nothing but
lengths, exactly, by ``project``.

The token counts are those of this corpus, not of the paper's (LM1B); what is tested is the shape.
"""

from __future__ import annotations

import re

import numpy as np
import torch
from torch import nn

import annosim as an
from annosim import plotting
from annosim.study import (
    Cell,
    Preset,
    Statement,
    Study,
    at_least,
    at_most,
    binomial_interval,
    data_path,
    every,
    inside,
    true,
)

PAPER = "Dumoulin et al. 2311.14115"
END, BEGIN, UNKNOWN = 0, 1, 2
#: standard deviation of the surrogate annotators' lengths, as a share of their means
SPREADS = (0.15, 0.25, 0.4)
SCALE = 50.0  # the paper's factor of the length-normalised preference logit
NAMES = ("whole", "short", "long")


# ---- the language model: a decoder that is read in a minute ------------------------------------------------------


class Block(nn.Module):
    """Attention, then a two-layer network, each on normalised inputs."""

    def __init__(self, width: int, heads: int):
        super().__init__()
        self.heads = heads
        self.first, self.second = nn.LayerNorm(width), nn.LayerNorm(width)
        self.mix, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.feed = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        b, t, w = x.shape
        q, k, v = self.mix(self.first(x)).view(b, t, 3, self.heads, w // self.heads).permute(2, 0, 3, 1, 4)
        seen = nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.out(seen.transpose(1, 2).reshape(b, t, w))
        return x + self.feed(self.second(x))


class Decoder(nn.Module):
    """Token ids ``(batch, length)`` to logits ``(batch, length, vocabulary)``."""

    def __init__(self, vocabulary: int, width: int, layers: int, heads: int, length: int, seed: int):
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed % 2**63)
            self.embed = nn.Embedding(vocabulary, width)
            self.place = nn.Embedding(length + 1, width)
            self.blocks = nn.ModuleList([Block(width, heads) for _ in range(layers)])
            self.last = nn.LayerNorm(width)
            for table in (self.embed, self.place):
                nn.init.normal_(table.weight, std=0.05)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        x = self.embed(ids) + self.place(torch.arange(ids.shape[1], device=ids.device))
        for block in self.blocks:
            x = block(x)
        return self.last(x) @ self.embed.weight.T


def policy(shape: dict, seed: int, weights: np.ndarray | None = None) -> an.LogPolicy:
    """A decoder as a density over sentences."""
    made = an.LogPolicy(Decoder(**shape, seed=seed), begin=BEGIN)
    return made if weights is None else made.with_parameters(torch.as_tensor(weights))


def say(model: nn.Module, count: int, length: int, seed: int, device: str = "cpu") -> torch.Tensor:
    """``count`` sentences drawn from the model, ``(count, length)``, END included, -1 beyond it."""
    generator = torch.Generator(device=device).manual_seed(seed % 2**63)
    ids = torch.full((count, 1), BEGIN, device=device)
    done = torch.zeros(count, dtype=torch.bool, device=device)
    out = torch.full((count, length), -1, device=device)
    with torch.no_grad():
        for t in range(length):
            logits = model(ids)[:, -1].float()
            logits[:, BEGIN] = -torch.inf
            if t == 0:
                logits[:, END] = -torch.inf
            word = torch.multinomial(logits.softmax(-1), 1, generator=generator)[:, 0]
            word = torch.where(torch.full_like(done, t == length - 1), END, word)
            out[:, t] = torch.where(done, -1, word)
            done |= word == END
            ids = torch.cat([ids, word[:, None]], 1)
    return out.cpu()


# ---- cells -------------------------------------------------------------------------------------------------------


def sentences(text: str, vocabulary: int, length: int) -> torch.Tensor:
    """Sentences of at least two words as ids, ``(n, length)``, each with END, cut off those that are longer."""
    from collections import Counter

    text = re.sub(r"^[A-Z][^\n:]*:\s*$", "", text, flags=re.MULTILINE).replace("\n", " ")
    words = [re.findall(r"[a-z']+", s.lower()) for s in re.split(r"(?<=[.!?])\s+", text)]
    words = [w for w in words if 2 <= len(w) < length]
    known = {w: i + 3 for i, (w, _) in enumerate(Counter(w for s in words for w in s).most_common(vocabulary - 3))}
    out = torch.full((len(words), length), -1)
    for row, s in enumerate(words):
        out[row, : len(s) + 1] = torch.tensor([known.get(w, UNKNOWN) for w in s] + [END])
    return out


def _learn(model, rows: torch.Tensor, steps: int, batch: int, rate: float, seed: int, device: str) -> float:
    """Train on sentences by maximum likelihood; the mean loss per token of the last twentieth of the steps."""
    generator = torch.Generator().manual_seed(seed % 2**63)
    optimiser = torch.optim.AdamW(model.parameters(), lr=rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    model.to(device)
    tail = []
    for _ in range(steps):
        part = rows[torch.randint(len(rows), (batch,), generator=generator)].to(device)
        optimiser.zero_grad()
        loss = -model(an.Items(tokens=part.cpu())).sum() / (part >= 0).sum()
        loss.backward()
        optimiser.step()
        schedule.step()
        tail.append(float(loss.detach()))
    model.to("cpu")
    return float(np.mean(tail[-max(1, steps // 20) :]))


def models(shape, short, long, steps, batch, rate, seed, device, data=None) -> dict:
    """E10: *whole* from scratch; *short* and *long* from its weights, on their parts of the corpus."""
    rows = sentences(data_path("tinyshakespeare.txt", data).read_text(), shape["vocabulary"], shape["length"])
    size = (rows >= 0).sum(1)
    whole = policy(shape, seed)
    losses = {"loss_whole": _learn(whole, rows, steps, batch, rate, seed, device)}
    found = {"whole": whole}
    for name, part in (("short", rows[size <= short]), ("long", rows[size >= long])):
        found[name] = policy(shape, seed, whole.vector().numpy())
        losses[f"loss_{name}"] = _learn(found[name], part, steps // 2, batch, rate / 2, seed + 1, device)
    return {
        **{name: one.vector().numpy().astype(np.float32) for name, one in found.items()},
        **losses,
        "corpus": np.bincount(size, minlength=shape["length"] + 1),
        "sentences": len(rows),
    }


def _proposals(models: dict, shape: dict, count: int, seed: int, device: str) -> an.Items:
    whole = policy(shape, 0, models["whole"]).model.to(device)
    tokens = say(whole, count, shape["length"], seed, device)
    return an.Items(tokens=tokens, columns={"length": (tokens >= 0).sum(1).numpy()})


def _densities(models: dict, shape: dict, items: an.Items) -> dict[str, torch.Tensor]:
    with torch.no_grad():
        return {name: policy(shape, 0, models[name])(items).double() for name in NAMES}


def preferences(shape, short, long, samples, models, seed, device) -> list[dict]:
    """E11: mean preference for the first of two length classes, by each annotator, normalised by length or not."""
    items = _proposals(models, shape, samples, seed, device)
    size = torch.as_tensor(items.columns["length"])
    classes = {"short": size <= short, "middle": (size > short) & (size < long), "long": size >= long}
    rows = []
    for name, log_p in _densities(models, shape, items).items():
        for normalised in (True, False):
            s = SCALE * log_p / size if normalised else log_p
            for first, second in (("short", "middle"), ("middle", "long"), ("short", "long")):
                chance = torch.sigmoid(s[classes[first]][:, None] - s[classes[second]][None]).mean()
                rows.append({"annotator": name, "normalised": normalised, "first": first, "second": second,
                             "preference": float(chance)})  # fmt: skip
    return rows


def adapt(kind, shape, pairs, steps, batch, rate, beta, samples, models, seed, device) -> dict:
    """E12 and E13: answer pairs drawn from *whole*, adapt *whole* to the answers, draw from it again."""
    items = _proposals(models, shape, 2 * pairs, seed, device)
    log_p, size = _densities(models, shape, items), items.columns["length"]
    rule = an.PBDE.length_normalised(SCALE)
    both = [an.Annotator(an.Tabular(log_p[name].numpy()), rule) for name in ("short", "long")]
    blend = torch.logsumexp(torch.stack([log_p["short"], log_p["long"]]), 0) - np.log(2)
    truth = an.Mixture(both) if kind == "annotators" else an.Annotator(an.Tabular(blend.numpy()), rule)
    menus = torch.arange(2 * pairs).view(-1, 2)
    data = an.simulate(truth, an.Design(items, menus=menus, annotators=pairs), seed=seed)
    found = an.fit(
        an.Annotator(policy(shape, 0, models["whole"]), rule), data.for_learner(),
        regulariser=an.ForwardKL(None, 2 * beta, shown=True), steps=steps, batch=batch, lr=rate, seed=seed,
        device=device,
    )  # fmt: skip
    adapted = found.population.utility.model.to(device)
    drawn = say(adapted, samples, shape["length"], seed + 1, device)
    count = np.bincount((drawn >= 0).sum(1).numpy(), minlength=shape["length"] + 1)
    return {"count": count, "before": np.bincount(size, minlength=shape["length"] + 1), "loss": found.objective}


def lengths_only(kind, longest, spread, beta) -> dict:
    """The exact surrogate: a sentence is its length, there are exp(entropy x length) of each, and all is enumerated.

    The entropy per token cancels: the length-normalised log-probability of a sentence of length l is log p(l) / l minus
    it. The annotators' lengths are those that the paper reports as modes, 10 and 44, and ``spread`` (times these) their
    standard deviations; *whole* has the broad lengths of a news corpus, with a mean of 25.
    """
    x = np.arange(1, longest + 1)
    items = an.Items(features=x[:, None], columns={"length": x})
    log_whole = 3 * np.log(x) - x / 6.5
    whole = np.exp(log_whole - np.logaddexp.reduce(log_whole))
    parts = [-0.5 * ((x - mean) / (spread * mean)) ** 2 for mean in (10, 44)]
    parts = [p - np.logaddexp.reduce(p) for p in parts]
    rule = an.PBDE.length_normalised(SCALE)
    both = [an.Annotator(an.Tabular(p), rule) for p in parts]
    blend = np.logaddexp(*parts) - np.log(2)
    truth = an.Mixture(both) if kind == "annotators" else an.Annotator(an.Tabular(blend), rule)
    design = an.Design(items, proposal=whole)
    reference = an.LogDensity(an.Tabular(an.fixed(np.log(whole))))
    found = an.project(
        an.Annotator(an.LogDensity(an.Tabular(longest)), rule), truth, design,
        regulariser=an.ForwardKL(reference, 2 * beta),
    )  # fmt: skip
    with torch.no_grad():
        p = found.population.utility(items).exp().numpy()
    inner = (p[1:-1] > p[:-2]) & (p[1:-1] > p[2:]) & (p[1:-1] > 1e-4)
    return {"x": x, "learned": p, "whole": whole, "blend": np.exp(blend), "modes": int(inner.sum()),
            "modes_at": str((x[1:-1][inner]).tolist()), "highest": int(x[p.argmax()]),
            "gradient": found.gradient_norm}  # fmt: skip


# ---- statements --------------------------------------------------------------------------------------------------


def _valley(found, kind, bins):
    """Mean count per length in the three bins that the preset fixes in advance, summed over replicates."""
    counts = np.sum(found.all("adapt", "count", kind=kind), axis=0)
    return [(int(counts[low : high + 1].sum()), high + 1 - low) for low, high in bins]


def _share_of(found, kind, bins, side):
    """Share of the middle bin among middle and a side, after correction for their widths: below 1/2 is a valley."""
    parts = _valley(found, kind, bins)
    (middle, wide), (outer, outer_wide) = parts[1], parts[side]
    return binomial_interval(middle, middle + outer), wide / (wide + outer_wide)


def _is_valley(found, kind, bins, side):
    share, even = _share_of(found, kind, bins, side)
    return at_most(share, even)


def claims(bins):
    """All statements."""
    yield Statement(
        "E11-raw", "without normalisation every annotator prefers the shorter class", f"{PAPER}, section 6",
        lambda found: every(
            [at_least(r["preference"], 0.5) for r in found.rows("preferences") if not r["normalised"]], "all above 0.5"
        ),
    )  # fmt: skip
    yield Statement(
        "E11-normalised", "with it the short annotator prefers short sentences and the long one long ones",
        f"{PAPER}, section 6",
        lambda found: every([
            at_least(_preference(found, "short"), 0.6), at_most(_preference(found, "long"), 0.4),
        ], "short annotator above 0.6, long annotator below 0.4"),
    )  # fmt: skip
    yield Statement(
        "E12-exact-density", "lengths only: the density mixture gives two modes", f"{PAPER}, figure 6; exact surrogate",
        lambda found: every([true(m == 2, "two modes") for m in found.all("lengths_only", "modes", kind="density")]),
    )  # fmt: skip
    yield Statement(
        "E12-exact-annotators", "lengths only: the annotator mixture gives one mode",
        f"{PAPER}, figure 6; exact surrogate",
        lambda found: every([true(m == 1, "one mode") for m in found.all("lengths_only", "modes", kind="annotators")]),
    )  # fmt: skip
    yield Statement(
        "E12-exact-place", "lengths only: the annotator mixture's mode lies between the annotators' own modes",
        f"{PAPER}, figure 6; exact surrogate",
        lambda found: every([inside(m, 10, 44) for m in found.all("lengths_only", "highest", kind="annotators")]),
    )  # fmt: skip
    yield Statement(
        "E13-density", "the model adapted to the density mixture says short and long sentences, and few between",
        f"{PAPER}, figure 6",
        lambda found: every([_is_valley(found, "density", bins, side) for side in (0, 2)],
                            "fewer sentences per length in the middle bin than in either other (exact binomial)"),
    )  # fmt: skip
    yield Statement(
        "E13-annotators", "the model adapted to the annotator mixture has no such valley", f"{PAPER}, figure 6",
        lambda found: _not_both(found, bins),
        "the middle bin is at least as dense as one of the others",
    )  # fmt: skip


def _not_both(found, bins):
    sides = [_share_of(found, "annotators", bins, side) for side in (0, 2)]
    best = max(sides, key=lambda one: one[0].value - one[1])
    return at_least(best[0], best[1])


def _preference(found, annotator):
    rows = found.rows("preferences")
    asked = (annotator, True, "short", "long")
    return next(r for r in rows if (r["annotator"], r["normalised"], r["first"], r["second"]) == asked)["preference"]


# ---- figures and the study ---------------------------------------------------------------------------------------


def lengths(found):
    """Lengths before and after adaptation: exact surrogate (above), transformers (below; cut off at the last bar)."""
    fig, axes = plotting.figure(2, 2, width=12, height=8)
    for column, kind in enumerate(("density", "annotators")):
        title = {"density": "density mixture", "annotators": "annotator mixture"}[kind]
        ax, row = axes[0, column], found.rows("lengths_only", kind=kind, spread=SPREADS[1])[0]
        plotting.density(ax, row["x"], row["whole"], "whole", index=6, linestyle=":")
        plotting.density(ax, row["x"], row["blend"], "half short, half long", index=0, fill=True)
        plotting.density(ax, row["x"], row["learned"], "learned", index=1)
        plotting.label(ax, "length (tokens)", "probability", f"exact surrogate, {title}: modes at {row['modes_at']}")
        ax.set_ylim(0, 1.1 * max(row["learned"].max(), row["blend"].max()))
        plotting.legend(ax)
        ax, rows = axes[1, column], found.rows("adapt", kind=kind)
        before = np.sum([r["before"] for r in rows], 0)
        after = np.sum([r["count"] for r in rows], 0)
        x = np.arange(len(after))
        ax.bar(x, after / after.sum(), color=plotting.colour(1), label=f"adapted, {after.sum()} sentences")
        plotting.line(ax, x, before / before.sum(), "whole", 6, linestyle=":")
        plotting.label(ax, "length (tokens, END included)", "share of sentences", f"transformers, {title}")
        plotting.legend(ax)
    return fig


def preferred(found):
    """E11. Mean preference for the first of two length classes: without normalisation everybody prefers the shorter."""
    fig, axes = plotting.figure(1, 2, width=13, height=4.4, sharey=True)
    for ax, normalised in zip(axes[0], (False, True), strict=True):
        rows = [r for r in found.rows("preferences") if r["normalised"] == normalised]
        pairs = list(dict.fromkeys(f"{r['first']} > {r['second']}" for r in rows))
        values = [[r["preference"] for r in rows if r["annotator"] == name] for name in NAMES]
        plotting.bars(ax, pairs, values, series=NAMES)
        ax.axhline(0.5, color="#555555", linewidth=1.2)
        plotting.label(ax, "", "mean preference", "log-probability per token" if normalised else "log-probability")
    plotting.legend(axes[0, 1], loc="upper left")
    return fig


def cells(
    shape, short, long, steps, batch, rate, pairs, adapt_steps, adapt_batch, adapt_rate, beta, samples, replicates
):  # fmt: skip
    """All cells of a preset."""
    base = Cell(models, {"shape": shape, "short": short, "long": long, "steps": steps, "batch": batch, "rate": rate})
    yield Cell(preferences, {"shape": shape, "short": short, "long": long, "samples": samples}, needs={"models": base})
    how = {"shape": shape, "pairs": pairs, "steps": adapt_steps, "batch": adapt_batch, "rate": adapt_rate}
    for kind in ("density", "annotators"):
        for spread in SPREADS:
            yield Cell(
                lengths_only,
                {"kind": kind, "longest": 60, "spread": spread, "beta": beta},
                name=f"lengths only, {kind}, spread {spread:g}",
            )
        yield Cell(
            adapt, {"kind": kind, **how, "beta": beta, "samples": samples}, name=f"adapt, {kind}",
            replicates=replicates, needs={"models": base}, seed_name="adapt",
        )  # fmt: skip


STUDY = Study(
    name="density_estimation_language",
    title="Annotator mixtures, density mixtures, and the lengths of sentences",
    paper="Dumoulin, Johnson, Castro, Larochelle, Dauphin (arXiv 2311.14115), language-model experiments",
    presets={
        "quick": Preset(3, {
            "shape": {"vocabulary": 1000, "width": 64, "layers": 2, "heads": 4, "length": 32},
            "short": 7, "long": 17, "steps": 400, "batch": 64, "rate": 3e-3, "pairs": 2**12, "adapt_steps": 120,
            "adapt_batch": 64, "adapt_rate": 1e-3, "beta": 4e-5, "samples": 2000, "replicates": 1,
        } | {"bins": [[3, 7], [10, 14], [17, 24]]}),
        "paper": Preset(60, {
            "shape": {"vocabulary": 8000, "width": 512, "layers": 6, "heads": 8, "length": 50},
            "short": 8, "long": 20, "steps": 6000, "batch": 256, "rate": 6e-4, "pairs": 2**15, "adapt_steps": 256,
            "adapt_batch": 128, "adapt_rate": 1e-4, "beta": 4e-5, "samples": 8192, "replicates": 3,
        } | {"bins": [[3, 8], [12, 16], [20, 30]]}, "on one GPU (--device cuda)"),
    },
    cells=lambda bins, **settings: cells(**settings),
    claims=claims,
    figures=[lengths, preferred],
    data=["tinyshakespeare.txt"],
    in_ci=False,
)  # fmt: skip
