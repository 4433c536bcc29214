"""Plural or indistinguishable? One answer each cannot say; two answers each can; and a position bias can pretend."""

from __future__ import annotations

import numpy as np
import torch

import annosim as an
from annosim.analysis import agreement, law_divergence
from annosim.study import data_path

FOLDER = "ukp_convincing_arguments"


def make_question(seed):
    """A prompt with five responses that two camps see in opposite ways, or that nobody can tell apart."""
    items = an.Items.normal(5, dim=2, seed=seed)
    rng = np.random.default_rng(seed)
    b = rng.normal(size=2)
    b *= 1.5 / np.linalg.norm(b)
    plural = an.Mixture([an.Annotator(an.Linear(s * b), an.Luce()) for s in (1, -1)], weights=[0.5, 0.5])
    indifferent = an.Annotator(an.Linear([0.0, 0.0]), an.Luce())
    return items, plural, indifferent


def laws(seed, questions):
    """Distance of the two laws of answers (exact), and what identify says of the plural one."""
    items, plural, indifferent = make_question(seed % 1000)
    return laws_and_verdict(plural, indifferent, an.Design(items, questions=questions))


def laws_on_real_pairs(questions, data, pairs):
    """The same on pairs that were really asked in one debate of UKPConvArg1, with two features of their texts."""
    votes = an.io.read_ukp(data_path(f"{FOLDER}/votes.csv.gz", data).parent)
    debate = votes.items.prompts[torch.as_tensor(votes.menu[:, 0], dtype=torch.long)].numpy()
    asked = np.unique(np.sort(votes.menu[debate == debate[0]], 1), axis=0)[:pairs]
    ids, menus = np.unique(asked, return_inverse=True)
    texts = [votes.items.texts[i] for i in ids]
    x = np.array([[np.log(1 + len(t.split())), t.count(",") + t.count(".")] for t in texts])
    items = an.Items(features=(x - x.mean(0)) / x.std(0), names=[votes.items.names[i] for i in ids])
    plural = an.Mixture([an.Annotator(an.Linear([s, s / 2]), an.Luce()) for s in (1.0, -1.0)], weights=[0.5, 0.5])
    indifferent = an.Annotator(an.Linear([0.0, 0.0]), an.Luce())
    design = an.Design(items, menus=menus.reshape(-1, 2), questions=questions)
    seen = agreement(votes, replicates=0)
    return {**laws_and_verdict(plural, indifferent, design), "within_pairs": seen.pairs_within, "between": seen.between}


def laws_and_verdict(plural, indifferent, design):
    """Distance of the laws and what identify says of the plural population."""
    found = law_divergence(plural, indifferent, design)
    report = an.identify(plural, design, starts=4)
    return {
        "distance": found.total_variation,
        "kl": found.kl,
        "verdict": report.verdict,
        "rank": int(report.rank),
        "identifiable": int(report.num_parameters),
        "twin": report.twin is not None,
    }


def repeated_answers(seed, annotators, swap):
    """Agreement within and between annotators who answer one pair four times, sides swapped at random or never."""
    items, plural, _ = make_question(0)
    items = items.with_(clusters=np.zeros(items.n, dtype=int))  # paraphrases, for those who see that they are
    spread = (items.features @ plural.types[0].utility.weights).detach()
    pair = [int(spread.argmax()), int(spread.argmin())]
    menus = [pair, pair[::-1]] if swap else [pair]
    design = an.Design(items, menus=menus, annotators=annotators, questions=4)
    left_or_right = [an.Annotator(an.Linear([0.0, 0.0]), an.PositionBias(an.Luce(), [s, -s])) for s in (1.5, -1.5)]
    kinds = {
        "plural": plural,
        "paraphrases": an.Annotator(plural.types[0].utility, an.rules.SeesClusters(an.Luce())),
        "below the j.n.d.": an.Annotator(plural.types[0].utility, an.rules.JustNoticeable(an.Luce(), jnd=50.0)),
        "position bias": an.Mixture(left_or_right, weights=[0.5, 0.5]),
    }
    rows = []
    for number, (name, people) in enumerate(kinds.items()):
        found = agreement(an.simulate(people, design, seed=(seed + number) % 2**63), replicates=0)
        rows.append({"people": name, "within": found.within, "between": found.between})
    return rows
