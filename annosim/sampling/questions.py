"""What to ask whom next, so that most is learned of the parameters that all annotators share."""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

from annosim.annotators import PerAnnotator
from annosim.errors import ArgumentError
from annosim.feedback import Feedback
from annosim.learning.posterior.annotators import Menus, answer_space, as_design
from annosim.learning.posterior.information import entropy, expected_information
from annosim.learning.posterior.questions import NextQuestion, menu_words
from annosim.populations.base import Population, gather
from annosim.results import versions
from annosim.rules.base import View
from annosim.sampling.result import PosteriorSample, check_draws

__all__ = ["ParameterTarget", "next_vote"]

#: All parameters, or the item of the highest mean utility (in each prompt).
ParameterTarget = Literal["parameters", "policy"]


def next_vote(
    posterior: PosteriorSample, candidates: Menus, target: ParameterTarget = "parameters", *, draws: int = 200
) -> NextQuestion:
    """The question, and the annotator where they differ, whose answer tells most of the parameters, in nats.

    Mutual information of the answer and the parameters over posterior draws. Where the model has a number for each
    annotator (skills, scales), every annotator is a candidate; else the answer is that of a new one.

    Args:
        posterior: from :func:`annosim.sample_posterior`.
        candidates: what may be asked: a design, or menus ``(M, k)``.
        target: ``"parameters"`` or ``"policy"``: which item is best on average.
        draws: of the posterior, evenly over the chains.

    Returns:
        A :class:`~annosim.learning.NextQuestion`. It decides nothing: ``decided`` is ``None`` throughout (the posterior's own
        probabilities are right on average over the prior, however often one looks, and not for every truth).

    Raises:
        ArgumentError: an unknown target, candidates that are no menus.

    Example:
        >>> import annosim as an
        >>> data = an.PreferenceData(an.Items(n=3), [[0, 1]] * 60 + [[1, 2]] * 3, [0] * 30 + [1] * 30 + [0, 1, 0])
        >>> found = an.sample_posterior(an.Annotator(an.Tabular(3), an.Luce()), data, an.priors.Gaussian(1.0))
        >>> an.sampling.next_vote(found, [[0, 1], [0, 2]]).menu.tolist()  # little is known of the third
        [0, 2]
    """
    if not isinstance(posterior, PosteriorSample):
        raise ArgumentError(f"next_vote(posterior={posterior!r}): give what an.sample_posterior returns")
    if target not in ("parameters", "policy"):
        raise ArgumentError(f"next_vote(target={target!r}): 'parameters' or 'policy'")
    check_draws("next_vote", draws=draws)
    problem = posterior.density.problem
    design = as_design("next_vote", candidates, posterior.items, problem.data.feedback)
    menus = design.enumerate().menu if design.menus is None else torch.as_tensor(design.menus)
    people = posterior.populations(draws)
    names = _annotators(posterior)
    weight = torch.full((len(people),), 1 / len(people), dtype=torch.float64)
    labels = None if target == "parameters" else _best_items(posterior, people)
    rows = []
    for who in range(len(names)):
        tables = torch.stack([_table(one, posterior, menus, design.feedback, who) for one in people])
        rows.append(expected_information(tables, weight, labels).numpy())
    gains = np.stack(rows)
    b, m = np.unravel_index(int(gains.argmax()), gains.shape)
    left = float("nan") if labels is None else float(entropy(torch.bincount(labels).double() / len(labels)))
    menu = menus[m].numpy()
    return NextQuestion(
        annotator=names[b],
        menu=menu,
        words=menu_words(posterior.items, menu),
        gain=float(gains[b, m]),
        gains=gains,
        annotators=names,
        menus=menus.numpy(),
        entropy=np.full(len(names), left),
        candidates_left=((),) * len(names),
        decided=(None,) * len(names),
        alpha=float("nan"),
        target=target,
        items=posterior.items,
        settings=versions(),
    )


def _annotators(posterior: PosteriorSample) -> tuple[str, ...]:
    """Those who differ by numbers of their own, or one for all."""
    personal = any(isinstance(part, PerAnnotator) and part.is_personal for part in posterior.model.modules())
    if not personal:
        return ("anybody",)
    data = posterior.density.problem.data
    names = range(data.num_annotators) if data.annotator_names is None else data.annotator_names
    return tuple(str(name) for name in names)


def _table(
    population: Population, posterior: PosteriorSample, menus: torch.Tensor, feedback: Feedback, who: int
) -> torch.Tensor:
    """Probabilities of the answers by one annotator under one draw, hidden types averaged, ``(M, A)``."""
    rows, items = len(menus), posterior.items
    space = answer_space(population, items, menus, feedback)
    none_yet = torch.full((rows, feedback.width(menus.shape[-1])), -1)
    view = View(items, menus, feedback, torch.zeros(rows, dtype=torch.long), none_yet, torch.full((rows,), who))
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
            mean = sum(part.weight.double() @ part.index.double() for part in one.indexed(posterior.items))
            groups = [posterior.items.members(p) for p in posterior.items.prompts.unique().tolist()]
            best.append(np.array([int(torch.as_tensor(mean)[group].argmax()) for group in groups]))
    return torch.as_tensor(np.unique(np.stack(best), axis=0, return_inverse=True)[1].reshape(-1))
