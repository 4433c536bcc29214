"""Real annotators: does the estimate exist, what does it say, and which way of answering fits the answers best?"""

from __future__ import annotations

import numpy as np
import pandas as pd

import annosim as an
from annosim import plotting
from annosim.study import (
    CONTROL,
    STUDY_ADDS,
    Cell,
    Estimate,
    Preset,
    Statement,
    Study,
    at_least,
    at_most,
    every,
    exact,
    true,
)

from . import crosschecks
from .debates import debates
from .reading import FILES, read, table

PEERS = ("choix", "evalica", "statsmodels")
EXACT = 1e-6  # what two solvers of one likelihood must agree to


def exists(file, data):
    """Bradley-Terry or Plackett-Luce, ties as half wins: existence first, then the estimate."""
    answers = read(file, data)
    tied = float(np.mean(np.asarray(answers.tied).any(-1))) if answers.tied is not None else 0.0
    row = {
        "rows": answers.rows,
        "annotators": float(np.asarray(answers.annotator_weight).sum()),
        "items": answers.items.n,
        "prompts": answers.items.num_prompts,
        "tied": tied,
        "kind": answers.feedback.kind,
    }
    answers = answers.ties("half") if answers.has_ties else answers
    try:
        fit = an.fit(table(answers), answers)
    except an.errors.NotIdentifiedError as error:
        return row | {"exists": False, "reason": str(error), "log_likelihood": np.nan, "gradient": np.nan, "best": ""}
    best = answers.items.names[int(fit.population.utility.values.argmax())]
    return row | {
        "exists": True,
        "reason": "",
        "log_likelihood": fit.log_likelihood,
        "gradient": fit.gradient_norm,
        "best": best,
    }


def rules_for(name):
    """Ways of answering a pair when ties are allowed, their numbers free."""
    return {
        "Davidson": an.Davidson(delta=an.free(1.0)),
        "Rao-Kupper": an.rules.RaoKupper(theta=an.free(2.0)),
        "Davidson, position": an.PositionBias(an.Davidson(delta=an.free(1.0)), shift=an.free(0.0)),
        "Rao-Kupper, position": an.PositionBias(an.rules.RaoKupper(theta=an.free(2.0)), shift=an.free(0.0)),
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
        "share": float(two.population.weights[0].detach()),
        "error": float(two.standard_errors()["weights"][0]),
        "gain": two.log_likelihood - one.log_likelihood,
        "bic_gain": one.bic - two.bic,
        "gradient": two.gradient_norm,
        "posterior": posterior,
    }


def skills(data):
    """A reliability for each worker: the share of votes that follow the models, the others guesses; a prior on each."""
    answers = read("llmfao.csv", data)
    one = an.fit(table(answers, an.Davidson(delta=an.free(1.0))), answers)
    rule = an.rules.Reliability(an.Davidson(delta=an.free(1.0)), skill=an.free(np.full(answers.num_annotators, 2.0)))
    fit = an.fit(table(answers, rule), answers, prior=an.priors.Gaussian(1.5))
    attention = 1 / (1 + np.exp(-fit.population.free_parameters()["rule.skill"].numpy(force=True)))
    return {
        "gain": fit.log_likelihood - one.log_likelihood,
        "gradient": fit.gradient_norm,
        "attention": attention,
        "note": fit.notes[0] if fit.notes else "",
    }


def hidden_types(largest, starts, folds, seed, data):
    """Plackett-Luce mixtures on the sushi rankings: BIC, and the likelihood of people held out."""
    answers = read("preflib/sushi.soc", data, expand=True)  # a row per person
    found = an.choose_types(
        lambda k: an.Mixture([table(answers) for _ in range(k)]),
        answers,
        ks=range(1, largest + 1),
        folds=folds,
        starts=starts,
        seed=seed % 2**32,
    )
    frame = found.to_frame().reset_index()
    frame["gradient"] = [found.fits[k].gradient_norm if k in found.fits else np.nan for k in found.ks]
    return frame.to_dict("records")


def cells(files, largest, starts, folds, rules, peers):
    """Every file, every debate; every rule on the votes; reliability; numbers of hidden types; other packages."""
    yield from (Cell(exists, {"file": file}) for file in files)
    yield Cell(debates, {"rules": rules})
    names = ("Davidson", "Rao-Kupper", "Davidson, position", "Rao-Kupper, position")
    yield from (Cell(votes_with_ties, {"rule": name}) for name in names)
    yield Cell(reliability)
    yield Cell(skills)
    yield Cell(hidden_types, {"largest": largest, "starts": starts, "folds": folds})
    yield Cell(crosschecks.no_estimate)
    for package in peers:
        yield Cell(getattr(crosschecks, package), {"package": package}, skip=crosschecks.not_installed)


def _interval(found, rule):
    shift, error = found.get("votes_with_ties", "shift", rule=rule), found.get("votes_with_ties", "error", rule=rule)
    return Estimate(shift, shift - 1.96 * error, shift + 1.96 * error, method="Wald, clustered by worker")


def claims(files, peers):
    """What the files are said to show."""
    source = "Ford 1957; Hunter 2004"
    yield Statement(
        "llmfao-exists",
        "with ties as half wins the Bradley-Terry estimate of llmfao exists",
        source,
        lambda found: true(found.get("exists", "exists", file="llmfao.csv"), "strongly connected"),
        whose=STUDY_ADDS,
    )
    yield Statement(
        "skaters-not",
        "nine judges who agree on the winner leave no finite Plackett-Luce estimate",
        source,
        lambda found: true(not found.get("exists", "exists", file="preflib/skaters.toc"), "an undefeated skater"),
        whose=STUDY_ADDS,
    )
    yield Statement(
        "gradients",
        "every estimate that exists is at a gradient below 1e-8",
        "an honest solver",
        lambda found: every([at_most(exact(g), 1e-8) for g in found.values("exists", "gradient") if np.isfinite(g)]),
        whose=CONTROL,
    )
    yield Statement(
        "left",
        "voters of llmfao favour the answer on the left",
        "this study",
        lambda found: at_least(_interval(found, "Davidson, position"), 0.0),
        whose=STUDY_ADDS,
    )
    yield Statement(
        "careless",
        "workers are of two kinds: beside those whose votes follow the models, some whose votes are better "
        "described by equal utilities and a tie rate of their own (BIC)",
        "this study",
        lambda found: at_least(exact(found.get("reliability", "bic_gain")), 0.0),
        whose=STUDY_ADDS,
        figure="workers",
    )
    yield Statement(
        "sushi-types",
        "one Plackett-Luce type is not enough for the sushi rankings: more types predict held-out people better",
        "Kamishima 2003; Mollica and Tardella 2017",
        lambda found: at_least(_better_than_one(found), 0.0),
        whose=STUDY_ADDS,
        figure="held_out",
    )
    yield Statement(
        "debates-exist",
        "with ties as half wins the Bradley-Terry estimate exists in each of the 32 debates",
        "Ford 1957; UKPConvArg1",
        lambda found: at_least(exact(sum(found.all("debates", "exists"))), 32),
        whose=STUDY_ADDS,
        figure="ties_and_agreement",
    )
    yield Statement(
        "debates-without-ties",
        "ties are not to be left out: without them some debate has an item that never lost or never won, and no estimate "
        "(number of such debates)",
        "this study",
        lambda found: at_least(exact(len(_only_with_ties(found))), 1),
        whose=STUDY_ADDS,
        figure="ties_and_agreement",
    )
    yield Statement(
        "cycles",
        "convincingness is more transitive than coins: in every debate less than a quarter of the triads of "
        "majorities are cyclic",
        "this study",
        lambda found: at_most(exact(max(r["cyclic"] / r["triads"] for r in found.rows("debates"))), 0.25),
        whose=STUDY_ADDS,
        figure="ties_and_agreement",
    )
    for package in peers:
        yield Statement(
            f"{package}-right",
            f"{package} agrees with annosim to 1e-6 where it maximises the same likelihood",
            "cross-check on the same answers",
            lambda found, p=package: every([at_most(r["difference"], EXACT) for r in _rows(found, p, wrong=False)]),
            whose=CONTROL,
        )
        yield Statement(
            f"{package}-wrong",
            f"{package} returns wrong or made-up numbers in the cases listed, and does not raise",
            "cross-check on the same answers",
            lambda found, p=package: every(
                [_wrong(r) for r in _rows(found, p, wrong=True)],
                labels=[f"{r['call'].partition('(')[0]}, {r['on']}" for r in _rows(found, p, wrong=True)],
            ),
            whose=STUDY_ADDS,
        )
    yield Statement(
        "refused",
        "annosim refuses the answers that have no estimate",
        "an honest solver",
        lambda found: true(all(found.all("no_estimate", "refused")), "both refused"),
        whose=CONTROL,
    )


def _only_with_ties(found):
    """Names of the debates whose estimate exists only because ties count."""
    return [r["debate"] for r in found.rows("debates") if r["exists"] and not r["exists_decisive"]]


def _careless(found):
    """Share of workers whose votes say nothing of the models."""
    share, error = (found.get("reliability", name) for name in ("share", "error"))
    return Estimate(1 - share, 1 - share - 1.96 * error, 1 - share + 1.96 * error, method="Wald")


def _better_than_one(found):
    """What the best number of types gains on one type, per held-out person; errors with people as units."""
    rows = found.rows("hidden_types")
    gain, error = max(r["held_out"] for r in rows) - rows[0]["held_out"], rows[0]["held_out_error"]
    return Estimate(gain, gain - 1.96 * error, gain + 1.96 * error, method="paired, people as units")


def _rows(found, package, wrong):
    return [r for r in found.rows(package) if bool(r["problem"]) == wrong]


def _wrong(row):
    """Finite numbers without an estimate, or numbers far from the one there is."""
    if np.isnan(row["difference"]):
        return true(row["finite"], "finite numbers where no estimate exists")
    return at_least(row["difference"], 100 * EXACT)


def what_the_answers_show(found):
    """Four findings. llmfao, workers by the posterior probability that their votes follow the models (dashed: the estimated
    share of the others, from the right). llmfao, shift towards the answer on the left under two rules with ties, 95 % Wald
    intervals clustered by worker. Sushi, what more types gain on one for a held-out person, relative to the best number; 95 %
    intervals with people as units. UKPConvArg1, agreement beyond chance against the share of ties."""
    fig, axes = plotting.figure(2, 2, width=13.0, height=9.0)
    _workers(axes[0, 0], found)
    rules = ("Davidson, position", "Rao-Kupper, position")
    shifts = [_interval(found, rule) for rule in rules]
    names = [rule.removesuffix(", position") for rule in rules]
    plotting.intervals(
        axes[0, 1], names, *([getattr(e, k) for e in shifts] for k in ("value", "low", "high")), zero=0.0
    )
    plotting.label(axes[0, 1], "shift towards the left answer (logits)", "", "llmfao: position")
    _held_out(axes[1, 0], found)
    _agreement(axes[1, 1], found)
    return fig


def _held_out(axis, found):
    frame = found.frame("hidden_types")
    types, below = frame["types"].to_numpy(), frame["held_out"].to_numpy() - frame["held_out"].max()
    half = 1.96 * frame["held_out_error"].to_numpy()
    plotting.line(axis, types, below, "", 0, below - half, below + half, markers=True)
    axis.set_xticks(types)
    plotting.label(axis, "hidden types", "nats per held-out person, less the best", "sushi: Plackett-Luce types")


def _agreement(axis, found):
    frame = found.frame("debates")
    axis.scatter(frame["tied"], frame["alpha"], color=plotting.colour(0))
    plotting.label(axis, "share of ties", "Krippendorff's alpha", "UKPConvArg1: 32 debates")


def _workers(axis, found):
    posterior = np.sort(found.finished("reliability")[0]["posterior"])
    plotting.line(axis, np.arange(1, len(posterior) + 1), posterior, "", 0)
    axis.axvline(_careless(found).value * len(posterior), color="#555555", linewidth=1.2, linestyle="--")
    plotting.label(
        axis,
        f"{len(posterior)} workers, sorted",
        "probability that votes follow the models",
        "llmfao: two kinds of workers",
    )


def held_out(found):
    """Log-likelihood of a held-out person of the sushi rankings, for each number of Plackett-Luce types, less that of the best
    number; 95 % intervals with people as units."""
    fig, axes = plotting.figure()
    _held_out(axes[0, 0], found)
    return fig


def ties_and_agreement(found):
    """The 32 debates: chance-corrected agreement against the share of ties."""
    fig, axes = plotting.figure()
    _agreement(axes[0, 0], found)
    return fig


def workers(found):
    """Posterior probability that a worker of llmfao looks at the answers, sorted; dashed: the estimated share of the others."""
    fig, axes = plotting.figure()
    _workers(axes[0, 0], found)
    return fig


def files_table(found):
    """Every file: does the maximum-likelihood estimate exist?"""
    columns = ["file", "rows", "items", "tied", "kind", "exists", "best", "log_likelihood", "reason"]
    return found.frame("exists")[columns]


def rules_table(found):
    """Rules with ties on the votes of llmfao."""
    columns = ["rule", "log_likelihood", "parameters", "bic", "shift", "error"]
    return found.frame("votes_with_ties")[columns].sort_values("bic")


def debates_table(found):
    """The 32 debates one by one."""
    frame = found.frame("debates").drop(columns=["cell", "replicate", "gradient", "rules"])
    return frame.sort_values("alpha", ascending=False)


def types_table(found):
    """Numbers of hidden types for sushi."""
    return found.frame("hidden_types")[
        ["types", "log_likelihood", "num_parameters", "bic", "held_out", "held_out_error", "gradient"]
    ]


def peers_table(found):
    """Other packages on the same answers; the debates that evalica fits are in results.parquet one by one."""
    columns = ["package", "call", "on", "difference", "smallest", "largest", "warned", "problem"]
    frames = [found.frame(package) for package in PEERS if found.finished(package)]
    rows = pd.concat(frames)
    return rows[~rows["on"].str.startswith("debate ")][columns]


def _settings(**changes):
    """The quick preset's, but for the changes."""
    quick = {"files": list(FILES), "largest": 3, "starts": 1, "folds": 2, "rules": False, "peers": list(PEERS)}
    return quick | changes


def finding(found, judged):
    """Where an estimate exists, where not, and what the answers show, in the words of the verdicts."""
    verdict = {claim.id: claim.verdict for claim in judged}
    files = found.frame("exists")
    without = ", ".join(files.loc[~files["exists"].astype(bool), "file"]) or "none"
    shift, types, alone = _interval(found, "Davidson, position"), found.rows("hidden_types"), _careless(found)
    best, gain = max(types, key=lambda r: r["held_out"]), _better_than_one(found)
    alpha, only = found.frame("debates")["alpha"], _only_with_ties(found)
    favour = (
        "favour the left answer"
        if verdict["left"] == "supported"
        else "do not surely favour the left answer: it is ahead"
    )
    kinds = "" if verdict["careless"] == "supported" else " (no better a description than one kind of workers)"
    better = "better" if verdict["sushi-types"] == "supported" else "better (not beyond chance)"
    return (
        f"The maximum-likelihood estimate exists for {int(files['exists'].sum())} of {len(files)} files and not for {without}, "
        f"where an item is undefeated or never compared; annosim names it instead of returning numbers. Voters of llmfao {favour} by "
        f"{shift.value:.2f} logits [{shift.low:.2f}, {shift.high:.2f}], and {alone.value:.0%} [{alone.low:.0%}, {alone.high:.0%}] vote as "
        f"if all models were alike{kinds}. {best['types']} types of sushi eaters, of up to {len(types)} tried, predict a held-out person "
        f"{gain.value:.2f} nats {better} than one [{gain.low:.2f}, {gain.high:.2f}]. In 32 debates agreement beyond chance is "
        f"{alpha.min():.2f} to {alpha.max():.2f}, and {len(only) or 'none'} of them {'has' if len(only) == 1 else 'have'} an estimate only because ties count."
    )


STUDY = Study(
    name="real_annotators",
    title="Real annotators: existence first, then ties, position, reliability and hidden types",
    paper="LLMFAO (Ustalov 2023), UKPConvArg1 (Habernal and Gurevych 2016), PrefLib (Mattei and Walsh 2013)",
    presets={
        "quick": Preset(0.5, _settings(), decisive=False),
        "smoke": Preset(
            0.2, _settings(files=["llmfao.csv", "preflib/skaters.toc"], largest=2, peers=["evalica"]), decisive=False
        ),
        "paper": Preset(8, _settings(largest=8, starts=10, folds=5, rules=True)),
    },
    cells=cells,
    claims=claims,
    finding=finding,
    figures=[what_the_answers_show, workers, held_out, ties_and_agreement],
    tables=[files_table, debates_table, rules_table, types_table, peers_table],
    data=FILES,
)
