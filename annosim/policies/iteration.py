"""Rounds of learning: draw from the policy, ask the population, learn a reward, move the policy, and again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from annosim.analysis.divergences import kl_divergence
from annosim.constraints import check_number, check_whole_number
from annosim.data.joining import concat
from annosim.data.preferences import PreferenceData
from annosim.designs.design import Design
from annosim.errors import ArgumentError
from annosim.items import Items
from annosim.laws import law
from annosim.learning.fitting import fit
from annosim.learning.priors import Gaussian
from annosim.parameters import fixed
from annosim.policies.pools import linear_pool
from annosim.policies.tilts import gibbs
from annosim.populations.annotator import Annotator
from annosim.populations.base import Population
from annosim.results import Result, versions
from annosim.rules.luce import Luce
from annosim.simulation.draws import simulate
from annosim.utilities.base import Utility
from annosim.utilities.densities import LogDensity
from annosim.utilities.tabular import Tabular

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

__all__ = ["Iteration", "iterate"]

#: Makes the next policy of the reference and the reward that was learned.
Improve: TypeAlias = Callable[[LogDensity, Utility], LogDensity]


@dataclass(frozen=True, eq=False, repr=False)
class Iteration(Result):
    """The policies of all rounds.

    Attributes:
        policies: the start and the policy after each round.
        mass: ``(rounds + 1, n)``, their probability of each item within its prompt.
        rewards: ``(rounds, n)``, what was learned in each round, centred over all items.
        kl: ``(rounds + 1,)``, divergence of each policy from the start in nats, mean over prompts.
        names: of the items.
        notes: what one Luce reward cannot say of the answers, and how it was read.

    Example:
        >>> import annosim as an
        >>> one = an.Annotator(an.Tabular([0., 1.]), an.Luce())
        >>> print(iterate(one, an.LogDensity(an.Tabular(np.zeros(2))), an.Items(n=2), 2).to_frame().round(4).tail(2))
           round  item    mass  reward
        4      2     0  0.1192    -0.5
        5      2     1  0.8808     0.5
    """

    policies: tuple[LogDensity, ...]
    mass: NDArray[np.float64]
    rewards: NDArray[np.float64]
    kl: NDArray[np.float64]
    names: tuple[str, ...]
    notes: tuple[str, ...] = ()

    def _lines(self) -> list[tuple[str, object]]:
        lines = [("rounds", len(self.rewards)), ("items", self.mass.shape[1]), ("KL to the start", self.kl.round(4))]
        return lines + [("note", text) for text in self.notes]

    def to_frame(self) -> pd.DataFrame:
        """One row per round and item: ``round, item, mass, reward`` (of the round that made the policy); items by name."""
        import pandas as pd

        rounds, n = self.mass.shape
        reward = np.concatenate([np.full((1, n), np.nan), self.rewards])
        numbered = self.names == tuple(map(str, range(n)))
        items = np.arange(n) if numbered else np.array(self.names, dtype=object)
        columns = {"round": np.repeat(np.arange(rounds), n), "item": np.tile(items, rounds)}
        return pd.DataFrame({**columns, "mass": self.mass.ravel(), "reward": reward.ravel()})

    def plot(self, axes: Axes | None = None) -> Axes:
        """Mass of every item against rounds; with more than twelve items the twelve largest of any round."""
        from annosim import plotting

        axes = plotting.figure()[1][0, 0] if axes is None else axes
        for index, item in enumerate(np.argsort(-self.mass.max(0), kind="stable")[:12]):
            name = self.names[item]
            name = f"item {name}" if name.isdigit() else name
            plotting.line(axes, np.arange(len(self.mass)), self.mass[:, item], name, index)
        plotting.label(axes, "round", "mass of the policy")
        return plotting.legend(axes, outside=True)


def iterate(
    people: Population,
    start: LogDensity,
    items: Items,
    rounds: int = 10,
    *,
    beta: float = 1.0,
    improve: Improve | None = None,
    reference: Literal["moving", "fixed"] = "moving",
    answers: int | None = None,
    mixing: float = 0.0,
    keep: bool = False,
    menu_size: int = 2,
    prior: Gaussian | None = None,
    seed: int = 0,
) -> Iteration:
    r"""Online learning from preferences: in each round menus are drawn from the current policy and answered by ``people``, one
    Luce reward is learned from the answers, and the policy becomes ``improve(reference, reward)``.

    By default ``improve`` is the optimum of DPO, ``reference exp(reward / beta) / Z`` (online DPO, Guo et al. 2402.04792).
    With ``lambda reference, reward: an.policies.best_of_n(reference, reward, 4)`` it is iterated best-of-n; where ``people`` are
    themselves the source of the next round's policy it is a self-consuming loop (Ferbach et al. 2407.09499).

    A Luce reward has no ties and no skips: from finitely and infinitely many answers alike, ties are learned from as half wins
    and skips are left out, and the result's ``notes`` say how many there were.

    Args:
        people: who answers.
        start: the first policy, a density over the items.
        items: what may be said.
        rounds: how many.
        beta: of DPO, when ``improve`` is not given.
        improve: makes the next policy of the reference and the learned reward.
        reference: ``"moving"``, the current policy, or ``"fixed"``, the start.
        answers: in each round; ``None``: infinitely many, exactly (the law instead of data).
        mixing: share of the start among what menus are drawn from (0: only the current policy).
        keep: whether the answers of earlier rounds are learned from again.
        menu_size: of each question.
        prior: on the rewards, for few answers, whose estimate may not exist.
        seed: of the answers; round ``t`` has its own.

    Raises:
        ArgumentError: rounds or answers below 1, a beta that is not positive, or mixing outside [0, 1].
        NotIdentifiedError: answers without a finite estimate and no prior.

    Example:
        >>> import annosim as an
        >>> items = an.Items(n=3)
        >>> one = an.Annotator(an.Tabular([0., 0., 1.]), an.Luce())
        >>> policy = an.LogDensity(an.Tabular(np.zeros(3)))
        >>> iterate(one, policy, items, 2).mass.round(4).tolist()  # the reward is added in each round
        [[0.3333, 0.3333, 0.3333], [0.2119, 0.2119, 0.5761], [0.1065, 0.1065, 0.787]]
        >>> iterate(one, policy, items, 2, reference="fixed").mass[2].round(4).tolist()
        [0.2119, 0.2119, 0.5761]
    """
    rounds = check_whole_number("iterate(rounds=)", rounds)
    beta, mixing = check_number("iterate(beta=)", beta, "real"), check_number("iterate(mixing=)", mixing, "real")
    if answers is not None:
        answers = check_whole_number("iterate(answers=)", answers)
    if not beta > 0 or not 0 <= mixing <= 1 or reference not in ("moving", "fixed"):
        raise ArgumentError(
            f"iterate(rounds={rounds}, beta={beta}, mixing={mixing}, reference={reference!r}): rounds of at least 1, a positive "
            "beta, mixing between 0 and 1, reference 'moving' or 'fixed'"
        )
    step = improve or (lambda before, reward: gibbs(before, reward, beta))
    start = _plain(start, items)
    policies, rewards = [start], []
    kept: list[PreferenceData] = []
    read: list[tuple[float, ...]] = []
    for number in range(rounds):
        policy = policies[-1]
        asked = linear_pool([policy, start], [1 - mixing, mixing]) if mixing else policy
        design = Design(items, proposal=asked, menu_size=menu_size, annotators=answers or 1)
        data = law(people, design).as_data(marginal=True) if answers is None else _asked(people, design, seed + number)
        tied = (
            np.zeros(data.rows, dtype=bool)
            if data.tied is None
            else np.logical_or.reduce(np.asarray(data.tied), axis=-1)
        )
        read.append(tuple(part / whole for part, whole in (data.share_of(tied), data.share_of(data.skipped))))
        kept = [*(kept if keep else []), data.take(~data.skipped).ties("half")]
        reward = _learned(design.items, concat(kept, annotators="new"), prior)
        rewards.append(reward - reward.mean())
        policies.append(_plain(step(policy if reference == "moving" else start, Tabular(fixed(reward))), items))
    return Iteration(
        tuple(policies),
        np.stack([p.mass(items).detach().numpy() for p in policies]),
        np.stack(rewards),
        np.array([kl_divergence(p, start, items) for p in policies]),
        names=tuple(items.names),
        notes=_notes(read),
        settings={
            "reference": reference,
            "answers": answers,
            "mixing": mixing,
            "keep": keep,
            "seed": seed,
            **versions(),
        },
    )


def _asked(people: Population, design: Design, seed: int) -> PreferenceData:
    return simulate(people, design, seed=seed).for_learner()


def _learned(items: Items, data: PreferenceData, prior: Gaussian | None) -> NDArray[np.float64]:
    """The Luce reward ``(n,)`` of the answers."""
    (one,) = fit(Annotator(Tabular(items.n), Luce()), data, prior=prior).population.components()
    return np.asarray(one.utility.values.detach(), dtype=np.float64)


def _notes(read: list[tuple[float, ...]]) -> tuple[str, ...]:
    """From the shares of ties and skips in each round."""
    words = ("ties, read as half wins", "skips, left out")
    most = np.max(read, axis=0)
    return tuple(
        f"up to {share:.3g} of a round's answers were {what}" for share, what in zip(most, words, strict=True) if share
    )


def _plain(policy: LogDensity, items: Items) -> LogDensity:
    """The density by its numbers, so that round t does not carry t models with it."""
    return LogDensity(Tabular(fixed(policy.log_prob(items).detach().double().numpy())))
