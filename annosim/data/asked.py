"""The design of data: what was asked, of how many, how often."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from annosim.data.table import AnswerTable
from annosim.designs.design import Design
from annosim.errors import ArgumentError

__all__ = ["design_of", "distinct_covariates", "distinct_menus"]


def distinct_menus(data: AnswerTable) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The questions of some data, each once ``(M, k)``, and which of them each row asks ``(rows,)``.

    A menu that was shown with other covariates is another question.

    Example:
        >>> import annosim as an
        >>> menu, number = distinct_menus(an.PreferenceData(an.Items(n=3), [[1, 2], [0, 1], [1, 2]], answer=[0, 1, 0]))
        >>> menu.tolist(), number.tolist()
        ([[0, 1], [1, 2]], [1, 0, 1])
    """
    first, number = _distinct(data)
    return np.asarray(data.menu, dtype=np.int64)[first], number


def distinct_covariates(data: AnswerTable) -> dict[str, NDArray[np.float64]]:
    """The covariates of the :func:`distinct_menus`, each ``(M, k)``.

    Example:
        >>> import annosim as an
        >>> votes = an.PreferenceData(an.Items(n=2), [[0, 1]] * 2, answer=[0, 1], covariates={"length": [3.0, 5.0]})
        >>> distinct_covariates(votes)["length"].tolist()
        [[3.0, 0.0], [5.0, 0.0]]
    """
    first, _ = _distinct(data)
    return {name: value[first] for name, value in data.covariates.items()}


def _distinct(data: AnswerTable) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """A row of each question (menu and covariates), in the order of what it shows, and the question of each row."""
    shown = [np.asarray(data.menu, dtype=np.int64), *data.covariates.values()]
    _, first, number = np.unique(np.concatenate(shown, -1), axis=0, return_index=True, return_inverse=True)
    return first, number.reshape(-1)


def design_of(data: AnswerTable) -> Design:
    """The questions of some data as a design: its menus by how often they were asked, its annotators and their loads.

    Answers weigh as much as their annotators do. Whoever simulates from it asks as many people as many questions, drawn
    from the same menus.

    Raises:
        ArgumentError: the data have replicates.

    Example:
        >>> import annosim as an
        >>> votes = an.PreferenceData(an.Items(n=3), [[0, 1], [0, 1], [1, 2]], answer=[0, 1, 0], annotator=[0, 0, 1])
        >>> design = design_of(votes)
        >>> design.menus.tolist(), [round(p, 3) for p in design.menu_weights.tolist()], design.loads.tolist()
        ([[0, 1], [1, 2]], [0.667, 0.333], [2, 1])
    """
    if data.replicates is not None:
        raise ArgumentError("design: the data have replicates; take one of them, data[r]")
    menu, code = distinct_menus(data)
    share = np.bincount(code, weights=data.row_weight, minlength=len(menu))
    loads = np.bincount(data.annotator_ids)
    loads = loads[loads > 0]
    equal = bool((loads == loads[0]).all())
    return Design(
        data.items,
        feedback=data.feedback,
        annotators=len(loads),
        questions=int(loads.max()),
        loads=None if equal else loads,
        menus=menu,
        menu_weights=share / share.sum(),
        replacement=True,
        covariates=distinct_covariates(data),
    )
