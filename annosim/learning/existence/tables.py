"""Does the maximum-likelihood estimate exist? Decided before anything is fitted.

Tabular Luce models: the estimate exists, uniquely up to one constant a prompt, exactly when within every prompt the
graph "was at some time preferred to" is strongly connected (Ford 1957 for pairs; Hunter 2004 for rankings). Linear
models: it exists exactly when no direction separates the answers (Albert and Anderson 1984), a linear program.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from scipy import sparse
from scipy.sparse.csgraph import connected_components

from annosim.errors import NotIdentifiedError
from annosim.items import Items

__all__ = ["Connectivity", "connectivity", "require_connected"]


@dataclass(frozen=True, eq=False)
class Connectivity:
    """Components of the graph of wins.

    Attributes:
        exists: within every prompt, all items are in one strong component.
        strong: ``(n,)`` strong component of each item, numbered from 0.
        weak: ``(n,)`` weak component of each item.
        unseen: items in no answer at all.
        undefeated: strong components (lists of item ids) that never lost to an item outside, though they met some.
        winless: strong components that never won against an item outside, though they met some.
        separate: weak components beyond the first of a prompt (nobody compared them with the rest).
    """

    exists: bool
    strong: np.ndarray
    weak: np.ndarray
    unseen: list[int] = field(default_factory=list)
    undefeated: list[list[int]] = field(default_factory=list)
    winless: list[list[int]] = field(default_factory=list)
    separate: list[list[int]] = field(default_factory=list)

    def message(self, items: Items, what: str = "") -> str:
        """One line: what is wrong, where, what to do."""
        parts = []
        if self.unseen:
            parts.append(f"never compared: {_names(items, self.unseen)}")
        if self.separate:
            shown = "; ".join(_names(items, c) for c in self.separate[:3])
            parts.append(f"{len(self.separate)} group(s) never compared with the rest of their prompt: {shown}")
        if self.undefeated:
            shown = "; ".join(_names(items, c) for c in self.undefeated[:3])
            parts.append(f"never lost to the others: {shown}")
        if self.winless:
            shown = "; ".join(_names(items, c) for c in self.winless[:3])
            parts.append(f"never won against the others: {shown}")
        remedies = ["pass prior=an.priors.Dirichlet(1) or an.priors.Gaussian(sd)", "drop these items"]
        pair = self.missing_question(items)
        if pair:
            remedies.append(f"ask more, for example {pair}")
        head = f"{what}: " if what else ""
        what = f"{head}the maximum-likelihood estimate does not exist: {'; '.join(parts)}"
        return f"{what}. Remedies: {', '.join(remedies)}."

    def missing_question(self, items: Items) -> str:
        """A comparison that would help, in words."""
        prompts = items.prompts.numpy()
        for group in ([[i] for i in self.unseen] + self.separate + self.undefeated + self.winless)[:1]:
            outside = np.flatnonzero((prompts == prompts[group[0]]) & ~np.isin(np.arange(items.n), group))
            if len(outside):
                return f"{items.names[group[0]]!r} against {items.names[int(outside[0])]!r}"
        return ""

    @property
    def at_fault(self) -> tuple[list[int], list[list[int]]]:
        """Items and components to be named in an error."""
        components = [*self.separate, *self.undefeated, *self.winless]
        return sorted({*self.unseen, *(i for c in components for i in c)}), components


def connectivity(graph: sparse.spmatrix, items: Items, seen: np.ndarray | None = None) -> Connectivity:
    """Components of a graph of wins, judged prompt by prompt.

    Args:
        graph: ``(n, n)``, entry (i, j) positive when i was preferred to j.
        items: the items (their prompts are separate gauges and need no connection).
        seen: ``(n,)`` bool, items that stand in some answer; by default those with an edge.

    Example:
        >>> from scipy.sparse import csr_matrix
        >>> found = connectivity(csr_matrix(([1.0], ([0], [1])), shape=(2, 2)), Items(names=["tea", "coffee"]))
        >>> found.exists, found.undefeated, found.winless
        (False, [[0]], [[1]])
    """
    _, strong = connected_components(graph, directed=True, connection="strong")
    _, weak = connected_components(graph, directed=False)
    edges = graph.tocoo()
    if seen is None:
        seen = np.zeros(items.n, bool)
        seen[edges.row] = seen[edges.col] = True
    prompts = items.prompts.numpy()
    single = np.bincount(np.unique(prompts, return_inverse=True)[1])[np.unique(prompts, return_inverse=True)[1]] == 1
    unseen = np.flatnonzero(~seen & ~single).tolist()
    separate = _separate(weak, prompts, seen)
    crossing = strong[edges.row] != strong[edges.col]
    wins_outside = np.zeros(strong.max() + 1, bool)
    losses_outside = wins_outside.copy()
    wins_outside[strong[edges.row[crossing]]] = True
    losses_outside[strong[edges.col[crossing]]] = True
    members = _members(strong)
    undefeated = [members[c] for c in np.flatnonzero(wins_outside & ~losses_outside)]
    winless = [members[c] for c in np.flatnonzero(losses_outside & ~wins_outside)]
    exists = not (unseen or separate or undefeated or winless)
    return Connectivity(exists, strong, weak, unseen, undefeated, winless, separate)


def _separate(weak: np.ndarray, prompts: np.ndarray, seen: np.ndarray) -> list[list[int]]:
    out = []
    for prompt in np.unique(prompts):
        here = np.flatnonzero((prompts == prompt) & seen)
        groups = sorted((here[weak[here] == c].tolist() for c in np.unique(weak[here])), key=len, reverse=True)
        out += groups[1:]
    return out


def _members(label: np.ndarray) -> list[list[int]]:
    order = np.argsort(label, kind="stable")
    cuts = np.flatnonzero(np.diff(label[order])) + 1
    return [part.tolist() for part in np.split(order, cuts)]


def require_connected(found: Connectivity, items: Items, what: str = "") -> None:
    """Raise :class:`NotIdentifiedError` unless the estimate exists."""
    if not found.exists:
        at, components = found.at_fault
        raise NotIdentifiedError(
            found.message(items, what),
            items=[items.names[i] for i in at],
            components=[[items.names[i] for i in c] for c in components],
        )


def require_annotators(model: Any, data: Any, prior: Any) -> None:
    """Refuse a mixture of more types than there are annotators: one person says nothing of the shares of several types.

    Raises:
        NotIdentifiedError: fewer annotators than types, and no prior to decide.
    """
    types = len(model.components())
    if types == 1 or prior is not None:
        return
    people = len(np.unique(data.annotator_ids[~data.skipped]))
    if people < types:
        raise NotIdentifiedError(
            f"{types} types but only {people} annotator(s) answered: the data cannot say how common each type is; "
            "collect answers from more people, give the annotators' column, fit one type, or pass prior="
        )


def single_answers(model: Any, data: Any) -> list[str]:
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


def vanished(population: Any, people: float) -> list[str]:
    """A note for every type whom fewer than a hundredth of an annotator belong to: nothing is known of its numbers.

    Example:
        >>> import annosim as an
        >>> vanished(an.Mixture([an.Annotator(an.Tabular(2), an.Luce())] * 2, [1.0 - 1e-9, 1e-9]), 50.0)[0][:19]
        'type 1 has vanished'
    """
    share = population.component_weights().detach().tolist()
    return [
        f"type {k} has vanished (a share of {w:.2g}): the data say nothing of its own numbers; fit fewer types, or "
        "pass prior=an.priors.Dirichlet(1)"
        for k, w in enumerate(share)
        if len(share) > 1 and w * people < 0.01
    ]


def answers_graph(data: Any) -> tuple[sparse.csr_matrix, np.ndarray]:
    """Who was preferred to whom in any kind of answer (a tie goes both ways), and which items stand in some answer."""
    menu, n = np.asarray(data.menu), data.items.n
    live = (np.asarray(data.row_weight) > 0) & ~np.asarray(data.skipped)
    seen = np.zeros(n, bool)
    seen[menu[live][menu[live] >= 0]] = True
    answer = np.asarray(data.answer).reshape(data.rows, -1).astype(np.int64)
    k, kind = menu.shape[1], data.feedback.kind
    edges = []
    if kind == "rating":
        level = answer
    else:  # a level for every place: the higher is preferred; what was not listed comes last
        level = np.full(menu.shape, -k - 1)
        fall = np.zeros(data.rows, dtype=np.int64)
        for j in range(1 if kind == "best-worst" else answer.shape[1]):
            rows = np.flatnonzero(answer[:, j] >= 0)
            if j > 0 and data.tied is not None:
                fall = fall - np.where(np.asarray(data.tied)[:, j - 1], 0, 1)
            elif j > 0:
                fall = fall - 1
            level[rows, answer[rows, j]] = fall[rows]
        if kind == "best-worst":
            level[np.arange(data.rows), answer[:, 1]] = -2 * k
    for a in range(k):
        for b in range(k):
            use = live & (menu[:, a] >= 0) & (menu[:, b] >= 0) & (menu[:, a] != menu[:, b])
            tie = (level[:, a] == level[:, b]) & (level[:, a] > -k - 1)
            use &= (level[:, a] > level[:, b]) | tie
            edges.append(np.unique(menu[use, a].astype(np.int64) * n + menu[use, b]))
    code = np.unique(np.concatenate(edges))
    return sparse.csr_matrix((np.ones(len(code)), (code // n, code % n)), shape=(n, n)), seen


def judge_table(model: Any, data: Any, prior: Any, is_projection: bool) -> list[str]:
    """Existence under any rule, of free tables, linear utilities and tie parameters: raise, or notes.

    Items never shown or never connected cannot be told under any rule. An item that never lost has no finite utility
    under Luce's rule, nor with ties, a position bias or uniform lapses around it: raising it never lowers the
    likelihood. Under rules for which this is not known it is a note, and so it is for several types.
    """
    from annosim.populations.annotator import Annotator

    if is_projection:
        return []
    leaves = model.components()
    for leaf in leaves:
        judge_ties(getattr(leaf, "rule", None), data)
    single = leaves[0] if len(leaves) == 1 and isinstance(model, Annotator) else None
    if single is None:
        return _judge_types(leaves, data, prior)
    if _free_linear(single) is not None:
        return _judge_linear_rule(single, data, prior)
    if not _has_free_table(single):
        return []
    if single.rule.absolute and data.feedback.kind == "rating":
        from annosim.learning.existence.ratings import judge_ratings

        return judge_ratings(single, data, prior)
    found = connectivity(*_swap(answers_graph(data), data.items))
    if found.exists:
        return []
    if prior is not None:
        return [f"prior {prior} decided what the data do not: {found.message(data.items).split('. Remedies')[0]}"]
    if found.unseen or found.separate or _unbounded(single.rule):
        require_connected(found, data.items, "fit")
    return [
        f"existence is not decided for {type(single.rule).__name__}; under Luce's rule, {found.message(data.items)}"
    ]


def judge_ties(rule: Any, data: Any) -> None:
    """Refuse a free tie parameter when every answer is a tie: it has no finite estimate, and no prior acts on it.

    Raises:
        NotIdentifiedError: names the parameter and the remedy.

    Example:
        >>> import annosim as an
        >>> tied = an.PreferenceData(an.Items(n=2), [[0, 1]], answer=[[0, 1]], tied=[[True]])
        >>> judge_ties(an.rules.RaoKupper(an.free(2.0)), tied)
        Traceback (most recent call last):
        annosim.errors.NotIdentifiedError: fit: every answer is a tie, so that theta has no finite estimate; ...
    """
    while rule is not None and not (hasattr(rule, "theta") or hasattr(rule, "delta")):
        rule = getattr(rule, "rule", None)
    name = "theta" if hasattr(rule, "theta") else "delta"
    if type(rule).__name__ not in ("RaoKupper", "Davidson") or not getattr(rule, name).requires_grad:
        return
    live = (np.asarray(data.row_weight) > 0) & ~np.asarray(data.skipped)
    if live.any() and data.tied is not None and bool(np.asarray(data.tied)[live].all()):
        raise NotIdentifiedError(
            f"fit: every answer is a tie, so that {name} has no finite estimate; collect answers that say which is "
            f"preferred, or give {name} as a number"
        )


def has_tables(model: Any) -> bool:
    """Whether some type's utility is a free table."""
    return any(_has_free_table(leaf) for leaf in model.components())


def _has_free_table(leaf: Any) -> bool:
    from annosim.populations.annotator import Annotator
    from annosim.utilities.densities import LogDensity
    from annosim.utilities.tabular import Tabular

    utility = leaf.utility if isinstance(leaf, Annotator) else None
    table = utility.energy if type(utility) is LogDensity else utility
    return type(table) is Tabular and table.values.requires_grad


def _free_linear(leaf: Any) -> Any:
    from annosim.utilities.linear import Linear

    utility = getattr(leaf, "utility", None)
    return utility if type(utility) is Linear and utility.weights.requires_grad else None


def _judge_types(leaves: Any, data: Any, prior: Any) -> list[str]:
    """Tables of several types: what no answer shows or connects cannot be told for any of them."""
    tables = [leaf for leaf in leaves if _has_free_table(leaf) and not leaf.rule.absolute]
    if not tables:
        return []
    found = connectivity(*_swap(answers_graph(data), data.items))
    if found.exists:
        return []
    if prior is not None:
        return [f"prior {prior} decided what the data do not, of any type: {found.message(data.items).split('. ')[0]}"]
    if found.unseen or found.separate:
        require_connected(found, data.items, "fit")
    return [
        "some items never lost or never won: at least one type's utilities may have no finite maximum; treat its "
        "extreme utilities as bounds, or pass prior="
    ]


def _judge_linear_rule(one: Any, data: Any, prior: Any) -> list[str]:
    """Separation of a linear utility under a rule around Luce's, by the answers' graph of preferences."""
    from annosim.learning.existence.separation import judge_linear
    from annosim.learning.priors import penalty_for

    if one.rule.absolute or not _unbounded(one.rule):
        return []
    graph, _ = answers_graph(data)
    edges = graph.tocoo()
    with torch.no_grad():
        zero = torch.zeros(data.items.n, dtype=torch.float64)
        slope = (one.rule.index(zero + 1.0, data.items) - one.rule.index(zero, data.items)).double().numpy()
    matrix = slope[:, None] * data.items.features.double().numpy()
    penalty = None if prior is None else penalty_for(prior, "linear", matrix.shape[1], data.items)
    return judge_linear(matrix[edges.row] - matrix[edges.col], matrix, data.items, penalty)[0]


def _swap(parts: tuple[sparse.csr_matrix, np.ndarray], items: Items) -> tuple[sparse.csr_matrix, Items, np.ndarray]:
    return parts[0], items, parts[1]


def _unbounded(rule: Any) -> bool:
    """Whether the likelihood rises for ever when an item never loses."""
    names = {"Luce", "PBDE", "Davidson", "RaoKupper", "PositionBias", "AttributeBias", "LengthBias", "Thurstone"}
    names |= {"MeanVariance", "Lapse", "Skip"}
    if type(rule).__name__ == "Lapse" and (rule.how == "flip" or float(rule.rate) >= 1.0):
        return False  # a mistake that reverses the answer speaks against the rule's own
    inner = getattr(rule, "rule", None)
    return type(rule).__name__ in names and (inner is None or _unbounded(inner))


def _names(items: Items, ids: list[int]) -> str:
    shown = ", ".join(repr(items.names[i]) for i in ids[:5])
    return shown + (f" and {len(ids) - 5} more" if len(ids) > 5 else "")
