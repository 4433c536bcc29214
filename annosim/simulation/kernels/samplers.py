"""From a population and a design to compiled kernels: tables of odds, cumulative probabilities, and who fills what.

Each builder returns a function that fills a run of rows, or says in a :class:`UnsupportedByKernel` why there is none; then that
part takes the reference path.
"""

from __future__ import annotations

import sys

import numpy as np
import torch

from annosim import random
from annosim.compiled import arithmetic, compile_notice, link_cache
from annosim.designs.design import Design
from annosim.parameters import behaves_as
from annosim.populations.annotator import Annotator
from annosim.populations.base import Component, Population
from annosim.populations.random_coefficients import RandomCoefficients
from annosim.random import STREAMS
from annosim.rules.base import Rule
from annosim.rules.rankings import Mallows
from annosim.rules.response_biases import DRAWS_PER_LEVEL, Lapse, PositionBias, ResponseBias, Skip
from annosim.rules.ties import Davidson, RaoKupper
from annosim.simulation.kernels import generator, luce, menus, response_biases, tastes
from annosim.simulation.kernels import mallows as mallows_kernel
from annosim.simulation.kernels.mallows import mallows
from annosim.simulation.paths import AnswerSampler, RunSampler

__all__ = ["UnsupportedByKernel", "answer_sampler", "menu_sampler", "number_rows", "row_types", "type_sampler"]


compile_notice.install()
link_cache.link(random, arithmetic, generator, luce, response_biases, mallows_kernel, menus, tastes)

_ONE_TYPE = np.empty(0, dtype=np.int8)
#: ranges of utilities within one prompt that the odds form holds: float64 for choices, float32 arrivals for rankings
_RANGE = {"choice": 600.0, "ranking": 120.0, "top": 120.0}


class UnsupportedByKernel(Exception):
    """Why there is no compiled kernel for this population or design."""


def menu_sampler(design: Design, seed: int) -> RunSampler:
    """Fills menus of consecutive entities, as ``design.sample`` draws them."""
    key = np.uint64(seed)
    if design.menus is not None:
        return _listed(design, key)
    ids = [design.items.members(p).numpy() for p in design.prompt_ids.tolist()]
    if design.log_proposal is not None:
        if len(ids) > 1 or not design.with_replacement:
            raise UnsupportedByKernel("a proposal over several prompts or without replacement")
        cdf = design.item_mass(torch.as_tensor(ids[0])).cumsum(0).numpy()
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


def _listed(design: Design, key: np.uint64) -> RunSampler:
    listed = np.ascontiguousarray(design.menus.numpy().astype(np.int32))
    cdf = design.menu_weights.double().cumsum(0).numpy()
    guide = menus.guide_table(cdf)
    return lambda out, start, replicate: menus.listed_menus(out, start, cdf, guide, listed, key, replicate)


def type_sampler(population: Population, seed: int) -> RunSampler:
    """Fills hidden types of consecutive annotators, ``out (n,)``."""
    if population.annotator_weights(np.arange(1)) is not None:
        raise UnsupportedByKernel("types whose probabilities depend on the annotator")
    cdf = population.component_weights().detach().double().cumsum(0).numpy()
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


def answer_sampler(population: Population, design: Design, seed: int) -> AnswerSampler:
    """Fills answers to given menus: one kernel for the rule, then one pass for every level of response_biases."""
    components = population.components()
    stacks = [Stack.of(component, population, design) for component in components]
    builder = _coefficient_sampler if isinstance(components[0], RandomCoefficients) else _rule_sampler
    ruled = builder(population, stacks, design, np.uint64(seed))
    passes = _bias_passes(stacks, design, np.uint64(seed))

    def fill(menu, types, answer, tied, start, replicate):
        kind = _ONE_TYPE if types is None else types
        ruled(menu, kind, answer, tied, start, replicate)
        for one in passes:
            one(menu, kind, answer.reshape(len(answer), -1), start, replicate)

    return fill


class Stack:
    """An annotator's rule and its response biases, taken apart.

    Attributes:
        rule: the innermost rule.
        shift: ``(k,)`` numbers that position biases add.
        lapses: level of the bias -> (how, rate).
    """

    def __init__(self, rule: Rule, shift: np.ndarray, lapses: dict[int, tuple[int, float]]):
        self.rule, self.shift, self.lapses = rule, shift, lapses

    @classmethod
    def of(cls, component: Component, population: Population, design: Design) -> Stack:
        """The stack of a component; raises where it has no compiled kernel."""
        alone = len(population.components()) == 1
        if not (behaves_as(component, Annotator) or (alone and behaves_as(component, RandomCoefficients))):
            raise UnsupportedByKernel(
                f"{type(component).__name__} among {len(population.components())} types has no compiled kernel"
            )
        shift, lapses = np.zeros(design.menu_size), {}
        *outer, rule = component.rule.layers()
        for bias in outer:
            if behaves_as(bias, PositionBias):
                zero = torch.zeros(1, design.menu_size, dtype=torch.float64)
                shift = shift + bias.distort(zero, None)[0].detach().numpy()  # type: ignore[attr-defined, arg-type]
            elif behaves_as(bias, Lapse) or behaves_as(bias, Skip):
                how = response_biases.SKIP if isinstance(bias, Skip) else _HOW[bias.how]
                lapses[bias.level] = (how, float(bias.rate.detach()))
            elif not behaves_as(bias, ResponseBias, "distort", "sample", "log_prob", "table", "space"):
                raise UnsupportedByKernel(f"{type(bias).__name__} has no compiled kernel")
        return cls(rule, shift, lapses)


_HOW = {"uniform": response_biases.UNIFORM, "first": response_biases.FIRST, "flip": response_biases.FLIP}


def _rule_sampler(population: Population, stacks: list[Stack], design: Design, key: np.uint64) -> AnswerSampler:
    rules = [stack.rule for stack in stacks]
    if all(behaves_as(rule, Mallows) for rule in rules):
        return _mallows_sampler(population, stacks, design, key)
    if all(rule.follows_luce for rule in rules):
        return _luce_sampler(population, stacks, design, key)
    for parent in (Davidson, RaoKupper):
        if all(behaves_as(rule, parent) for rule in rules):
            return _tied_sampler(population, stacks, design, parent is Davidson, key)
    names = list(dict.fromkeys(type(rule).__name__ for rule in rules))
    raise UnsupportedByKernel(
        f"types with different rules, {', '.join(names)}" if len(names) > 1 else f"{names[0]} has no compiled kernel"
    )


def _tables(population: Population, stacks: list[Stack], design: Design, limit: float) -> tuple[np.ndarray, np.ndarray]:
    """Odds ``exp(score) (types, n)`` and biases ``exp(shift) (types, k)``, both within what the kernels hold."""
    shift = np.stack([stack.shift for stack in stacks])
    if np.abs(shift).max() > limit / 2:
        raise UnsupportedByKernel(f"position biases above {limit / 2:g}")
    return _odds(population, design, limit - 2 * np.abs(shift).max()), np.exp(shift)


def _luce_sampler(population: Population, stacks: list[Stack], design: Design, key: np.uint64) -> AnswerSampler:
    kind, k = design.feedback.kind, design.menu_size
    if kind not in _RANGE:
        raise UnsupportedByKernel(f"feedback {kind!r} has no compiled kernel")
    odds, bias = _tables(population, stacks, design, _RANGE[kind])
    if kind != "choice":
        depth = min(design.feedback.depth or k, k)
        with np.errstate(divide="ignore"):
            scale = 1.0 / odds
        return lambda menu, types, answer, tied, start, replicate: luce.luce_ranking(
            menu, types, scale, 1.0 / bias, answer, start, depth, key, replicate
        )
    if k == 2 and not _has_pads(design):
        first, second = luce.float32_odds(odds, bias)
        return lambda menu, types, answer, tied, start, replicate: luce.luce_pairs(
            menu, types, odds, bias, first, second, answer.reshape(-1), start, key, replicate
        )
    return lambda menu, types, answer, tied, start, replicate: luce.luce_choice(
        menu, types, odds, bias, answer.reshape(-1), start, key, replicate
    )


def _has_pads(design: Design) -> bool:
    return design.menus is not None and bool((design.menus < 0).any())


def _tied_sampler(
    population: Population, stacks: list[Stack], design: Design, davidson: bool, key: np.uint64
) -> AnswerSampler:
    kind, k, name = design.feedback.kind, design.menu_size, type(stacks[0].rule).__name__
    if k != 2 or kind not in ("choice", "ranking"):
        raise UnsupportedByKernel(f"{name} with feedback {kind!r} from menus of {k} has no compiled kernel")
    odds, bias = _tables(population, stacks, design, _RANGE["choice"])
    if _has_pads(design):
        raise UnsupportedByKernel("menus of one")
    if any(stack.lapses for stack in stacks):
        raise UnsupportedByKernel(f"lapses of {name} have no compiled kernel")
    numbers = [getattr(stack.rule, stack.rule.tie_parameter) for stack in stacks]  # type: ignore[arg-type]
    strength = np.array([float(number.detach().reshape(-1)[0]) for number in numbers])
    return lambda menu, types, answer, tied, start, replicate: luce.tied_pairs(
        menu, types, odds, bias, strength, davidson, kind == "ranking", answer, tied, start, key, replicate
    )


def _coefficient_sampler(population: Population, stacks: list[Stack], design: Design, key: np.uint64) -> AnswerSampler:
    component, items, feedback = population.components()[0], design.items, design.feedback
    if not isinstance(component, RandomCoefficients) or not stacks[0].rule.follows_luce or feedback.kind not in _RANGE:
        raise UnsupportedByKernel(
            f"random coefficients under {type(stacks[0].rule).__name__}, feedback {feedback.kind!r}"
        )
    coefficients = component.rule.affine(items)
    if coefficients is None:
        raise UnsupportedByKernel("random coefficients under an index that is not f u + g")
    slope, offset = (part.detach().numpy() for part in coefficients)
    features, shift = np.ascontiguousarray(items.features.numpy()), stacks[0].shift
    starts = None if design.loads is None else np.r_[0, np.cumsum(design.loads)]
    depth = min(feedback.depth or design.menu_size, design.menu_size)

    def fill(menu, types, answer, tied, start, replicate):
        row = np.arange(start, start + len(menu))
        who = row // design.num_questions if starts is None else np.searchsorted(starts, row, side="right") - 1
        first = int(who[0]) // 64 * 64
        z = np.empty((int(who[-1]) + 1 - first, component.dim))
        tastes.standard_normals(z, first, key, replicate)
        beta = np.ascontiguousarray(component.tastes(torch.as_tensor(z)).detach().numpy())
        given = (menu, who - first, beta, features, slope, offset, shift)
        if feedback.kind == "choice":
            tastes.coefficient_choice(*given, answer.reshape(-1), start, key, replicate)
        else:
            tastes.coefficient_ranking(*given, answer, start, depth, key, replicate)

    return fill


def _mallows_sampler(population: Population, stacks: list[Stack], design: Design, key: np.uint64) -> AnswerSampler:
    k, scores = design.menu_size, _scores(population, design)
    phi = np.array([float(stack.rule.dispersion(k, torch.zeros(1, dtype=torch.float64))[k]) for stack in stacks])
    if any(stack.shift.any() for stack in stacks):
        raise UnsupportedByKernel("position biases of Mallows have no compiled kernel")
    if phi.min() ** k < 1e-290:
        raise UnsupportedByKernel("Mallows with a dispersion of nearly 0")
    listed = design.menus is not None and (
        bool((design.menus < 0).any()) or bool((design.menus.sort(-1).values.diff(dim=-1) == 0).any())
    )
    if listed or (design.menus is None and design.with_replacement):
        raise UnsupportedByKernel("Mallows on menus with pads or repeated items")
    if any(
        len(np.unique(row[design.items.prompts.numpy() == p])) < len(design.items.members(p))
        for row in scores
        for p in design.prompt_ids.tolist()
    ):
        raise UnsupportedByKernel("Mallows with equal utilities")
    rank = np.argsort(np.argsort(-scores, axis=1), axis=1).astype(np.int32)
    depth = 1 if design.feedback.kind == "choice" else min(design.feedback.depth or k, k)
    return lambda menu, types, answer, tied, start, replicate: mallows(
        menu, types, rank, phi, answer.reshape(len(answer), -1), start, depth, key, replicate
    )


def _bias_passes(stacks: list[Stack], design: Design, key: np.uint64) -> list[AnswerSampler]:
    kind, k = design.feedback.kind, design.menu_size
    ranked, depth = kind != "choice", min(design.feedback.depth or k, k)
    levels = sorted({(level, how) for stack in stacks for level, (how, _) in stack.lapses.items()})
    passes = []
    for level, how in levels:
        rates = [stack.lapses.get(level, (how, 0.0)) for stack in stacks]
        rate = np.array([r if h == how else 0.0 for h, r in rates])
        passes.append(_bias_pass(rate, how, ranked, depth, DRAWS_PER_LEVEL * level, key))
    return passes


def _bias_pass(rate, how, ranked, depth, word, key) -> AnswerSampler:
    return lambda menu, types, answer, start, replicate: response_biases.replace_answers(
        menu, types, rate, how, ranked, depth, answer, start, word, key, replicate
    )


def _scores(population: Population, design: Design) -> np.ndarray:
    """Indexed utilities, ``(types, n)`` float64."""
    rows = [component.index(design.items).detach().double() for component in population.components()]  # type: ignore[attr-defined]
    scores = torch.stack(rows).numpy()
    if np.isnan(scores).any() or np.isposinf(scores).any():
        raise UnsupportedByKernel("a utility is NaN or +inf")
    return scores


def _odds(population: Population, design: Design, limit: float) -> np.ndarray:
    """``exp(score)``, ``(types, n)``, centred within each prompt (each has its own normalisation)."""
    scores = _scores(population, design)
    prompts = design.items.prompts.numpy()
    centred = scores.copy()
    for prompt in np.unique(prompts):
        part = scores[:, prompts == prompt]
        finite = np.isfinite(part)
        high = np.where(finite, part, -np.inf).max(1, keepdims=True)
        low = np.where(finite, part, np.inf).min(1, keepdims=True)
        if not np.isfinite(high).all():
            raise UnsupportedByKernel("a type gives no item of a prompt a finite utility")
        if (high - low).max() > limit:
            raise UnsupportedByKernel(f"utilities range over more than {limit:g}")
        centred[:, prompts == prompt] = part - (high + low) / 2
    return np.exp(centred)
