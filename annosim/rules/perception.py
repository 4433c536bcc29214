"""Indistinguishability: raters who see only the cluster, who take one item for another, and paraphrase twins."""

from __future__ import annotations

import itertools

import numpy as np
import torch
from scipy.special import ndtri

from annosim.errors import AnswerKindError, ArgumentError
from annosim.items import Items
from annosim.parameters import ParameterLike
from annosim.random import CounterRNG, uniform53
from annosim.rules.base import Answer, Rule, View
from annosim.rules.response_biases import ResponseBias

__all__ = ["NoisyClusters", "SeesClusters", "paraphrase_twins"]


class SeesClusters(ResponseBias):
    """Paraphrases look alike: every item is worth the mean utility of its cluster (``Items(clusters=)``).

    Two items of one cluster are answered as equals. Differences inside clusters can never be learned.

    Args:
        rule: the wrapped rule.

    Example:
        >>> import annosim as an
        >>> items = an.Items(n=3, clusters=[0, 0, 1])
        >>> SeesClusters(an.Luce()).index(torch.tensor([0.0, 1.0, 2.0]), items).tolist()
        [0.5, 0.5, 2.0]
    """

    def index(self, u: torch.Tensor, items: Items) -> torch.Tensor:
        """The wrapped index, averaged within clusters, ``(..., n)``."""
        return cluster_means(self.rule.index(u, items), items)


def cluster_means(x: torch.Tensor, items: Items) -> torch.Tensor:
    """Mean of ``x (..., n)`` within the items' clusters, given back at every item."""
    _, code = items.clusters.to(x.device).unique(return_inverse=True)
    count = torch.bincount(code).to(x.dtype)
    total = torch.zeros(*x.shape[:-1], len(count), dtype=x.dtype, device=x.device).index_add(-1, code, x)
    return (total / count)[..., code]


class NoisyClusters(SeesClusters):
    r"""Raters see clusters, and sometimes take an item for a member of another one's cluster.

    Each item on the menu is seen as what it is with probability ``1 - error``, and otherwise as one of the other
    items on the menu, uniformly. Exact by summing over the ``k^k`` perceptions of a menu. For a pair,
    ``P = (1-e)^2 p + e^2 (1-p) + e (1-e)``.

    Args:
        rule: the wrapped rule.
        error: from 0 to 1; ``free(start)`` to estimate.

    Raises:
        AnswerKindError: menus of more than 5, or with empty places.

    Example:
        >>> import annosim as an
        >>> people = an.Annotator(an.Tabular([0.0, 50.0]), NoisyClusters(an.Luce(), error=0.1))
        >>> an.law(people, an.Design(an.Items(n=2), menus=[[0, 1]])).probabilities.round(decimals=6).tolist()
        [0.1, 0.9]
    """

    def __init__(self, rule: Rule, error: ParameterLike = 0.1):
        super().__init__(rule)
        self.declare("error", error, "unit", ndim=0)

    def _perceptions(self, view: View, like: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """What stands at each place as it is seen, ``(k^k, k)``, and the probability ``(k^k,)``."""
        k = view.k
        if k > 5 or view.padded:
            raise AnswerKindError(f"NoisyClusters: menus of {k}: exact up to 5 alternatives, without empty places")
        seen = torch.tensor(list(itertools.product(range(k), repeat=k)), device=like.device)
        right = (seen == torch.arange(k, device=like.device)).sum(-1)
        e = self.error.to(device=like.device, dtype=like.dtype) * (k > 1)  # one alternative is not taken for another
        return seen, (1 - e) ** right * (e / max(k - 1, 1)) ** (k - right)

    def log_prob(self, scores: torch.Tensor, answer: Answer, view: View) -> torch.Tensor:
        """Log of the sum over perceptions, ``(..., rows)``."""
        seen, probability = self._perceptions(view, scores)
        wide = Answer(answer.position.unsqueeze(-2), None if answer.tied is None else answer.tied.unsqueeze(-2))
        inner = self.rule.log_prob(scores[..., seen], wide, view.expanded())
        top = inner.amax(-1, keepdim=True).detach()
        top = torch.where(torch.isfinite(top), top, torch.zeros_like(top))
        total = ((inner - top).exp() * probability).sum(-1)
        return torch.where(total > 0, torch.where(total > 0, total, 1.0).log() + top.squeeze(-1), -torch.inf)

    def sample(self, scores: torch.Tensor, view: View, rng: CounterRNG) -> Answer:
        """The wrapped rule's draw at the scores as they are seen (one uniform of stream ``habit`` per place)."""
        self._perceptions(view, scores)
        k = view.k
        if k == 1:  # one alternative is not taken for another
            return self.rule.sample(scores, view, rng)
        u = torch.as_tensor(self.draws(rng).uniform53("habit", k), device=scores.device)
        place = torch.arange(k, device=scores.device)
        e = self.error.to(scores.device)
        wrong = u < e
        other = ((u / e.clamp_min(1e-300)) * (k - 1)).long().clamp(0, max(k - 2, 0))
        other = other + (other >= place)
        return self.rule.sample(scores.gather(-1, torch.where(wrong, other, place)), view, rng)


def paraphrase_twins(items: Items, eps: float, copies: int = 1, seed: int = 0, share_weight: bool = False) -> Items:
    """Clone every item ``copies`` times, its features moved by ``eps`` times a standard normal; twins share a cluster.

    The originals keep their numbers ``0 .. n - 1``; copy ``c`` of item ``i`` is ``n c + i``. Prompts, texts, tokens and
    columns are copied; names get a prime.

    Args:
        items: with features.
        eps: nonnegative size of the perturbation, in units of the features.
        copies: at least 1.
        seed: of the perturbation.
        share_weight: divide each item's base measure among its twins, so that sums over items do not change.

    Raises:
        ArgumentError: the items have no features, or a number is out of range.

    Example:
        >>> twins = paraphrase_twins(Items(features=[[0.0], [5.0]]), eps=0.0)
        >>> twins.clusters.tolist(), twins.features[:, 0].tolist()
        ([0, 1, 0, 1], [0.0, 5.0, 0.0, 5.0])
    """
    if items.features is None:
        raise ArgumentError("paraphrase_twins: the items have no features to perturb; give Items(features=...)")
    if not (np.isfinite(eps) and eps >= 0) or copies < 1:
        raise ArgumentError(f"paraphrase_twins(eps={eps}, copies={copies}): eps at least 0, copies at least 1")
    n, times = items.n, copies + 1
    flat = items.features.reshape(n, -1).numpy()
    draws = ndtri(uniform53(seed, "items", np.arange(n, n * times)[:, None], np.arange(flat.shape[1])[None, :]))
    moved = np.concatenate([flat, np.tile(flat, (copies, 1)) + eps * draws])
    again = lambda v: None if v is None else [v[i] for _ in range(times) for i in range(n)]  # noqa: E731
    return Items(
        features=moved.reshape(n * times, *items.features.shape[1:]),
        names=[name + "'" * c for c in range(times) for name in items.names],
        texts=again(items.texts),
        tokens=None if items.tokens is None else items.tokens.repeat(times, 1).numpy(),
        prompts=np.tile(items.prompts.numpy(), times),
        clusters=np.tile(items.clusters.numpy(), times),
        weights=np.tile(items.weights.numpy(), times) / (times if share_weight else 1),
        columns={key: np.concatenate([np.asarray(value)] * times) for key, value in items.columns.items()},
    )
