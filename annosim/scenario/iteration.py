"""The table ``[iterate]``."""

from __future__ import annotations

from typing import Literal

import numpy as np
from pydantic import Field

from annosim.errors import ScenarioError
from annosim.items import Items
from annosim.learning.priors import Gaussian
from annosim.parameters import fixed
from annosim.policies.iteration import Improve, Iteration, iterate
from annosim.policies.selection import best_of_n
from annosim.populations.base import Population
from annosim.scenario.tables import Table
from annosim.utilities.densities import LogDensity
from annosim.utilities.tabular import Tabular

__all__ = ["IterateTable"]

#: rounds of one run
MOST_ROUNDS = 10_000


class IterateTable(Table):
    """What ``annosim iterate`` runs: rounds of asking about the current policy, learning a reward, and moving the policy."""

    rounds: int = Field(10, ge=1, le=MOST_ROUNDS, description="how many")
    beta: float = Field(1.0, gt=0, description="of DPO, which makes the next policy; not used with best_of")
    best_of: int | None = Field(None, ge=1, description="the next policy is the best of so many draws, in place of DPO")
    reference: Literal["moving", "fixed"] = Field(
        "moving", description="what the next policy starts from: the current policy, or the first one"
    )
    answers: int | None = Field(
        None, ge=1, description="answers in each round; infinitely many (the exact law) by default"
    )
    mixing: float = Field(0.0, ge=0, le=1, description="share of the first policy among what is asked about")
    keep: bool = Field(False, description="earlier rounds' answers are learned from again")
    menu_size: int = Field(2, ge=2, description="alternatives of each question")
    prior: float | None = Field(
        None, gt=0, description="standard deviation of a normal prior on the rewards, for few answers; none by default"
    )
    start: list[float] | None = Field(
        None, description="probabilities of the items under the first policy, within each prompt; equal by default"
    )

    def run(self, people: Population, items: Items, seed: int) -> Iteration:
        """The rounds.

        Raises:
            ScenarioError: no first policy, or a setting that does not fit.
            NotIdentifiedError: answers without a finite estimate and no prior.
        """
        improve: Improve | None = None
        if self.best_of is not None:
            draws = self.best_of
            improve = lambda before, reward: best_of_n(before, reward, draws)  # noqa: E731
        return iterate(
            people,
            self.build_start(items, "iterate"),
            items,
            self.rounds,
            beta=self.beta,
            improve=improve,
            reference=self.reference,
            answers=self.answers,
            mixing=self.mixing,
            keep=self.keep,
            menu_size=self.menu_size,
            prior=None if self.prior is None else Gaussian(self.prior),
            seed=seed,
        )

    def build_start(self, items: Items, where: str) -> LogDensity:
        """The first policy.

        Raises:
            ScenarioError: not one positive probability for each item.
        """
        mass = np.ones(items.n) if self.start is None else np.array(self.start)
        if mass.shape != (items.n,) or not np.isfinite(mass).all() or not (mass > 0).all():
            raise ScenarioError(f"{where}.start: {items.n} positive probabilities are needed, one for each item")
        return LogDensity(Tabular(fixed(np.log(mass) - items.log_weights.numpy())))
