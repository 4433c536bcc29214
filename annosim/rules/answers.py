"""Answers as such: their number, the uniform one, the display order, the reverse, mixtures of laws of answers."""

from __future__ import annotations

import math

import numpy as np
import torch

from annosim.errors import AnswerKindError
from annosim.feedback import Feedback, filled_places
from annosim.random import CounterRNG
from annosim.rules.base import Answer, Rule, View
from annosim.rules.luce import Luce

__all__ = [
    "answered",
    "canonical",
    "choose",
    "first_answer",
    "log_response_prob",
    "log_count",
    "log_first",
    "log_mix",
    "log_uniform",
    "reverse",
    "sample_uniform",
]


def log_mix(first: torch.Tensor, second: torch.Tensor, share: torch.Tensor) -> torch.Tensor:
    """``log((1 - share) e^first + share e^second)``, with gradients where a term is zero (log of -inf)."""
    top = torch.maximum(first, second).detach()
    top = torch.where(torch.isfinite(top), top, torch.zeros_like(top))
    mixed = (1 - share) * (first - top).exp() + share * (second - top).exp()
    return torch.where(mixed > 0, torch.where(mixed > 0, mixed, 1.0).log() + top, -torch.inf)


def log_uniform(answer: Answer, view: View, ties: bool = False) -> torch.Tensor:
    """Log-probability of each answer when all answers to its menu are alike, ``(..., rows)`` float64."""
    filled = (view.menu >= 0).sum(-1)
    kind, k = view.feedback.kind, view.menu.shape[-1]
    if kind in ("choice", "ranking", "top") and not ties:
        stage = torch.arange(answer.position.shape[-1], device=filled.device)
        left = (filled[..., None] - stage).clamp_min(1).double().log()
        return -torch.where(answer.position >= 0, left, 0.0).sum(-1)
    counts = torch.tensor([log_count(view.feedback, m, ties) for m in range(k + 1)], dtype=torch.float64)
    out = -counts.to(filled.device)[filled]
    return out.expand(torch.broadcast_shapes(out.shape, answer.position.shape[:-1]))


def log_count(feedback: Feedback, m: int, ties: bool) -> float:
    """Log of the number of answers to a menu of ``m`` (skips not counted; zero menus count one)."""
    if m == 0:
        return 0.0
    if feedback.kind == "best-worst":
        return math.log(max(m * (m - 1), 1))
    if feedback.kind == "rating":
        return m * math.log(int(feedback.grades or 2))
    if feedback.kind == "choice":
        return math.log(2**m - 1) if ties else math.log(m)
    depth = min(feedback.depth or m, m)
    return math.log(_weak_orders(m, depth)) if ties else math.log(math.perm(m, depth))


def _weak_orders(m: int, depth: int) -> int:
    """Ordered groups out of ``m`` that fill at least ``depth`` places (Fubini numbers when depth = m)."""
    if depth <= 0 or m == 0:
        return 1
    return sum(math.comb(m, size) * _weak_orders(m - size, depth - size) for size in range(1, m + 1))


def log_first(answer: Answer, view: View, last: bool = False) -> torch.Tensor:
    """0 for the answer that follows the display order (backwards), -inf otherwise, ``(..., rows)`` float64."""
    target = first_answer(view, answer, last)
    same = (answer.position == target.position).all(-1)
    if answer.tied is not None:
        same = same & ~answer.tied.any(-1)
    return torch.where(same, 0.0, -torch.inf).double()


def first_answer(view: View, like: Answer, last: bool = False) -> Answer:
    """The display order (backwards) as an answer: the first filled place is best (and the last is worst)."""
    filled = view.menu >= 0
    k = view.menu.shape[-1]
    order = torch.where(filled, torch.arange(k, device=filled.device), -1 if last else k)
    order = order.sort(dim=-1, descending=last).values
    order = torch.where((order < k) & (order >= 0), order, -1)
    count = filled.sum(-1, keepdim=True)
    kind, width = view.feedback.kind, like.position.shape[-1]
    if kind == "best-worst":
        position = torch.cat([order[..., :1], order.gather(-1, (count - 1).clamp_min(0))], -1)
    elif kind == "choice":
        position = torch.cat([order[..., :1], torch.full_like(order[..., : width - 1], -1)], -1)
    else:
        beyond = torch.arange(k, device=filled.device) >= min(view.feedback.depth or k, k)
        position = torch.where(beyond, -1, order)
    tied = None if like.tied is None else torch.zeros_like(like.tied)
    return Answer(position, tied)


def answered(answer: Answer, view: View) -> Answer:
    """Skips replaced by the display order, so that a rule without skips can be evaluated (and masked) there."""
    if view.feedback.kind == "rating":
        return Answer(answer.position.clamp_min(0), answer.tied)
    other = first_answer(view, answer).position
    return Answer(torch.where(answer.skipped[..., None], other, answer.position), answer.tied)


def reverse(answer: Answer, view: View) -> Answer:
    """The opposite answer: other side, reversed ranking, best and worst exchanged, mirrored grades.

    Raises:
        AnswerKindError: answers of this kind have no reverse (a choice among more than two, or ``top``).
    """
    kind, position = view.feedback.kind, answer.position
    if kind == "rating":
        return Answer(torch.where(position >= 0, int(view.feedback.grades or 2) - 1 - position, position), answer.tied)
    if kind == "best-worst":
        return Answer(position.flip(-1), answer.tied)
    if kind == "choice" and view.k == 2:
        tie = torch.zeros_like(answer.skipped) if answer.tied is None else answer.tied[..., 0]
        first = position[..., :1]
        other = torch.where((first >= 0) & ~tie[..., None], 1 - first, first)
        return Answer(torch.cat([other, position[..., 1:]], -1), answer.tied)
    if kind == "ranking":
        length = (position >= 0).sum(-1, keepdim=True)
        place = torch.arange(position.shape[-1], device=position.device)
        back = torch.where(place < length, length - 1 - place, place)
        tied = answer.tied
        if tied is not None:
            mark = torch.where(place[:-1] < length - 1, length - 2 - place[:-1], place[:-1])
            tied = tied.gather(-1, mark.expand(*tied.shape[:-1], -1))
        return Answer(position.gather(-1, back.expand_as(position)), tied)
    raise AnswerKindError(
        f"a flipped {kind} among {view.k} has no meaning; use Lapse(how='uniform'), or pairs, rankings, best-worst"
    )


def canonical(answer: Answer) -> Answer:
    """Positions ascending inside every tied group, as the encoding wants them."""
    if answer.tied is None:
        return answer
    width = answer.position.shape[-1]
    starts = torch.cat([torch.zeros_like(answer.tied[..., :1]), ~answer.tied], -1)[..., :width]
    group = starts.cumsum(-1)
    live = answer.position >= 0
    key = torch.where(live, group * (width + 1) + answer.position, 10**6)
    order = key.argsort(dim=-1, stable=True)
    return Answer(answer.position.gather(-1, order), answer.tied)


def sample_uniform(view: View, ties: bool, rng: CounterRNG, scores: torch.Tensor) -> Answer:
    """An answer to each row's menu, all alike; ``scores`` gives only the device."""
    device = scores.device
    flat = torch.where(view.menu >= 0, 0.0, -torch.inf).double().to(device)
    if view.feedback.kind == "rating":
        u = torch.as_tensor(rng.uniform("habit", view.k), device=device)
        return Answer(torch.where(view.menu.to(device) >= 0, (u * int(view.feedback.grades or 2)).long(), -1))
    if not ties:
        return Luce().sample(flat, view, rng)
    space = view.feedback.answers(view.k, ties=True, filled=filled_places(view.menu.cpu().numpy()))
    position = torch.as_tensor(np.array(space.answer), dtype=torch.long, device=device)
    tied = torch.as_tensor(np.array(space.tied), device=device)
    padded = torch.cat([view.menu >= 0, torch.ones_like(view.menu[:, :1], dtype=torch.bool)], -1).to(device)
    able = padded[:, position].all(-1)
    if view.feedback.kind in ("ranking", "top"):
        there = padded[:, :-1].sum(-1, keepdim=True).clamp_max(view.feedback.depth or view.k)
        able = able & ((position >= 0).sum(-1) >= there)
    cdf = able.double().cumsum(-1)
    draw = torch.as_tensor(rng.uniform53("habit", 1), device=device) * cdf[:, -1:]
    pick = torch.searchsorted(cdf, draw, right=True).squeeze(-1).clamp_max(len(space) - 1)
    return Answer(position[pick], tied[pick])


def choose(mask: torch.Tensor, yes: Answer, no: Answer) -> Answer:
    """Row by row one of two answers."""
    tied = no.tied
    if tied is not None:
        other = torch.zeros_like(tied) if yes.tied is None else yes.tied
        tied = torch.where(mask[:, None], other, tied)
    return Answer(torch.where(mask[:, None], yes.position, no.position), tied)


def log_response_prob(rule: Rule, scores: torch.Tensor, answer: Answer, view: View) -> torch.Tensor:
    """``log(1 - P(skip))`` of a rule that can skip, ``(..., rows)``."""
    tied = None if answer.tied is None else torch.zeros_like(answer.tied)
    skip = rule.log_prob(scores, Answer(torch.full_like(answer.position, -1), tied), view)
    return torch.log1p(-skip.exp())
