"""Does the estimate exist? The one place where it is asked, before a fit of tables, weights and shares, and after it of
every other free number.

Tabular Luce models: the estimate exists, uniquely up to one constant a prompt, exactly when within every prompt the
graph "was at some time preferred to" is strongly connected (Ford 1957 for pairs; Hunter 2004 for rankings). Linear
models: it exists exactly when no direction separates the answers (Albert and Anderson 1984), a linear program.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from annosim.data.preferences import PreferenceData
from annosim.errors import DataError, NotIdentifiedError
from annosim.learning.existence.connectivity import answers_graph, connectivity, require_connected
from annosim.learning.existence.covariates import check_covariates
from annosim.learning.existence.ratings import check_ratings
from annosim.learning.existence.separation import check_linear, nearly_collinear
from annosim.learning.penalties import weights_penalty
from annosim.learning.priors import Prior
from annosim.learning.structure import free_linear, free_table
from annosim.populations.annotator import Annotator
from annosim.populations.base import Component, Population
from annosim.populations.random_coefficients import RandomCoefficients
from annosim.rules.base import Rule
from annosim.utilities.linear import Linear

__all__ = [
    "check_ties",
    "check_utilities",
    "empty_classes",
    "held_ties",
    "nearly_collinear_features",
    "require_annotators",
    "require_magnitudes",
    "single_answers",
]

#: size beyond which squares of a number may overflow
LARGEST = 1e100


def require_magnitudes(model: Population, data: PreferenceData) -> None:
    """Refuse weights and features of a size at which squares leave the range of numbers.

    Raises:
        DataError: a weight above 1e100.
        NotIdentifiedError: a feature that a linear utility reads spans more than 1e100, or less than 1e-100.
    """
    heaviest = 1.0 if data.weight is None else float(np.max(data.weight, initial=0.0))
    if heaviest > LARGEST:
        raise DataError(
            f"weight: {heaviest:.3g}; weights count annotators, and the largest that is read is {LARGEST:.0g}"
        )
    if not any(isinstance(one, Linear | RandomCoefficients) for one in model.modules()) or data.items.features is None:
        return
    spread = data.items.feature_spread.numpy()
    for j in np.flatnonzero((spread > LARGEST) | ((spread > 0) & (spread < 1 / LARGEST)))[:1]:
        raise NotIdentifiedError(
            f"fit: feature {j} spans {spread[j]:.3g}, in whose units no weight can be computed; divide it by its spread"
        )


def require_annotators(model: Population, data: PreferenceData, prior: Prior | None) -> None:
    """Refuse a mixture of more types than there are annotators: one person says nothing of the shares of several types.

    Raises:
        NotIdentifiedError: fewer annotators than types, and no prior to decide.
    """
    types = len(model.components())
    if types == 1 or prior is not None:
        return
    people = np.count_nonzero(np.bincount(data.annotator_ids[~data.skipped]))
    if people < types:
        raise NotIdentifiedError(
            f"{types} types but only {people} annotator(s) answered: the data cannot say how common each type is; "
            "collect answers from more people, give the annotators' column, fit one type, or pass prior="
        )


def nearly_collinear_features(model: Population, data: PreferenceData) -> list[str]:
    """A note on features that a linear utility or tastes hardly tell apart.

    Example:
        >>> import annosim as an
        >>> items = an.Items(features=[[0.0, 0.0], [1.0, 1.0], [2.0, 2.0000001]])
        >>> data = an.PreferenceData(items, [[0, 1]], [0])
        >>> len(nearly_collinear_features(an.Annotator(an.Linear(2), an.Luce()), data))
        1
    """
    if not any(isinstance(one, Linear | RandomCoefficients) for one in model.modules()) or data.items.features is None:
        return []
    return nearly_collinear(data.items.feature_matrix.double().numpy(), data.items)


def single_answers(model: Population, data: PreferenceData) -> list[str]:
    """A note on several types among annotators who answer once each.

    Example:
        >>> import annosim as an
        >>> two = an.Mixture([an.Annotator(an.Tabular(2), an.Luce())] * 2)
        >>> single_answers(two, an.PreferenceData(an.Items(n=2), [[0, 1]], [0]))[0][:37]
        'nobody answers twice, so that types s'
    """
    if len(model.components()) == 1:
        return []
    if data.annotator is not None:
        ids = data.annotator_ids[~data.skipped]
        if len(np.unique(ids)) < len(ids):
            return []
    return [
        "nobody answers twice, so that types show in averages alone, and pairs often fit two worlds equally well: ask "
        "an.identify(fit) what can be known, or collect two answers each"
    ]


def held_ties(model: Population, data: PreferenceData) -> list[str]:
    """A note for every number of ties that is held fixed though answers are tied.

    Example:
        >>> import annosim as an
        >>> data = an.PreferenceData(an.Items(n=2), [[0, 1]] * 2, [[0, 1], [0, -1]], tied=[[True], [False]])
        >>> held_ties(an.Annotator(an.Tabular(2), an.Davidson()), data)
        ['delta of Davidson is held at 1 and the data have ties: Davidson(delta=an.free(1.0)) estimates it']
    """
    if not data.has_ties:
        return []
    notes = []
    for layer in (layer for one in model.components() for layer in one.rule.layers()):
        name = layer.tie_parameter
        if name is None or getattr(layer, name).requires_grad:
            continue
        held, rule = getattr(layer, name).detach(), type(layer).__name__
        told = ", ".join(f"{value:g}" for value in held.reshape(-1).tolist())
        start = "2.0" if name == "theta" else "1.0" if held.numel() == 1 else str([1.0] * held.numel())
        notes.append(
            f"{name} of {rule} is held at {told} and the data have ties: {rule}({name}=an.free({start})) estimates it"
        )
    return list(dict.fromkeys(notes))


def empty_classes(population: Population, people: float) -> list[str]:
    """A note for every type whom fewer than a hundredth of an annotator belong to: nothing is known of its numbers.

    Example:
        >>> import annosim as an
        >>> empty_classes(an.Mixture([an.Annotator(an.Tabular(2), an.Luce())] * 2, [1.0 - 1e-9, 1e-9]), 50.0)[0][:19]
        'type 1 has vanished'
    """
    share = population.component_weights().detach().tolist()
    return [
        f"type {k} has vanished (a share of {w:.2g}): the data say nothing of its own numbers; fit fewer types, or "
        "pass prior=an.priors.Dirichlet(1)"
        for k, w in enumerate(share)
        if len(share) > 1 and w * people < 0.01
    ]


def check_utilities(model: Population, data: PreferenceData, prior: Prior | None) -> list[str]:
    """Existence under any rule, of free tables, linear utilities and tie parameters: raise, or notes.

    Items never shown or never connected cannot be told under any rule. An item that never lost has no finite utility
    under Luce's rule, nor with ties, a position bias or uniform lapses around it: raising it never lowers the
    likelihood (:attr:`Rule.unbounded`). Under rules for which this is not known it is a note, and so it is for several
    types.
    """
    components = model.components()
    told: list[str] = []
    for one in components:
        check_ties(one.rule, data)
        told += [note for note in check_covariates(one, data, prior) if note not in told]
    return told + _check_indices(model, components, data, prior)


def _check_indices(
    model: Population, components: Sequence[Component], data: PreferenceData, prior: Prior | None
) -> list[str]:
    if not isinstance(model, Annotator):
        return _check_types(components, data, prior)
    if free_linear(model) is not None:
        return _check_weights(model, data, prior)
    if free_table(model) is None:
        return []
    if model.rule.absolute and data.feedback.kind == "rating":
        return check_ratings(model, data, prior)
    return _check_table(model, data, prior)


def _check_table(model: Annotator, data: PreferenceData, prior: Prior | None) -> list[str]:
    items, (graph, seen) = data.items, answers_graph(data)
    found = connectivity(graph, items, seen)
    if found.exists:
        return []
    if prior is not None:
        return [f"prior {prior} decided what the data do not: {found.message(items).split('. Remedies')[0]}"]
    if found.unseen or found.separate or model.rule.unbounded:
        require_connected(found, items, "fit")
    return [f"existence is not decided for {type(model.rule).__name__}; under Luce's rule, {found.message(items)}"]


def _check_types(components: Sequence[Component], data: PreferenceData, prior: Prior | None) -> list[str]:
    """Tables of several types: what no answer shows or connects cannot be told for any of them."""
    if not any(free_table(one) is not None and not one.rule.absolute for one in components):
        return []
    items, (graph, seen) = data.items, answers_graph(data)
    found = connectivity(graph, items, seen)
    if found.exists:
        return []
    if prior is not None:
        return [f"prior {prior} decided what the data do not, of any type: {found.message(items).split('. ')[0]}"]
    if found.unseen or found.separate:
        require_connected(found, items, "fit")
    return [
        "some items never lost or never won: at least one type's utilities may have no finite maximum; treat its "
        "extreme utilities as bounds, or pass prior="
    ]


def _check_weights(one: Annotator, data: PreferenceData, prior: Prior | None) -> list[str]:
    """Separation of a linear utility under a rule around Luce's, by the answers' graph of preferences."""
    if one.rule.absolute or not one.rule.unbounded:
        return []
    edges = answers_graph(data)[0].tocoo()
    with torch.no_grad():
        zero = torch.zeros(data.items.n, dtype=torch.float64)
        slope = (one.rule.index(zero + 1.0, data.items) - one.rule.index(zero, data.items)).double().numpy()
    matrix = slope[:, None] * data.items.features.double().numpy()  # type: ignore[union-attr]
    penalty = None if prior is None else weights_penalty(prior, matrix.shape[1])
    return check_linear(matrix[edges.row] - matrix[edges.col], matrix, data.items, penalty)[0]


def check_ties(rule: Rule, data: PreferenceData) -> None:
    """Refuse a free tie parameter when every answer is a tie: it has no finite estimate, and no prior acts on it.

    Raises:
        NotIdentifiedError: names the parameter and the remedy.

    Example:
        >>> import annosim as an
        >>> tied = an.PreferenceData(an.Items(n=2), [[0, 1]], answer=[[0, 1]], tied=[[True]])
        >>> check_ties(an.rules.RaoKupper(an.free(2.0)), tied)
        Traceback (most recent call last):
        annosim.errors.NotIdentifiedError: fit: every answer is a tie, so that theta has no finite estimate; ...
    """
    free = [
        layer.tie_parameter
        for layer in rule.layers()
        if layer.tie_parameter is not None and getattr(layer, layer.tie_parameter).requires_grad
    ]
    live = (np.asarray(data.row_weight) > 0) & ~np.asarray(data.skipped)
    if free and live.any() and data.tied is not None and bool(np.asarray(data.tied)[live].all()):
        raise NotIdentifiedError(
            f"fit: every answer is a tie, so that {free[0]} has no finite estimate; collect answers that say which is "
            f"preferred, or give {free[0]} as a number"
        )
