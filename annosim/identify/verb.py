"""``identify(population, design)``: whether the law of the answers can be inverted."""

from __future__ import annotations

from typing import Any

from annosim.designs import Design
from annosim.errors import ArgumentError, NothingFreeError
from annosim.identify.coordinates import knowable
from annosim.identify.local import local_rank, null_directions
from annosim.identify.report import IdentifiabilityReport
from annosim.information import merge_settings, prepare
from annosim.populations import Population
from annosim.results import versions

__all__ = ["identify"]


def identify(
    population: Population, design: Design, *, among: Any = None, functional: Any = None, starts: int = 20, seed: int = 0
) -> IdentifiabilityReport:
    """Can the population be known from such data, however many annotators answer?

    Args:
        population: who answers; its free parameters are what is asked about.
        design: what they are asked (``annotators`` does not matter: the law is that of one annotator's block).
        among: the population's own family (default), ``an.types(K)`` or ``an.any_tastes(grid)``.
        functional: a function of the population that is to be known.
        starts: starts of the search for a twin; 0 leaves the search out.
        seed: of the starts.

    Raises:
        NothingFreeError: no parameter is free.

    Example:
        >>> import annosim as an
        >>> two = an.Mixture([an.Annotator(an.Tabular([0., 1., 3.]), an.Luce()) for _ in range(2)])
        >>> identify(two, an.Design(an.Items(n=3))).verdict
        'not_identified'
    """
    if not isinstance(population, Population):
        raise ArgumentError(f"identify(population={population!r}): give a population such as an.Annotator(...)")
    if not population.num_free():
        raise NothingFreeError("identify: nothing is free in this population, so there is nothing to know")
    know = knowable(population, design)
    frame = prepare(population, design, seed=seed)
    local = local_rank(population, frame, know)
    null = null_directions(population, know, local.null)
    verdict = "locally_identified" if local.full else "not_identified"
    return IdentifiabilityReport(
        verdict, local.rank, local.num_parameters, null, None, None, local.singular_values, local.gap, (),
        gauges=tuple(know.gauge.words), population=population, design=design,
        settings=merge_settings(frame, starts=starts, seed=seed, **versions()),
    )  # fmt: skip
