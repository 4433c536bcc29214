"""From a population and a design to compiled kernels: tables of odds, cumulative probabilities, and who fills what.

Each builder returns a function that fills a run of rows, or says in a :class:`Refusal` why there is none; then that
part takes the reference path.
"""

from __future__ import annotations

import sys
from collections.abc import Callable

import numpy as np
import torch

from annosim import random
from annosim.compiled import cache as sources
from annosim.compiled import notice as announce
from annosim.designs.design import Design
from annosim.populations.annotator import Annotator
from annosim.populations.base import Population
from annosim.populations.random_coefficients import RandomCoefficients
from annosim.random import STREAMS
from annosim.rules.base import Rule
from annosim.rules.luce import Luce
from annosim.rules.rankings import Mallows
from annosim.rules.response_biases import (
    _LEVEL_WORDS,
    AttributeBias,
    Lapse,
    LengthBias,
    PositionBias,
    ResponseBias,
    Skip,
)
from annosim.simulation.kernels import generator, luce, menus, tastes
from annosim.simulation.kernels import mallows as mallows_kernel
from annosim.simulation.kernels import response_biases as habits
from annosim.simulation.kernels.mallows import mallows

__all__ = ["Refusal", "answer_filler", "menu_filler", "number_rows", "row_types", "type_filler"]

#: fills ``(out, first entity, replicate)``; the first entity is a multiple of 64
MenuFiller = Callable[[np.ndarray, int, int], None]
#: fills ``(menu, types of the rows or None, answer, tied or None, first row, replicate)``
AnswerFiller = Callable[..., None]

announce.install()
sources.stamp(random, generator, luce, habits, mallows_kernel, menus, tastes)

_ONE_TYPE = np.empty(0, dtype=np.int8)
#: ranges of utilities within one prompt that the odds form holds: float64 for choices, float32 arrivals for rankings
_RANGE = {"choice": 600.0, "ranking": 120.0, "top": 120.0}


class Refusal(Exception):
    """Why there is no compiled kernel for this population or design."""


def menu_filler(design: Design, seed: int) -> MenuFiller:
    """Fills menus of consecutive entities, as ``design.sample`` draws them."""
    key = np.uint64(seed)
    if design.menus is not None:
        return _listed(design, key)
    ids = [design.items.members(p).numpy() for p in design.prompt_ids.tolist()]
    if design.log_proposal is not None:
        if len(ids) > 1 or not design.with_replacement:
            raise Refusal("a proposal over several prompts or without replacement")
        cdf = design._mass(torch.as_tensor(ids[0])).cumsum(0).numpy()
        guide = menus.guide_table(cdf)
        return lambda out, start, replicate: menus.proposal_menus(out, start, cdf, guide, ids[0], key, replicate)
    size = np.array([len(i) for i in ids])
    members = np.concatenate(ids)
    replacement = design.with_replacement
    plain = len(ids) == 1 and (members == np.arange(len(members))).all()
    if plain and design.menu_size == 2 and sys.byteorder == "little":
        n = int(size[0])
        return lambda out, start, replicate: menus.uniform_pairs(
            out.view(np.int64).reshape(-1), start, n, replacement, key, replicate
        )
    offset, cdf = np.cumsum(size) - size, design.prompt_probability.cumsum(0).numpy()
    return lambda out, start, replicate: menus.uniform_menus(
        out, start, size, offset, members, cdf, replacement, key, replicate
    )


def _listed(design: Design, key: np.uint64) -> MenuFiller:
    listed = np.ascontiguousarray(design.menus.numpy().astype(np.int32))
    cdf = design.menu_weights.double().cumsum(0).numpy()
    guide = menus.guide_table(cdf)
    return lambda out, start, replicate: menus.listed_menus(out, start, cdf, guide, listed, key, replicate)


def type_filler(population: Population, seed: int) -> MenuFiller:
    """Fills hidden types of consecutive annotators, ``out (n,)``."""
    if population.annotator_weights(np.arange(1)) is not None:
        raise Refusal("types whose probabilities depend on the annotator")
    cdf = population.leaf_weights().detach().double().cumsum(0).numpy()
    guide = menus.guide_table(cdf)
    key = np.uint64(seed)

    def fill(out: np.ndarray, start: int, replicate: int) -> None:
        padded = np.empty(-(-len(out) // 64) * 64, dtype=np.int64)
        menus.inverse_index(padded, start // 64, cdf, guide, STREAMS["type"], 0, key, replicate)
        out[:] = padded[: len(out)]

    return fill


number_rows = menus.number_rows


def row_types(types: np.ndarray, first: int, low: int, high: int, questions: int) -> np.ndarray:
    """Types of the rows ``low .. high - 1`` from the types of the annotators ``first ...``."""
    out = np.empty(high - low, dtype=types.dtype)
    word = _WORDS.get(questions)
    if word is not None and types.dtype == np.int8 and low % questions == 0 and high % questions == 0:
        part = types[low // questions - first : high // questions - first].view(np.uint8)
        menus.repeat_bytes(part, word(np.iinfo(word).max // 255), out.view(word))
    else:
        menus.spread_types(types, first, low, questions, out)
    return out


#: numbers of as many bytes as annotators answer questions
_WORDS = {2: np.uint16, 4: np.uint32, 8: np.uint64}


def answer_filler(population: Population, design: Design, seed: int) -> AnswerFiller:
    """Fills answers to given menus: one kernel for the rule, then one pass for every level of habits."""
    leaves = population.leaves()
    stacks = [Stack.of(leaf, population, design) for leaf in leaves]
    builder = _coefficient_filler if isinstance(leaves[0], RandomCoefficients) else _rule_filler
    ruled = builder(population, stacks, design, np.uint64(seed))
    passes = _habit_passes(stacks, design, np.uint64(seed))

    def fill(menu, types, answer, tied, start, replicate):
        kind = _ONE_TYPE if types is None else types
        ruled(menu, kind, answer, tied, start, replicate)
        for one in passes:
            one(menu, kind, answer.reshape(len(answer), -1), start, replicate)

    return fill


class Stack:
    """An annotator's rule and its habits, taken apart.

    Attributes:
        rule: the innermost rule.
        shift: ``(k,)`` numbers that position biases add.
        lapses: level of the habit -> (how, rate).
    """

    def __init__(self, rule: Rule, shift: np.ndarray, lapses: dict[int, tuple[int, float]]):
        self.rule, self.shift, self.lapses = rule, shift, lapses

    @classmethod
    def of(cls, leaf: Population, population: Population, design: Design) -> Stack:
        """The stack of a leaf, or a refusal."""
        if type(leaf) is not Annotator and (type(leaf) is not RandomCoefficients or len(population.leaves()) > 1):
            raise Refusal(f"{type(leaf).__name__} among {len(population.leaves())} types has no compiled kernel")
        rule, shift, lapses = leaf.rule, np.zeros(design.menu_size), {}
        while isinstance(rule, ResponseBias):
            if type(rule) is PositionBias:
                zero = torch.zeros(1, design.menu_size, dtype=torch.float64)
                shift = shift + rule.seen(zero, None)[0].detach().numpy()  # type: ignore[arg-type]
            elif type(rule) in (Lapse, Skip):
                how = habits.SKIP if type(rule) is Skip else _HOW[rule.how]  # type: ignore[attr-defined]
                lapses[rule.level] = (how, float(rule.rate.detach()))
            elif type(rule) not in (AttributeBias, LengthBias):
                raise Refusal(f"{type(rule).__name__} has no compiled kernel")
            rule = rule.rule
        return cls(rule, shift, lapses)


_HOW = {"uniform": habits.UNIFORM, "first": habits.FIRST, "flip": habits.FLIP}


def _rule_filler(population: Population, stacks: list[Stack], design: Design, key: np.uint64) -> AnswerFiller:
    samplers = {type(stack.rule).sample for stack in stacks}
    kind, k = design.feedback.kind, design.menu_size
    if {type(stack.rule) for stack in stacks} == {Mallows}:
        return _mallows_filler(population, stacks, design, key)
    if len({type(stack.rule) for stack in stacks}) > 1 and samplers != {Luce.sample}:
        raise Refusal("types with different rules")
    name = type(stacks[0].rule).__name__
    if samplers == {Luce.sample} and kind in _RANGE:
        limit = _RANGE[kind]
    elif name in _TIED and k == 2 and kind in ("choice", "ranking"):
        limit = _RANGE["choice"]
    else:
        raise Refusal(f"{name} with feedback {kind!r} from menus of {k} has no compiled kernel")
    shift = np.stack([stack.shift for stack in stacks])
    if np.abs(shift).max() > limit / 2:
        raise Refusal(f"position biases above {limit / 2:g}")
    odds, bias = _odds(population, design, limit - 2 * np.abs(shift).max()), np.exp(shift)
    pads = design.menus is not None and bool((design.menus < 0).any())
    if name in _TIED:
        if pads:
            raise Refusal("menus of one")
        return _tied_filler(stacks, name, odds, bias, kind == "ranking", key)
    if kind != "choice":
        depth = min(design.feedback.depth or k, k)
        with np.errstate(divide="ignore"):
            scale = 1.0 / odds
        return lambda menu, types, answer, tied, start, replicate: luce.luce_ranking(
            menu, types, scale, 1.0 / bias, answer, start, depth, key, replicate
        )
    if k == 2 and not pads:
        first, second = luce.float32_odds(odds, bias)
        return lambda menu, types, answer, tied, start, replicate: luce.luce_pairs(
            menu, types, odds, bias, first, second, answer.reshape(-1), start, key, replicate
        )
    return lambda menu, types, answer, tied, start, replicate: luce.luce_choice(
        menu, types, odds, bias, answer.reshape(-1), start, key, replicate
    )


#: rules of pairs with ties: name -> the attribute that says how likely a tie is
_TIED = {"Davidson": "delta", "RaoKupper": "theta"}


def _tied_filler(stacks, name, odds, bias, ranking, key) -> AnswerFiller:
    strength = np.array([float(getattr(stack.rule, _TIED[name]).detach().reshape(-1)[0]) for stack in stacks])
    if any(stack.lapses for stack in stacks):
        raise Refusal(f"lapses of {name} have no compiled kernel")
    davidson = name == "Davidson"
    return lambda menu, types, answer, tied, start, replicate: luce.tied_pairs(
        menu, types, odds, bias, strength, davidson, ranking, answer, tied, start, key, replicate
    )


def _coefficient_filler(population, stacks, design: Design, key: np.uint64) -> AnswerFiller:
    leaf, items, feedback = population.leaves()[0], design.items, design.feedback
    if type(stacks[0].rule).sample is not Luce.sample or feedback.kind not in _RANGE:
        raise Refusal(f"random coefficients under {type(stacks[0].rule).__name__}, feedback {feedback.kind!r}")
    zero, one = torch.zeros(items.n, dtype=torch.float64), torch.ones(items.n, dtype=torch.float64)
    offset = leaf.rule.index(zero, items).detach().double().numpy()
    slope = leaf.rule.index(one, items).detach().double().numpy() - offset  # the index of Luce and PBDE is affine in u
    features, shift = np.ascontiguousarray(items.features.numpy()), stacks[0].shift
    starts = None if design.loads is None else np.r_[0, np.cumsum(design.loads)]
    depth = min(feedback.depth or design.menu_size, design.menu_size)

    def fill(menu, types, answer, tied, start, replicate):
        row = np.arange(start, start + len(menu))
        who = row // design.num_questions if starts is None else np.searchsorted(starts, row, side="right") - 1
        first = int(who[0]) // 64 * 64
        z = np.empty((int(who[-1]) + 1 - first, leaf.dim))
        tastes.standard_normals(z, first, key, replicate)
        beta = np.ascontiguousarray(leaf.tastes(torch.as_tensor(z)).detach().numpy())
        told = (menu, who - first, beta, features, slope, offset, shift)
        if feedback.kind == "choice":
            tastes.coefficient_choice(*told, answer.reshape(-1), start, key, replicate)
        else:
            tastes.coefficient_ranking(*told, answer, start, depth, key, replicate)

    return fill


def _mallows_filler(population, stacks, design: Design, key: np.uint64) -> AnswerFiller:
    k, scores = design.menu_size, _scores(population, design)
    phi = np.array([float(stack.rule.dispersion(k, torch.zeros(1, dtype=torch.float64))[k]) for stack in stacks])
    if any(stack.shift.any() for stack in stacks):
        raise Refusal("position biases of Mallows have no compiled kernel")
    if phi.min() ** k < 1e-290:
        raise Refusal("Mallows with a dispersion of nearly 0")
    listed = design.menus is not None and (
        bool((design.menus < 0).any()) or bool((design.menus.sort(-1).values.diff(dim=-1) == 0).any())
    )
    if listed or (design.menus is None and design.with_replacement):
        raise Refusal("Mallows on menus with pads or repeated items")
    if any(
        len(np.unique(row[design.items.prompts.numpy() == p])) < len(design.items.members(p))
        for row in scores
        for p in design.prompt_ids.tolist()
    ):
        raise Refusal("Mallows with equal utilities")
    rank = np.argsort(np.argsort(-scores, axis=1), axis=1).astype(np.int32)
    depth = 1 if design.feedback.kind == "choice" else min(design.feedback.depth or k, k)
    return lambda menu, types, answer, tied, start, replicate: mallows(
        menu, types, rank, phi, answer.reshape(len(answer), -1), start, depth, key, replicate
    )


def _habit_passes(stacks: list[Stack], design: Design, key: np.uint64) -> list[AnswerFiller]:
    kind, k = design.feedback.kind, design.menu_size
    ranked, depth = kind != "choice", min(design.feedback.depth or k, k)
    levels = sorted({(level, how) for stack in stacks for level, (how, _) in stack.lapses.items()})
    passes = []
    for level, how in levels:
        rates = [stack.lapses.get(level, (how, 0.0)) for stack in stacks]
        rate = np.array([r if h == how else 0.0 for h, r in rates])
        passes.append(_habit_pass(rate, how, ranked, depth, _LEVEL_WORDS * level, key))
    return passes


def _habit_pass(rate, how, ranked, depth, word, key) -> AnswerFiller:
    return lambda menu, types, answer, start, replicate: habits.replace_answers(
        menu, types, rate, how, ranked, depth, answer, start, word, key, replicate
    )


def _scores(population: Population, design: Design) -> np.ndarray:
    """Indexed utilities, ``(types, n)`` float64."""
    rows = [leaf.index(design.items).detach().double() for leaf in population.leaves()]  # type: ignore[attr-defined]
    scores = torch.stack(rows).numpy()
    if np.isnan(scores).any() or np.isposinf(scores).any():
        raise Refusal("a utility is NaN or +inf")
    return scores


def _odds(population: Population, design: Design, limit: float) -> np.ndarray:
    """``exp(score)``, ``(types, n)``, centred within each prompt (each has its own gauge)."""
    scores = _scores(population, design)
    prompts = design.items.prompts.numpy()
    centred = scores.copy()
    for prompt in np.unique(prompts):
        part = scores[:, prompts == prompt]
        finite = np.isfinite(part)
        high = np.where(finite, part, -np.inf).max(1, keepdims=True)
        low = np.where(finite, part, np.inf).min(1, keepdims=True)
        if not np.isfinite(high).all():
            raise Refusal("a type gives no item of a prompt a finite utility")
        if (high - low).max() > limit:
            raise Refusal(f"utilities range over more than {limit:g}")
        centred[:, prompts == prompt] = part - (high + low) / 2
    return np.exp(centred)
