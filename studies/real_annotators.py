"""Real annotators: does the estimate exist, what does it say, and which way of answering fits the answers best?"""

from __future__ import annotations

import numpy as np

import annosim as an
from annosim import plotting
from annosim.study import Cell, Estimate, Preset, Statement, Study, at_least, at_most, data_path, every, exact, true

PAIRS = {"annotator": "worker", "left": "left", "right": "right", "winner": "winner"}
ELECTIONS = ("cities.soi", "education_qualities.toi", "netflix.soc", "skaters.toc", "sushi.soc")
WARDS = (
    "argyll_bute_2022_ward8", "edinburgh_2017_ward15", "edinburgh_2022_ward2", "fife_2022_ward4",
    "glasgow_2022_ward20", "orkney_2017_ward1",
)  # fmt: skip
FILES = (
    "llmfao.csv",
    "ukp_convincing_arguments/votes.csv.gz",
    *(f"preflib/{name}" for name in ELECTIONS),
    *(f"scottish_elections/{name}.csv" for name in WARDS),
)


def read(file, data=None):
    """The answers of one real file, as they were given."""
    path = data_path(file, data)
    if file == "llmfao.csv":
        return an.read_csv(path, **PAIRS)
    if file.startswith("ukp"):
        return an.read_ukp(path)
    return an.read_scottish(path) if file.startswith("scottish") else an.read_preflib(path)


def table(answers, rule=None):
    """One free utility per item."""
    return an.Annotator(an.Tabular(answers.items.n), rule or an.Luce())


def exists(file, data):
    """Bradley-Terry or Plackett-Luce, ties as half wins: existence first, then the estimate."""
    answers = read(file, data)
    tied = float(np.mean(np.asarray(answers.tied).any(-1))) if answers.tied is not None else 0.0
    row = {
        "rows": answers.rows, "annotators": float(np.asarray(answers.annotator_weight).sum()), "items": answers.items.n,
        "prompts": answers.items.num_prompts, "tied": tied, "kind": answers.feedback.kind,
    }  # fmt: skip
    answers = answers.ties("half") if answers.has_ties else answers
    try:
        fit = an.fit(table(answers), answers)
    except an.NotIdentifiedError as error:
        return row | {"exists": False, "reason": str(error), "log_likelihood": np.nan, "gradient": np.nan, "best": ""}
    best = answers.items.names[int(fit.population.utility.values.argmax())]
    return row | {
        "exists": True, "reason": "", "log_likelihood": fit.log_likelihood, "gradient": fit.gradient_norm, "best": best,
    }  # fmt: skip


def rules_for(name):
    """Ways of answering a pair when ties are allowed, their numbers free."""
    return {
        "Davidson": an.Davidson(delta=an.free(1.0)),
        "Rao-Kupper": an.RaoKupper(theta=an.free(2.0)),
        "Davidson, position": an.PositionBias(an.Davidson(delta=an.free(1.0)), shift=an.free(0.0)),
        "Rao-Kupper, position": an.PositionBias(an.RaoKupper(theta=an.free(2.0)), shift=an.free(0.0)),
    }[name]


def votes_with_ties(rule, data):
    """One rule on the votes of llmfao: fit, criterion, and the shift towards the left answer with its interval."""
    answers = read("llmfao.csv", data)
    fit = an.fit(table(answers, rules_for(rule)), answers)
    shift = error = np.nan
    if "position" in rule:
        shift = float(fit.population.free_parameters()["rule.shift"])
        error = float(fit.standard_errors("cluster")["rule.shift"])
    out = {"log_likelihood": fit.log_likelihood, "bic": fit.bic, "gradient": fit.gradient_norm}
    return out | {"shift": shift, "error": error, "parameters": fit.num_parameters}


def reliability(data):
    """Two hidden types of workers: those who look at the answers, and those whose votes say nothing of the models."""
    answers = read("llmfao.csv", data)
    n = answers.items.n
    serious = an.Annotator(an.Tabular(n), an.Davidson(delta=an.free(1.0)))
    careless = an.Annotator(an.Tabular(an.fixed(np.zeros(n))), an.Davidson(delta=an.free(1.5)))
    one = an.fit(serious, answers)
    model = an.Mixture([one.population, careless], [0.7, 0.3])
    two = an.fit(model, answers)
    posterior = two.responsibilities[:, 0].numpy()
    return {
        "share": float(two.population.weights[0].detach()), "error": float(two.standard_errors()["weights"][0]),
        "gain": two.log_likelihood - one.log_likelihood, "bic_gain": one.bic - two.bic,
        "gradient": two.gradient_norm, "posterior": posterior,
    }  # fmt: skip


def hidden_types(types, starts, seed, data):
    """Plackett-Luce mixtures on the sushi rankings: BIC on all, log-likelihood of a held-out fifth of the people."""
    answers = an.read_preflib(data_path("preflib/sushi.soc", data), expand=True)  # a row per person
    rng = np.random.default_rng(20)  # one split for all numbers of types
    held = rng.random(answers.rows) < 0.2
    model = table(answers)
    if types > 1:
        model = an.Mixture([table(answers) for _ in range(types)])
    whole = an.fit(model, answers, starts=starts, seed=seed % 2**32)
    part = an.fit(model, answers.take(np.flatnonzero(~held)), starts=starts, seed=seed % 2**32)
    return {
        "bic": whole.bic, "held_out": part.held_out(answers.take(np.flatnonzero(held))),
        "gradient": max(whole.gradient_norm, part.gradient_norm), "log_likelihood": whole.log_likelihood,
        "spread": max(whole.starts) - min(whole.starts), "weights": _weights(whole),
    }  # fmt: skip


def _weights(fit):
    weights = getattr(fit.population, "weights", None)
    return np.ones(1) if weights is None else weights.detach().numpy()


def cells(files, largest, starts):
    """Every file; every rule on the votes; reliability; numbers of hidden types."""
    yield from (Cell(exists, {"file": file}) for file in files)
    names = ("Davidson", "Rao-Kupper", "Davidson, position", "Rao-Kupper, position")
    yield from (Cell(votes_with_ties, {"rule": name}) for name in names)
    yield Cell(reliability)
    yield from (Cell(hidden_types, {"types": k, "starts": starts}) for k in range(1, largest + 1))


def _interval(found, rule):
    shift, error = found.get("votes_with_ties", "shift", rule=rule), found.get("votes_with_ties", "error", rule=rule)
    return Estimate(shift, shift - 1.96 * error, shift + 1.96 * error, method="Wald, clustered by worker")


def claims(files, largest):
    """What the files are said to show."""
    source = "Ford 1957; Hunter 2004"
    yield Statement(
        "llmfao-exists", "with ties as half wins the Bradley-Terry estimate of llmfao exists", source,
        lambda found: true(found.get("exists", "exists", file="llmfao.csv"), "strongly connected"),
    )  # fmt: skip
    yield Statement(
        "skaters-not", "nine judges who agree on the winner leave no finite Plackett-Luce estimate", source,
        lambda found: true(not found.get("exists", "exists", file="preflib/skaters.toc"), "an undefeated skater"),
    )  # fmt: skip
    yield Statement(
        "gradients", "every estimate that exists is at a gradient below 1e-8", "issue of an honest solver",
        lambda found: every([at_most(exact(g), 1e-8) for g in found.values("exists", "gradient") if np.isfinite(g)]),
    )  # fmt: skip
    yield Statement(
        "left", "voters of llmfao favour the answer on the left", "LLMFAO, position bias",
        lambda found: at_least(_interval(found, "Davidson, position"), 0.0),
    )  # fmt: skip
    yield Statement(
        "careless", "workers are of two kinds: beside those whose votes follow the models, some whose votes are better "
        "described by equal utilities and a tie rate of their own (BIC)",
        "LLMFAO, worker reliability",
        lambda found: at_least(exact(found.get("reliability", "bic_gain")), 0.0),
    )  # fmt: skip
    yield Statement(
        "sushi-types", "one Plackett-Luce type is not enough for the sushi rankings: two types predict held-out people "
        "better", "Kamishima 2003; Mollica and Tardella 2017",
        lambda found: at_least(
            exact(found.get("hidden_types", "held_out", types=2) - found.get("hidden_types", "held_out", types=1)), 0.0
        ),
    )  # fmt: skip


def held_out(found):
    """Held-out log-likelihood per person of Plackett-Luce mixtures on the sushi rankings."""
    frame = found.frame("hidden_types").sort_values("types")
    fig, axes = plotting.figure()
    plotting.line(axes[0, 0], frame["types"].to_numpy(), frame["held_out"].to_numpy(), "sushi", 0)
    plotting.label(axes[0, 0], "hidden types", "held-out log-likelihood per person")
    return fig


def workers(found):
    """Posterior probability that a worker of llmfao looks at the answers, sorted."""
    fig, axes = plotting.figure()
    posterior = np.sort(found.finished("reliability")[0]["posterior"])
    plotting.line(axes[0, 0], np.arange(1, len(posterior) + 1), posterior, "worker", 0)
    plotting.label(axes[0, 0], "workers, sorted", "probability of the informative type")
    return fig


def files_table(found):
    """Every file: does the maximum-likelihood estimate exist?"""
    columns = ["file", "rows", "items", "tied", "kind", "exists", "best", "log_likelihood", "reason"]
    return found.frame("exists")[columns]


def rules_table(found):
    """Rules with ties on the votes of llmfao."""
    columns = ["rule", "log_likelihood", "parameters", "bic", "shift", "error"]
    return found.frame("votes_with_ties")[columns].sort_values("bic")


STUDY = Study(
    name="real_annotators",
    title="Real annotators: existence first, then ties, position, reliability and hidden types",
    paper="LLMFAO (Ustalov 2023), UKPConvArg1 (Habernal and Gurevych 2016), PrefLib (Mattei and Walsh 2013)",
    presets={
        "quick": Preset(0.6, {"files": list(FILES), "largest": 3, "starts": 3}),
        "smoke": Preset(0.1, {"files": ["llmfao.csv", "preflib/skaters.toc"], "largest": 2, "starts": 1}),
        "paper": Preset(5, {"files": list(FILES), "largest": 8, "starts": 20}),
    },
    cells=cells,
    claims=claims,
    figures=[workers, held_out],
    tables=[files_table, rules_table],
    data=FILES,
)
