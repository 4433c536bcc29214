"""The real files, as they were given."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

import annosim as an
from annosim.study import data_path

PAIRS = {"annotator": "worker", "left": "left", "right": "right", "winner": "winner"}
ELECTIONS = ("cities.soi", "education_qualities.toi", "netflix.soc", "skaters.toc", "sushi.soc")
WARDS = (
    "argyll_bute_2022_ward8",
    "edinburgh_2017_ward15",
    "edinburgh_2022_ward2",
    "fife_2022_ward4",
    "glasgow_2022_ward20",
    "orkney_2017_ward1",
)
ARGUMENTS = "ukp_convincing_arguments/votes.csv.gz"
FILES = (
    "llmfao.csv",
    ARGUMENTS,
    *(f"preflib/{name}" for name in ELECTIONS),
    *(f"scottish_elections/{name}.csv" for name in WARDS),
)


@lru_cache  # several cells ask for one file
def read(file, data=None, **options):
    """The answers of one file."""
    path = data_path(file, data)
    if file == "llmfao.csv":
        return an.io.read_csv(path, **PAIRS)
    if file == ARGUMENTS:
        return an.io.read_ukp(path)
    return an.io.read_scottish(path) if file.startswith("scottish") else an.io.read_preflib(path, **options)


@lru_cache
def read_debates(data=None):
    """The votes of each debate by its name, over its own arguments only."""
    answers = read(ARGUMENTS, data)
    topic = np.asarray(answers.items.columns["topic"])
    of_row = topic[answers.menu[:, 0]]
    return {name: _one(answers, np.flatnonzero(topic == name), of_row == name) for name in np.unique(topic)}


def _one(answers, ids, rows):
    part = answers.take(rows).compact()
    items = an.Items(n=len(ids), names=[answers.items.names[i] for i in ids])
    return an.PreferenceData(
        items, np.searchsorted(ids, part.menu), part.answer, tied=part.tied, annotator=part.annotator
    )


def table(answers, rule=None):
    """One free utility per item."""
    return an.Annotator(an.Tabular(answers.items.n), rule or an.Luce())


def utilities(answers, rule=None, **options):
    """The maximum-likelihood utilities, summing to zero."""
    fit = an.fit(table(answers, rule), answers, **options)
    return fit.population.utility.values.numpy(force=True)


def decisive(answers):
    """Votes without the ties."""
    part = answers.take(~answers.tied.any(-1)) if answers.has_ties else answers
    first = part.answer[:, 0] if part.answer.ndim > 1 else part.answer
    return an.PreferenceData(part.items, part.menu, first, annotator=part.annotator).compact()


def win_counts(answers):
    """How often each item beat each other one, ``(items, items)``; ties are half a win for either side."""
    pairs = answers.ties("half") if answers.has_ties else answers
    won = pairs.menu[np.arange(pairs.rows), pairs.answer]
    counts = np.zeros((pairs.items.n, pairs.items.n))
    np.add.at(counts, (won, pairs.menu.sum(1) - won), pairs.row_weight)
    return counts
