"""Who was preferred to whom, and whether that tells all utilities of a table.

Tabular Luce models: the estimate exists, uniquely up to one constant a prompt, exactly when within every prompt the
graph "was at some time preferred to" is strongly connected (Ford 1957 for pairs; Hunter 2004 for rankings). Linear
models: it exists exactly when no direction separates the answers (Albert and Anderson 1984), a linear program.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from scipy import sparse
from scipy.sparse.csgraph import connected_components

from annosim.data.words import called
from annosim.errors import NotIdentifiedError
from annosim.items import Items

__all__ = ["Connectivity", "answers_graph", "connectivity", "preference_levels", "require_connected"]

LIKELIHOOD = "the maximum-likelihood estimate"
PRIORS = "pass prior=an.priors.Dirichlet(1) or an.priors.Gaussian(sd)"


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

    def message(self, items: Items, what: str = "", estimate: str = LIKELIHOOD, remedy: str = PRIORS) -> str:
        """One line: what is wrong, where, what to do."""
        remedies = [remedy, "drop these items"]
        pair = self.missing_question(items)
        if pair:
            remedies.append(f"ask more, for example {pair}")
        head = f"{what}: " if what else ""
        what = f"{head}{estimate} does not exist: {'; '.join(self.reasons(items))}"
        return f"{what}. Remedies: {', '.join(remedies)}."

    def reasons(self, items: Items, counted: bool = False) -> list[str]:
        """What is wrong, a clause for each kind of fault with the items' names, and if asked how many.

        Example:
            >>> from scipy.sparse import csr_matrix
            >>> tea = Items(names=["tea", "coffee"])
            >>> connectivity(csr_matrix(([1.0], ([0], [1])), shape=(2, 2)), tea).reasons(tea, counted=True)
            ["1 item never lost to the others: 'tea'", "1 item never won against the others: 'coffee'"]
        """
        faults = (
            ([[i] for i in self.unseen], "never compared"),
            (self.separate, "never compared with the rest of their prompt"),
            (self.undefeated, "never lost to the others"),
            (self.winless, "never won against the others"),
        )
        out = []
        for groups, what in faults:
            if groups:
                shown = [self.unseen] if what == "never compared" else groups[:3]
                names = "; ".join(_names(items, group) for group in shown)
                unit = "item" if all(len(group) == 1 for group in groups) else "group"
                count = f"{len(groups):,} {unit}{'' if len(groups) == 1 else 's'} " if counted else ""
                count = f"{len(groups)} group(s) " if not counted and groups is self.separate else count
                out.append(f"{count}{what}: {names}")
        return out

    def missing_question(self, items: Items) -> str:
        """A comparison that would help, in words."""
        prompts = items.prompts.numpy()
        for group in ([[i] for i in self.unseen] + self.separate + self.undefeated + self.winless)[:1]:
            outside = np.flatnonzero((prompts == prompts[group[0]]) & ~np.isin(np.arange(items.n), group))
            if len(outside):
                return f"{called(items, group[0])!r} against {called(items, int(outside[0]))!r}"
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
        items: the items (prompts are normalised separately and need no connection).
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


def require_connected(
    found: Connectivity, items: Items, what: str = "", estimate: str = LIKELIHOOD, remedy: str = PRIORS
) -> None:
    """Raise :class:`NotIdentifiedError` unless the estimate exists."""
    if not found.exists:
        at, components = found.at_fault
        raise NotIdentifiedError(
            found.message(items, what, estimate, remedy),
            items=[items.names[i] for i in at],
            components=[[items.names[i] for i in c] for c in components],
        )


def answers_graph(data: Any) -> tuple[sparse.csr_matrix, np.ndarray]:
    """Who was preferred to whom in any kind of answer (a tie goes both ways), and which items stand in some answer."""
    menu, n = np.asarray(data.menu), data.items.n
    live = (np.asarray(data.row_weight) > 0) & ~np.asarray(data.skipped)
    seen = np.zeros(n, bool)
    seen[menu[live][menu[live] >= 0]] = True
    level, k = preference_levels(data), menu.shape[1]
    edges = []
    for a in range(k):
        for b in range(k):
            use = live & (menu[:, a] >= 0) & (menu[:, b] >= 0) & (menu[:, a] != menu[:, b])
            tie = (level[:, a] == level[:, b]) & (level[:, a] > -k - 1)
            use &= (level[:, a] > level[:, b]) | tie
            edges.append(np.unique(menu[use, a].astype(np.int64) * n + menu[use, b]))
    code = np.unique(np.concatenate(edges))
    return sparse.csr_matrix((np.ones(len(code)), (code // n, code % n)), shape=(n, n)), seen


def preference_levels(data: Any) -> np.ndarray:
    """A level for every place of the menu, ``(rows, k)``: the higher is preferred, equal ones are tied.

    What an answer does not list comes last, at ``-k - 1``, and is not compared among itself; grades are their own levels.

    Example:
        >>> import annosim as an
        >>> preference_levels(an.PreferenceData(an.Items(n=3), [[2, 0, 1]], answer=[1])).tolist()
        [[-4, 0, -4]]
    """
    menu = np.asarray(data.menu)
    answer = np.asarray(data.answer).reshape(data.rows, -1).astype(np.int64)
    k, kind = menu.shape[1], data.feedback.kind
    if kind == "rating":
        return answer
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
        rows = np.flatnonzero(answer[:, 1] >= 0)
        level[rows, answer[rows, 1]] = -2 * k
    return level


def _names(items: Items, ids: list[int]) -> str:
    shown = ", ".join(repr(called(items, i)) for i in ids[:5])
    return shown + (f" and {len(ids) - 5} more" if len(ids) > 5 else "")
