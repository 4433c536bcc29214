r"""Policies whose responses cannot be listed: what they say is drawn, and weighted by how likely it was to be drawn.

Responses y_1, ..., y_N of a prompt, drawn from ``q``, with the base measure ``1 / (N q(y))``, are a quadrature:
``sum_s weight_s pi(y_s) f(y_s)`` estimates ``E_pi f`` for any policy pi that q covers (importance sampling), and because
densities are normalised on the items, what is computed is the self-normalised estimate. So every function of items
(min-max regret, pools, tilts, divergences, expected utilities) has its sampled form: it takes the items of
:func:`rollouts`. Several policies draw together under the balance heuristic, ``q = mean_j pi_j`` (Veach and Guibas 1995),
which bounds every weight ``pi_j / q`` by their number.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

import numpy as np
import torch
from torch import nn

from annosim.analysis.divergences import log_density, prompt_sums
from annosim.constraints import check_whole_number
from annosim.errors import ArgumentError
from annosim.items import Items
from annosim.policies.tilts import DensityLike
from annosim.random import child_seed
from annosim.utilities.language_models import LogPolicy
from annosim.utilities.tokens import check_vocabulary, embedding_errors, token_logits

__all__ = ["draw_sequences", "effective_samples", "rollouts"]

#: logs of base measures beyond this are no numbers any more
_LARGEST = 600.0


def rollouts(
    policies: LogPolicy | Sequence[LogPolicy],
    prompts: Sequence[Sequence[int]],
    samples: int = 64,
    *,
    max_tokens: int,
    end: int | None = None,
    seed: int = 0,
) -> Items:
    """Responses drawn from language models, as items whose weights make sums over them estimates of expectations.

    Equal responses are one item; ``items.columns["draws"]`` counts them. Expectations under policies far from those that
    drew are estimated from few responses: ask :func:`effective_samples`.

    Args:
        policies: who draws; each draws ``samples`` responses to every prompt (the balance heuristic weighs them).
        prompts: token ids of each prompt; an empty one needs ``LogPolicy(begin=id)``.
        samples: responses by each policy to each prompt.
        max_tokens: of a response, its end included; a longer one is cut there, and is a response as it stands.
        end: id of the token that ends a response; ``None``: all have ``max_tokens``.
        seed: of the draws; each policy and prompt has its own address.

    Returns:
        Items with tokens, ``prompts`` numbered as given, weights, and the columns ``prompt_length`` and ``draws``.

    Raises:
        ArgumentError: no prompts, a policy that is no density of sequences (``per_token=True``), or weights beyond
            double precision.

    Example:
        >>> lm = nn.Sequential(nn.Embedding(3, 8), nn.Linear(8, 3))
        >>> items = rollouts(LogPolicy(lm), [[0], [1]], samples=10, max_tokens=2)
        >>> int(items.columns["draws"].sum()), items.num_prompts
        (20, 2)
    """
    makers = _policies(policies)
    rows: list[list[int]] = []
    code, draws, lengths = [], [], []
    for number, prompt in enumerate(_prompts(prompts)):
        drawn = [
            tuple(row)
            for j, policy in enumerate(makers)
            for row in draw_sequences(policy, prompt, samples, max_tokens, end, child_seed(seed, f"{j} {number}"))
        ]
        distinct = sorted(set(drawn))
        rows += [[*prompt, *row] for row in distinct]
        draws += [drawn.count(row) for row in distinct]
        code += [number] * len(distinct)
        lengths += [len(prompt)] * len(distinct)
    columns = {"prompt_length": np.array(lengths), "draws": np.array(draws)}
    items = Items(tokens=rows, prompts=np.array(code), columns=columns)
    return items.with_(weights=_weights(makers, items, samples * len(makers)))


def draw_sequences(
    policy: LogPolicy, prompt: Sequence[int], samples: int, max_tokens: int, end: int | None, seed: int
) -> list[list[int]]:
    """``samples`` responses to one prompt, in the order drawn, each with its end.

    A model of ``transformers`` draws by its ``generate``, with every option that would change the distribution (top-k,
    top-p, temperature, penalties, suppressed tokens) off, whatever its ``generation_config`` says; any other module is asked token by token.

    Raises:
        ArgumentError: nothing stands before the first token, or a number that is not whole and positive.

    Example:
        >>> lm = nn.Sequential(nn.Embedding(3, 8), nn.Linear(8, 3))
        >>> len(draw_sequences(LogPolicy(lm), [0], samples=4, max_tokens=2, end=None, seed=0))
        4
    """
    check_whole_number("rollouts(samples=)", samples)
    check_whole_number("rollouts(max_tokens=)", max_tokens)
    begin = ([] if policy.begin is None else [policy.begin]) + list(prompt)
    if not begin:
        raise ArgumentError(
            "rollouts(prompts=): an empty prompt; give LogPolicy(begin=id), such as the tokenizer's bos"
        )
    device = next((p.device for p in policy.model.parameters()), torch.device("cpu"))
    ids = torch.tensor([begin] * samples, device=device)
    largest = max(begin)
    check_vocabulary("rollouts", policy.model, largest)
    reach = len(begin) + max_tokens - 1
    with torch.no_grad(), torch.random.fork_rng(), embedding_errors("rollouts", largest, reach):
        torch.manual_seed(seed % 2**63)
        made = _generated(policy.model, ids, max_tokens, end)
    return [_until(row, end) for row in made[:, len(begin) :].tolist()]


def effective_samples(policy: DensityLike, items: Items) -> np.ndarray:
    """How many independent draws of a policy the items of :func:`rollouts` are worth, ``(prompts,)`` (Kong 1992).

    ``1 / sum_s m_s^2`` over the draws' normalised masses: as many as were drawn where the policy drew them itself, few
    where it would have said something else. Below a few dozen an estimate is a guess.

    Args:
        policy: a density.
        items: drawn by :func:`rollouts`.

    Example:
        >>> lm = nn.Sequential(nn.Embedding(3, 8), nn.Linear(8, 3))
        >>> own = LogPolicy(lm)
        >>> effective_samples(own, rollouts(own, [[0]], samples=50, max_tokens=2)).round(6).tolist()
        [50.0]
    """
    mass = (log_density(policy, items) + items.log_weights).exp()
    draws = torch.as_tensor(np.asarray(items.columns.get("draws", np.ones(items.n))), dtype=torch.float64)
    return (1 / prompt_sums(mass**2 / draws, items)).numpy()


def _weights(makers: Sequence[LogPolicy], items: Items, drawn: int) -> np.ndarray:
    """``draws / (N q(y))``; where that is beyond double precision, up to a factor for each prompt."""
    with torch.no_grad():
        logs = torch.stack([policy(items).double().cpu() for policy in makers])
    log_q = torch.logsumexp(logs, 0) - np.log(len(makers))
    out = np.log(np.asarray(items.columns["draws"], dtype=np.float64) / drawn) - log_q.numpy()
    if np.abs(out).max() > _LARGEST:  # densities are normalised in each prompt, so a factor changes nothing
        for prompt in range(items.num_prompts):
            here = items.prompts.numpy() == prompt
            out[here] -= (out[here].max() + out[here].min()) / 2
    if np.abs(out).max() > _LARGEST:
        raise ArgumentError(
            "rollouts: the probabilities of two responses to one prompt differ by more than exp(1200); lower max_tokens="
        )
    return np.exp(out)


def _generated(model: nn.Module, ids: torch.Tensor, max_tokens: int, end: int | None) -> torch.Tensor:
    """Prompts and responses ``(samples, length)``, drawn with the global generator; anything after an end is a pad."""
    library = sys.modules.get("transformers")
    if library is not None and isinstance(model, library.GenerationMixin):
        plain = library.GenerationConfig(
            do_sample=True,
            num_beams=1,
            max_new_tokens=max_tokens,
            eos_token_id=end,
            pad_token_id=0 if end is None else end,
            temperature=1.0,
            top_k=0,
            top_p=1.0,
        )
        own, model.generation_config = model.generation_config, library.GenerationConfig()
        try:  # what is not said is taken from the model's own: suppressed tokens, bad words, stop strings
            return model.generate(input_ids=ids, attention_mask=torch.ones_like(ids), generation_config=plain)
        finally:
            model.generation_config = own
    for _ in range(max_tokens):
        logits = token_logits(model, ids, keep=1)[:, -1].float()
        ids = torch.cat([ids, torch.multinomial(logits.softmax(-1), 1)], 1)
    return ids


def _until(row: list[int], end: int | None) -> list[int]:
    return row[: row.index(end) + 1] if end in row else row


def _policies(policies: LogPolicy | Sequence[LogPolicy]) -> list[LogPolicy]:
    made = list(policies) if isinstance(policies, Sequence) else [policies]
    if not made or not all(isinstance(one, LogPolicy) for one in made):
        raise ArgumentError("rollouts(policies=): give language models, an.LogPolicy(model), one or several")
    if any(one.per_token for one in made):
        raise ArgumentError(
            "rollouts(policies=): LogPolicy(per_token=True) is no density of sequences; leave per_token="
        )
    return made


def _prompts(prompts: Sequence[Sequence[int]]) -> list[list[int]]:
    try:
        made = [[int(token) for token in prompt] for prompt in prompts]
    except (TypeError, ValueError):
        raise ArgumentError("rollouts(prompts=): give a list of token ids for each prompt, [[1, 2], [3]]") from None
    if not made:
        raise ArgumentError("rollouts(prompts=): needs at least one prompt")
    return made
