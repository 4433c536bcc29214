"""``identify(population, design)``: whether the law of the answers can be inverted."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from annosim.coordinates import Coordinates, identifiable_coordinates, population_distance
from annosim.coordinates.identifiable import RANK_TOLERANCE
from annosim.coordinates.wording import normalisation_words
from annosim.data.preferences import PreferenceData
from annosim.designs.design import Design
from annosim.errors import ArgumentError, NothingFreeError, told
from annosim.identifiability.empirical import empirical
from annosim.identifiability.families import AnyTastes, Family, Types
from annosim.identifiability.functionals import (
    FUNCTIONALS,
    Functional,
    FunctionalLike,
    check_functionals,
    named_functionals,
)
from annosim.identifiability.local import LocalRank, local_rank, null_directions
from annosim.identifiability.other_families import among_tastes, among_types
from annosim.identifiability.report import IdentifiabilityReport
from annosim.identifiability.search import subsample
from annosim.identifiability.theorems import applicable
from annosim.identifiability.twins import (
    DIFFERENT,
    SAME_LAW,
    Curve,
    Search,
    all_twins,
    follow_null,
    reflection_twins,
    search_twin,
)
from annosim.identifiability.weak import weakest_in_words
from annosim.information.jacobian import law_distance
from annosim.information.support import DesignSupport, merge_settings, prepare
from annosim.information.threads import few_threads
from annosim.learning.result import Fit
from annosim.populations.annotator import Annotator, check_utilities
from annosim.populations.base import Population
from annosim.random import child_seed
from annosim.results import versions

__all__ = ["identify"]

#: further samples of menus on which a twin is checked where the menus are too many to list
FRESH = 3
#: law distances above this are not rounding
ROUNDING = 1e-13


def identify(
    population: Population | Fit,
    design: Design | PreferenceData | None = None,
    *,
    among: Family | Sequence[Family] = None,
    functional: FunctionalLike = None,
    starts: int = 20,
    seed: int = 0,
    jobs: int | None = None,
) -> IdentifiabilityReport:
    """Can the population be known from such data, however many annotators answer?

    Args:
        population: who answers; its free parameters are what is asked about.
        design: what they are asked (``annotators`` does not matter: the law is that of one annotator's block).
        among: the population's own family (default), ``an.types(K)`` or ``an.any_tastes(grid)``; a list makes one row
            of each.
        functional: a function of the population that is to be known.
        starts: starts of the search for a twin; 0 leaves the search out.
        seed: of the starts, and of a sample of menus where there are too many.
        jobs: processes of that search; by default every core when it is long. They do not change the answer.

    Raises:
        NothingFreeError: no parameter is free.
        ArgumentError: what was given cannot be asked about; the message says what to give instead.

    Example:
        >>> import annosim as an
        >>> two = an.Mixture([an.Annotator(an.Tabular([0., 1., 3.]), an.Luce()) for _ in range(2)])
        >>> identify(two, an.Design(an.Items(n=3))).verdict
        'not_identified'
    """
    population, design, source = read_question(population, design)
    check_utilities(population, design.items)
    check_counts("identify", starts=starts, jobs=jobs)
    families = list(among) if isinstance(among, list | tuple) else [among]
    if not families:
        raise ArgumentError("identify(among=[]): no family; None is the population's own")
    search = {"starts": starts, "seed": seed, "jobs": jobs}
    try:
        reports = [_one(population, design, family, functional, search, source) for family in families]
    except NotImplementedError as error:  # of torch, on an operation of a network that was written without one
        if "forward AD" not in str(error):
            raise
        raise ArgumentError(
            "identify: a module in this population has no forward derivative (fused attention, most often); load the "
            "model with attn_implementation='eager', or ask of the utilities themselves, an.Tabular(n)"
        ) from None
    return reports[0] if len(reports) == 1 else replace(reports[0], rows=tuple(_row(r) for r in reports))


def check_counts(where: str, **counts: Any) -> None:
    """Raise unless every number is a whole one of at least 0 (``None``: the default)."""
    for name, value in counts.items():
        if value is not None and (isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 0):
            raise ArgumentError(f"{where}({name}={value!r}): a whole number of at least 0")


def _one(population, design, family, functional, search, source) -> IdentifiabilityReport:
    seed = search["seed"]
    if isinstance(family, AnyTastes):
        return among_tastes(population, design, family, functional, seed)
    if isinstance(family, Types):
        own = population.components()
        if len(own) != family.count or not all(isinstance(component, Annotator) for component in own):
            return among_types(population, design, family, functional, **search)
    elif family is not None:
        raise ArgumentError(
            f"identify(among={told(family)}): None (its own family), an.types(K) or an.any_tastes(grid)"
        )
    if not population.num_free():
        raise NothingFreeError("identify: nothing is free in this population, so there is nothing to know")
    frame = source if isinstance(source, DesignSupport) else prepare(population, design, seed=seed)
    with few_threads(len(frame.menu) * design.menu_size * population.num_free() * len(population.components())):
        return _own_family(population, design, frame, functional, search, resample=source is None)


def _own_family(population, design, frame, functional, search, resample) -> IdentifiabilityReport:
    know = identifiable_coordinates(population, design.items)
    local = local_rank(population, frame, know)
    decided = decide(population, design, frame, know, local, search)
    if decided["twin"] is not None and not frame.exact:
        decided |= _beyond_the_sample(population, decided, design, search["seed"], resample)
    twins = [] if decided["twin"] is None else [decided["twin"]]
    if twins and not local.full and search["starts"]:
        # a whole set of populations may have the law, in several pieces: what is known must be the same on all of them
        small = subsample(frame, len(population.components()), population.num_free(), search["seed"])
        twins += [found.twin for found in all_twins(population, small, frame, design, **search)[0]]
    functions = named_functionals(functional) or _default_functionals(population)
    return IdentifiabilityReport(
        verdict=decided["verdict"],
        rank=local.rank,
        num_parameters=local.num_parameters,
        null_directions=null_directions(population, know, local.null),
        twin=decided["twin"],
        law_distance=decided["law_distance"],
        singular_values=local.singular_values,
        gap=local.gap,
        reasons=tuple(decided["reasons"]),
        theorems=tuple(decided["theorems"]),
        normalisations=tuple(normalisation_words(population, know.null)),
        functionals=check_functionals(functions, population, design.items, know, local.null, twins),
        population=population,
        design=design,
        weakest="" if decided["verdict"] == "not_identified" else weakest_in_words(population, frame, know, local),
        settings=merge_settings(
            frame,
            starts=search["starts"],
            seed=search["seed"],
            rank_exact=local.exact,
            among="its own family",
            **versions(),
        ),
    )


def read_question(population: Any, design: Any) -> tuple[Population, Design, Any]:
    """``(population, design)``, ``(fit)`` or ``(model, data)`` as a population and a design."""
    if not isinstance(population, Population):
        fitted = getattr(population, "population", None)
        data = getattr(getattr(population, "problem", None), "data", None)
        if not isinstance(fitted, Population):
            raise ArgumentError(f"identify(population={told(population)}): give a population such as an.Annotator(...)")
        population, design = fitted, data if design is None else design
    if isinstance(design, PreferenceData):
        return population, *empirical(population, design)
    if not isinstance(design, Design):
        raise ArgumentError(
            f"identify(design={told(design)}): give an.Design(...), or the data whose questions were asked"
        )
    return population, design, None


def _default_functionals(population: Population) -> dict[str, Functional]:
    names = list(FUNCTIONALS) if len(population.components()) > 1 else ["utilities", "pair probabilities"]
    return {name: FUNCTIONALS[name] for name in names}


def _row(report: IdentifiabilityReport) -> dict[str, str | None]:
    row: dict[str, str | None] = {"family": report.settings.get("among"), "verdict": report.verdict}
    if report.num_parameters:
        row["rank"] = f"{report.rank} of {report.num_parameters}"
    if report.law_distance is not None:
        row["twin at law distance"] = f"{report.law_distance:.2g}"
    bounded = {name: str(f) for name, f in report.functionals.items() if f.low is not None}
    return {**row, **bounded}


def decide(
    population: Population,
    design: Design,
    frame: DesignSupport,
    know: Coordinates,
    local: LocalRank,
    search: dict[str, Any],
) -> dict[str, Any]:
    """Verdict, twin and reasons; ``search`` holds starts, seed and jobs."""
    seed = search["seed"]
    out: dict[str, Any] = {"twin": None, "law_distance": None, "reasons": [], "theorems": []}
    small = subsample(frame, len(population.components()), population.num_free(), seed)
    if not local.clear:
        kept, lost = local.gap
        out["verdict"] = "inconclusive"
        out["reasons"].append(
            f"no gap between singular values that count ({kept:.2g}) and that do not ({lost:.2g}); the rule is "
            f"{RANK_TOLERANCE:g}, and ten times that to be sure"
        )
        return out
    found = reflection_twins(population, design, frame) if frame.blocks is None else None
    out["theorems"] = applicable(population, design, local.full) if frame.blocks is None and frame.exact else []
    if local.full:
        found = found or search_twin(population, small, frame, design, **search)
        return _against_theory(_full_rank(out, found), local)
    curve = follow_null(population, small, frame, know, local.null, seed)
    return _against_theory(_deficient(out, population, design, frame, local, small, curve, found, search), local)


def _beyond_the_sample(population, decided: dict[str, Any], design, seed: int, resample: bool) -> dict[str, Any]:
    """A twin on a sample of the menus must be one on further samples; on a part of real blocks it is no twin yet."""
    if decided["verdict"] != "not_identified" or decided.get("proved"):
        return {}
    if resample:
        apart = [
            law_distance(population, decided["twin"], design, seed=child_seed(seed, f"identify/sample/{i}"))
            for i in range(FRESH)
        ]
        if max(apart) < SAME_LAW:
            said = f"the twin's law agrees on {FRESH} further samples of the menus, too"
            return {"reasons": [*decided["reasons"], said]}
        said = f"but on further samples of the menus the two laws are {max(apart):.2g} apart"
    else:
        said = "but only a part of each annotator's block was looked at"
    return {"verdict": "inconclusive", "twin": None, "law_distance": None, "reasons": [*decided["reasons"], said]}


def _against_theory(out: dict[str, Any], local: LocalRank) -> dict[str, Any]:
    """Where numbers and a theorem about the population's own family contradict each other, one of them is wrong (a
    condition that was read too generously, or a bug): say so instead of choosing.
    """
    own = [t for t in out["theorems"] if not t.freely]
    for theorem in own:
        if theorem.kind == "identified" and out["verdict"] == "not_identified":
            what = "another population with the same law was found, yet it says that there is none"
        elif theorem.kind == "not identified" and local.full and out["verdict"] != "not_identified":
            what = "the rank is full, yet it says that other populations have this law"
        else:
            continue
        out["verdict"] = "inconclusive"
        out["reasons"].append(
            f"conflict with a theorem that seems to apply: {what} ({theorem.text}) [{theorem.source}]"
        )
    return out


def _full_rank(out: dict[str, Any], found: Search) -> dict[str, Any]:
    proved = [t for t in out["theorems"] if t.kind == "identified" and not t.freely]
    out["verdict"] = "identified" if proved else "locally_identified"
    if found.twin is not None:
        out |= {"twin": found.twin, "law_distance": found.law_distance, "verdict": "not_identified"}
        how = "by reflection" if found.source == "reflection" else f"in {found.starts} starts"
        out["proved"] = found.source == "reflection"  # whatever the pair
        out["reasons"].append(f"full rank, yet a twin was found elsewhere ({how})")
    elif proved:
        out["reasons"].append(f"full rank, and {proved[0].text} [{proved[0].source}]")
        if found.starts:
            out["reasons"].append(f"no twin found in {found.starts} starts, as the theorem says")
    elif found.starts:
        out["reasons"].append(
            f"full rank; no twin found in {found.starts} starts ({found.n_returned} came back to this population), which "
            "proves nothing beyond its neighbourhood"
        )
    else:
        out["reasons"].append("full rank; no search for a twin was made (starts=0)")
    return out


def _deficient(out, population, design, frame, local, small, curve: Curve, found, search) -> dict[str, Any]:
    if curve.found:
        out |= {"verdict": "not_identified", "twin": curve.end, "law_distance": curve.law_distance}
        out["reasons"].append(
            f"a curve of populations with the same law was followed to a distance of {curve.length:g} in identifiable "
            "coordinates"
        )
        if curve.law_distance > ROUNDING:
            out["reasons"].append(
                f"at its end the law is {curve.law_distance:.1g} away, more than rounding: it may move, but too little "
                "to be seen in float64 or in any data"
            )
        if found is not None:
            out |= {"twin": found.twin, "law_distance": found.law_distance}
        elif curve.end is not None and population_distance(population, curve.end, design.items) < DIFFERENT:
            out["reasons"].append("its far end is a relabelling of this population")
        return out
    if found is None:
        found = search_twin(population, small, frame, design, **search)
    if found is not None and found.twin is not None:
        out |= {"twin": found.twin, "law_distance": found.law_distance}
        out["reasons"].append("a twin was found elsewhere: not identified globally either")
    if local.blurred or not local.exact or not curve.radii or min(curve.distances) < 1e-9:
        out["verdict"] = "inconclusive"
        why = "null directions could not be followed, nor excluded" if local.exact else local.note
        if local.blurred:
            why = "averages over tastes are not exact enough to say more: raise points="
        out["reasons"].append(f"rank-deficient ({why})")
        return out
    out["verdict"] = "singular"
    order = "" if math.isnan(curve.order) else f", growing like distance^{curve.order:.1f}"
    out["reasons"].append(
        f"rank-deficient, but the law moves by {curve.distances[0]:.2g} at a distance of {curve.radii[0]:g}{order}: "
        "estimates converge slower than root n, Wald errors are invalid"
    )
    return out
