"""What to ask whom next, so that most is learned of the parameters that all annotators share."""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

from annosim.annotators import PerAnnotator
from annosim.errors import ArgumentError, told
from annosim.feedback import Feedback
from annosim.learning.arguments import check_level
from annosim.learning.posterior.asked import Menus, Shown, answer_space, as_design, asked_of, asked_view
from annosim.learning.posterior.information import entropy, expected_information
from annosim.learning.posterior.questions import NextQuestion, menu_words
from annosim.populations.base import Population, gather
from annosim.results import versions
from annosim.sampling.evidence import log_evidence, mean_index, possible_best
from annosim.sampling.result import PosteriorSample, check_draws

__all__ = ["ParameterTarget", "next_vote"]

#: All parameters, or the item of the highest mean utility (in each prompt).
ParameterTarget = Literal["parameters", "policy"]


def next_vote(
    posterior: PosteriorSample,
    candidates: Menus,
    target: ParameterTarget = "parameters",
    *,
    alpha: float = 0.05,
    draws: int = 200,
) -> NextQuestion:
    """The question, and the annotator where they differ, whose answer tells most of the parameters, in nats.

    Mutual information of the answer and the parameters over posterior draws. Where the model has a number for each
    annotator (skills, scales), every annotator is a candidate; else the answer is that of a new one. With
    ``target="policy"`` it also says which items may still be the best on average, by a rule that may be looked at after
    every answer (:mod:`annosim.sampling.evidence`): whatever the truth is, it is excluded with probability ``alpha`` at most.

    Args:
        posterior: from :func:`annosim.sample_posterior`.
        candidates: what may be asked: a design, or menus ``(M, k)``.
        target: ``"parameters"``, which are never decided, or ``"policy"``: which item of each prompt is best on average.
        alpha: error of the stopping rule.
        draws: of the posterior, evenly over the chains.

    Returns:
        A :class:`~annosim.learning.NextQuestion` with one target for all annotators: ``candidates_left`` holds the items that
        are not excluded, ``decided`` the one that is left (0 where there are several prompts).

    Raises:
        ArgumentError: an unknown target, candidates that are no menus, an ``alpha`` outside (0, 1).

    Example:
        >>> import annosim as an
        >>> data = an.PreferenceData(an.Items(n=3), [[0, 1]] * 60 + [[1, 2]] * 3, [0] * 30 + [1] * 30 + [0, 1, 0])
        >>> found = an.sample_posterior(an.Annotator(an.Tabular(3), an.Luce()), data, an.priors.Gaussian(1.0))
        >>> an.sampling.next_vote(found, [[0, 1], [0, 2]]).menu.tolist()  # little is known of the third
        [0, 2]
        >>> an.sampling.next_vote(found, [[0, 1], [0, 2]], "policy").candidates_left[0]
        (0, 1, 2)
    """
    if not isinstance(posterior, PosteriorSample):
        raise ArgumentError(f"next_vote(posterior={told(posterior)}): give what an.sample_posterior returns")
    if target not in ("parameters", "policy"):
        raise ArgumentError(f"next_vote(target={told(target)}): 'parameters' or 'policy'")
    check_level(alpha, "next_vote(alpha=", "an error between 0 and 1")
    check_draws("next_vote", draws=draws)
    design = as_design("next_vote", candidates, posterior.items, posterior.density.problem.data.feedback)
    menus, shown = asked_of("next_vote", design, posterior.density.problem.model)
    people, names = posterior.populations(draws), _annotators(posterior)
    labels = None if target == "parameters" else _best_items(posterior, people)
    gains = _gains(posterior, people, menus, shown, design.feedback, labels, len(names))
    b, m = np.unravel_index(int(gains.argmax()), gains.shape)
    open_nats = float("nan") if labels is None else float(entropy(torch.bincount(labels).double() / len(labels)))
    left, decided, note = _decision(posterior, target, alpha)
    done = decided is not None
    menu = menus[m].numpy()
    return NextQuestion(
        annotator=None if done else names[b],
        menu=None if done else menu,
        words="" if done else menu_words(posterior.items, menu),
        gain=0.0 if done else float(gains[b, m]),
        gains=gains,
        annotators=names,
        menus=menus.numpy(),
        entropy=np.full(len(names), open_nats),
        candidates_left=(left,) * len(names),
        decided=(decided,) * len(names),
        alpha=float(alpha),
        target=target,
        items=posterior.items,
        shared=True,
        note=note,
        settings=versions(),
    )


def _gains(
    posterior: PosteriorSample,
    people: list[Population],
    menus: torch.Tensor,
    shown: Shown,
    feedback: Feedback,
    labels: torch.Tensor | None,
    annotators: int,
) -> NDArray[np.float64]:
    """Expected information of every annotator's answer to every menu, ``(B, M)``."""
    weight = torch.full((len(people),), 1 / len(people), dtype=torch.float64)
    rows = []
    for who in range(annotators):
        tables = torch.stack([_table(one, posterior, menus, shown, feedback, who) for one in people])
        rows.append(expected_information(tables, weight, labels).numpy())
    return np.stack(rows)


def _decision(
    posterior: PosteriorSample, target: ParameterTarget, alpha: float
) -> tuple[tuple[int, ...], int | None, str]:
    """Items that may be the best, the decision, and why there is none."""
    if target == "parameters":
        return (), None, "parameters are numbers, of which more can always be learned; target='policy' is decided"
    density, y = posterior.density, posterior.draws.y.reshape(-1, posterior.density.size)
    evidence = log_evidence(density, y)
    left = possible_best(density, y, evidence, alpha)
    if not evidence.trusted:
        return (
            left,
            None,
            f"the evidence is not known well enough (Pareto k {evidence.pareto_k:.2f}, at most {evidence.allowed_k:.2f})",
        )
    prompts = len(posterior.items.prompts.unique())
    decided = None if len(left) > prompts else left[0] if prompts == 1 else 0
    return left, decided, ""


def _annotators(posterior: PosteriorSample) -> tuple[str, ...]:
    """Those who differ by numbers of their own, or one for all."""
    personal = any(isinstance(part, PerAnnotator) and part.is_personal for part in posterior.model.modules())
    if not personal:
        return ("anybody",)
    data = posterior.density.problem.data
    names = range(data.num_annotators) if data.annotator_names is None else data.annotator_names
    return tuple(str(name) for name in names)


def _table(
    population: Population, posterior: PosteriorSample, menus: torch.Tensor, shown: Shown, feedback: Feedback, who: int
) -> torch.Tensor:
    """Probabilities of the answers by one annotator under one draw, hidden types averaged, ``(M, A)``."""
    rows, items = len(menus), posterior.items
    space = answer_space(population, items, menus, feedback)
    view = asked_view(items, menus, feedback, who, shown)
    total = torch.zeros(rows, len(space), dtype=torch.float64)
    with torch.no_grad():
        for rule, index, weight, _ in population.indexed(items):
            tables = rule.table(gather(index.double(), menus), view, space).double().exp()
            total += torch.einsum("q,qma->ma", weight.double(), tables)
    return total


def _best_items(posterior: PosteriorSample, people: list[Population]) -> torch.Tensor:
    """The best item of every prompt by the mean index under each draw, as one number ``(S,)``."""
    best: list[NDArray[np.int64]] = []
    with torch.no_grad():
        for one in people:
            mean = mean_index(one, posterior.items)
            groups = [posterior.items.members(p) for p in posterior.items.prompts.unique().tolist()]
            best.append(np.array([int(mean[group].argmax()) for group in groups]))
    return torch.as_tensor(np.unique(np.stack(best), axis=0, return_inverse=True)[1].reshape(-1))
