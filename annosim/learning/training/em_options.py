"""Options of EM over networks: those of Adam, and when and how E-steps are taken."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

from annosim.errors import ArgumentError
from annosim.learning.training.adam import Adam
from annosim.parameters import check_number

__all__ = ["EM", "options_of"]


@dataclass(frozen=True)
class EM(Adam):
    """How a mixture of networks is trained by EM; the arguments of :class:`~annosim.Adam`, and these.

    Args:
        e_step_every: optimiser steps between two E-steps, each a pass over all annotators without gradients.
        m_step: ``"adam"`` (minibatches, a learning rate), or ``"line-search"`` (L-BFGS on all annotators: the
            log-likelihood never falls).
        temperature: responsibilities are tempered, ``gamma ~ (weight P)^(1 / temperature)``, from this number (at least
            1) down to 1 (deterministic annealing; Ueda and Nakano 1998).
        anneal: share of the steps over which the temperature falls to 1, geometrically.
        hard: every annotator belongs to its likeliest type (classification EM) instead of in shares.
        warm_start: ``"pooled"`` (one type is trained on everybody first), or a population or ``Fit`` with one type
            (copied to all) or as many types as the model.
        warm_steps: steps of the pooled training; ``steps // 4`` by default.
        perturbation: standard deviation of the noise on the starts' network parameters, in units of each tensor's root
            mean square. With 0, types that begin alike are told apart by random first responsibilities.

    Raises:
        ArgumentError: a number out of range, or minibatches with a line search.

    Example:
        >>> EM(steps=200, e_step_every=10, temperature=4.0, anneal=0.5).heat(50)  # half way from 4 to 1
        2.0
    """

    e_step_every: int = 20
    m_step: str = "adam"
    temperature: float = 1.0
    anneal: float = 0.5
    hard: bool = False
    warm_start: Any = None
    warm_steps: int | None = None
    perturbation: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("e_step_every", "warm_steps"):
            value = getattr(self, name)
            if name == "warm_steps" and value is None:
                continue
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise ArgumentError(f"EM({name}={value!r}): a whole number of at least 1")
        check_number("EM(perturbation=)", self.perturbation, "nonnegative")
        check_number("EM(temperature=)", self.temperature, "at_least_one")
        check_number("EM(anneal=)", self.anneal, "unit")
        if not isinstance(self.hard, bool):
            raise ArgumentError(f"EM(hard={self.hard!r}): True or False")
        if self.m_step not in ("adam", "line-search"):
            raise ArgumentError(f"EM(m_step={self.m_step!r}): adam or line-search")
        if self.m_step == "line-search" and (self.batch is not None or self.accumulate > 1 or self.weight_decay):
            raise ArgumentError("EM(m_step='line-search'): it takes all annotators at once; leave batch= and the like")

    def heat(self, step: int) -> float:
        """Temperature of the responsibilities at a step."""
        falling = self.anneal * self.steps
        return self.temperature ** (1 - step / falling) if step < falling else 1.0


def options_of(options: dict[str, Any]) -> EM:
    """The keywords of ``fit(..., solver="em")`` as an :class:`EM`.

    Raises:
        ArgumentError: an unknown keyword.
    """
    known = {f.name for f in fields(EM)}
    unknown = sorted(set(options) - known)
    if unknown:
        raise ArgumentError(f"fit({unknown[0]}=): EM over networks takes {', '.join(sorted(known))}")
    return EM(**options)
