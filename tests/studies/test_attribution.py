"""Whose is it? Every claim of every study says so, and cites nothing that nobody here has read."""

from __future__ import annotations

import re

import pytest

from annosim.study import find_studies
from annosim.study.attribution import GROUPS

#: what was read of any paper: whoever reads more adds it here
READ = {
    "abstract",
    "abstract and public notebook",
    "abstract and public code",
    "abstract and a figure, read off",
    "abstract and the lemma on one answer each",
    "abstract and the notebook's figure, read off",
    "the lemma on many varied pairs of one user",
}
#: a part of a paper, as the source of a claim names it
READS = re.compile(r"\b(abstract|notebook|public code)\b")
PLACE = re.compile(r"\b(section|sec\.|fig\.|figure|theorem|lemma|proposition|table|appendix|statement S)\s*[0-9]", re.I)

STUDIES = {found.name: found.load() for found in find_studies()}


def claims():
    for name, study in STUDIES.items():
        for preset in study.presets:
            for claim in study.statements(preset):
                yield pytest.param(study, claim, id=f"{name}-{preset}-{claim.id}")


def test_all_studies_are_looked_at():
    assert {"density_estimation", "heterogeneity", "reward_transforms", "disagreement"} <= set(STUDIES)


@pytest.mark.parametrize(("study", "claim"), list(claims()))
def test_a_claim_says_whose_it_is_and_cites_no_place_that_was_not_read(study, claim):
    assert claim.whose.group in GROUPS
    if claim.whose.group == "paper":
        assert claim.whose.read in READ
    if claim.whose.group == "study" and READS.search(claim.source):
        assert "this study" in claim.source, "the study's own claim with nothing but the paper as its source"
    assert not PLACE.search(f"{claim.source} {claim.text}"), "the number of a section or figure that nobody read"
    assert not claim.figure or claim.figure in [f.__name__ for f in study.figures]
