"""A leaderboard: strengths on readable scales, with ranks and groups of ties that hold together, and every contrast."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, ndtri

from annosim.coordinates.normalisation import canonical
from annosim.errors import ArgumentError, told
from annosim.files import atomic_text
from annosim.learning.arguments import check_level
from annosim.learning.inference.simultaneous import Separation, quasi_variances, separate, tie_groups
from annosim.learning.inference.uncertainty import covariance, default_kind
from annosim.learning.structure import free_table
from annosim.populations.annotator import Annotator
from annosim.reporting import FigureEntry, HtmlTable, render
from annosim.results import Result

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

    from annosim.learning.result import Fit

__all__ = ["Leaderboard", "leaderboard", "ranked"]

Floats = NDArray[np.float64]
Markup: TypeAlias = Literal["html", "markdown", "latex"]
#: Elo points of a factor of e in the odds: 400 points are a factor of ten
ELO = 400.0 / np.log(10.0)


@dataclass(frozen=True, eq=False, repr=False)
class Leaderboard(Result):
    """Items in order of their strengths.

    Attributes:
        names: ``n`` items, the strongest first.
        estimate: ``(n,)`` strengths in logits, zero is the mean of the items of a prompt.
        covariance: ``(n, n)`` of these.
        kind: of the errors, ``"cluster"``, ``"sandwich"`` or ``"hessian"``.
        level: probability that all ranks, groups and contrasts hold together.
        separation: which items are surely better than which.
        quasi_variance: ``(n,)``; ``quasi_error``: worst relative error of a difference's standard error from them.
        anchor: Elo points of strength zero.

    Example:
        >>> import annosim as an
        >>> people = an.Annotator(an.Tabular([2.0, 0.0, -2.0]), an.Luce())
        >>> data = an.simulate(people, an.Design(an.Items(names=["a", "b", "c"]), annotators=200), seed=0)
        >>> board = an.fit(an.Annotator(an.Tabular(3), an.Luce()), data).leaderboard()
        >>> board.groups
        [['a'], ['b'], ['c']]
    """

    names: tuple[str, ...]
    estimate: Floats
    covariance: Floats
    kind: str
    level: float
    separation: Separation
    quasi_variance: Floats
    quasi_error: float
    anchor: float = 1000.0
    notes: tuple[str, ...] = field(default=())

    @cached_property
    def groups(self) -> list[list[str]]:
        """Runs of items of which no two are separated; an item may be in several."""
        return [[self.names[i] for i in group] for group in tie_groups(self.estimate, self.separation.better)]

    def to_frame(self) -> pd.DataFrame:
        """A row for each item: strength, error, interval, quasi-error, rank interval, groups, Elo, odds, win probability.

        ``low`` and ``high`` are pointwise at the level; ranks and groups hold together. ``win_probability`` is against
        an item of average strength, ``odds`` are those of the same, ``elo`` has 400 points for a factor of ten.
        """
        import pandas as pd

        error = np.sqrt(np.maximum(self.covariance.diagonal(), 0.0))
        z = float(ndtri(0.5 + self.level / 2.0))
        letters = ["".join(_letter(k) for k, group in enumerate(self.groups) if name in group) for name in self.names]
        columns = {
            "rank": np.arange(1, len(self.names) + 1),
            "item": self.names,
            "estimate": self.estimate,
            "standard_error": error,
            "low": self.estimate - z * error,
            "high": self.estimate + z * error,
            "quasi_error": np.sqrt(self.quasi_variance),
            "rank_low": self.separation.rank_low,
            "rank_high": self.separation.rank_high,
            "ties": letters,
            "elo": self.anchor + ELO * self.estimate,
            "odds": np.exp(self.estimate),
            "win_probability": expit(self.estimate),
        }
        table = pd.DataFrame(columns)
        table.attrs = {"kind": self.kind, "level": self.level}
        return table

    def contrasts(self, pairs: Sequence[tuple[str, str]] | None = None) -> pd.DataFrame:
        """Pairs of items: by how much the first is better, and how often it wins, all holding together.

        Args:
            pairs: names; by default all, the better one first.

        Raises:
            ArgumentError: a name that is not on the board.
        """
        import pandas as pd

        place = {name: i for i, name in enumerate(self.names)}
        n = len(self.names)
        wanted = [(i, j) for i in range(n) for j in range(i + 1, n)] if pairs is None else []
        for one, other in pairs or ():
            if one not in place or other not in place:
                raise ArgumentError(f"contrasts: no item {(one if one not in place else other)!r} on this board")
            wanted.append((place[one], place[other]))
        a, b = np.array(wanted, dtype=np.int64).reshape(-1, 2).T
        gap, error = self.estimate[a] - self.estimate[b], self.separation.error[a, b]
        low, high = (gap + sign * self.separation.critical * error for sign in (-1.0, 1.0))
        table = pd.DataFrame(
            {
                "item": [self.names[i] for i in a],
                "against": [self.names[j] for j in b],
                "difference": gap,
                "standard_error": error,
                "low": low,
                "high": high,
                "p_value": self.separation.p_value[a, b],
                "win_probability": expit(gap),
                "win_low": expit(low),
                "win_high": expit(high),
            }
        )
        table.attrs = {"kind": self.kind, "level": self.level, "critical": self.separation.critical}
        return table

    def plot(self, axes: Axes | None = None) -> Axes:
        """Strengths with intervals from quasi-variances, which compare any two items, and a bar for each group of ties."""
        from annosim.learning.inference.draw import draw_board

        return draw_board(self, axes)

    def report(
        self, format: Markup = "html", path: str | os.PathLike[str] | None = None, title: str = "Leaderboard"
    ) -> str:
        """The board as a page, Markdown or LaTeX; written to ``path``, too, if there is one.

        Raises:
            ArgumentError: another format.

        Example:
            >>> import annosim as an
            >>> votes = an.PreferenceData(an.Items(names=["tea", "milk"]), [[0, 1]] * 4, answer=[0, 0, 0, 1])
            >>> fit = an.fit(an.Annotator(an.Tabular(2), an.Luce()), votes)
            >>> print(fit.leaderboard().report("markdown").splitlines()[4])
            | tea | 1 | 1 to 2 | a | 0.549 | -0.582 to 1.68 | 1095 | 0.634 |
        """
        from annosim.learning.inference import board_text

        if format not in ("html", "markdown", "latex"):
            raise ArgumentError(f"report(format={told(format)}): html, markdown or latex")
        if format == "html":
            text = self._html(title)
        else:
            text = board_text.markdown(self, title) if format == "markdown" else board_text.latex(self, title)
        if path is not None:
            atomic_text(Path(path), text + "\n")
        return text

    def _html(self, title: str) -> str:
        from annosim.learning.inference import board_text

        head, rows = board_text.cells(self)
        figure: Any = self.plot().figure
        contrasts = self.contrasts()
        shown = contrasts.sort_values("p_value", kind="stable").head(200)
        return render(
            "board.html",
            title=title,
            finding=board_text.finding(self),
            said=board_text.said(self),
            figure_entry=FigureEntry.draw(
                figure, "board", "Strengths; bars at the right join items that are not separated"
            ),
            board=HtmlTable.from_rows(head, rows),
            contrasts=HtmlTable.from_frame(shown.rename(columns=lambda name: name.replace("_", " "))),
            left_out=len(contrasts) - len(shown),
            notes=self.notes,
        )

    def _lines(self) -> list[tuple[str, object]]:
        top = self.groups[0] if self.groups else []
        lines: list[tuple[str, object]] = [("first", ", ".join(top[:6]) + (" (not separated)" if len(top) > 1 else ""))]
        lines.append(("errors", f"{self.kind}; ranks, ties and contrasts hold together at {self.level:.0%}"))
        for i, name in enumerate(self.names[:20]):
            low, high = self.separation.rank_low[i], self.separation.rank_high[i]
            lines.append((f"{i + 1}. {name[:40]}", f"{self.estimate[i]:.3f}, rank {low} to {high}"))
        return lines


def _letter(k: int) -> str:
    """a, b, ..., z, then numbers in brackets."""
    return chr(ord("a") + k) if k < 26 else f"({k + 1})"


def leaderboard(fit: Fit, kind: str | None, level: float, anchor: float, draws: int, seed: int) -> Leaderboard:
    """See :meth:`Fit.leaderboard`."""
    check_level(level, "leaderboard(level=", "a coverage between 0 and 1")
    population, items = fit.population, fit.problem.items
    if not isinstance(population, Annotator) or free_table(population) is None:
        raise ArgumentError(
            "leaderboard: needs one utility per item of one type (an.Tabular); of a mixture, fit.summary() has each type's"
        )
    kind = default_kind(fit) if kind is None else kind
    at = [k for k, name in enumerate(population.parameter_names()) if name.startswith("utility.values[")]
    estimate = canonical(population, items).detach().numpy()[at]
    spread = covariance(fit, kind).numpy()[np.ix_(at, at)]
    several = items.num_prompts > 1
    notes = (
        ("Items of several prompts: strengths are centred within each prompt, and ranks mix prompts.",)
        if several
        else ()
    )
    return ranked(
        items.names,
        estimate,
        spread,
        kind,
        level=level,
        anchor=anchor,
        draws=draws,
        seed=seed,
        notes=notes,
        clusters=_clusters(fit, kind),
    )


def _clusters(fit: Fit, kind: str) -> float:
    """How many people the errors rest on, where annotators are the units."""
    if kind != "cluster" or fit.problem is None or fit.is_projection:
        return float("inf")
    data = fit.problem.data
    answered = np.unique(np.asarray(data.annotator_ids)[~np.asarray(data.skipped)])
    return float(np.asarray(data.annotator_weight)[answered].sum())


def ranked(
    names: Sequence[str],
    estimate: Floats,
    spread: Floats,
    kind: str,
    *,
    level: float = 0.95,
    anchor: float = 1000.0,
    draws: int = 10_000,
    seed: int = 0,
    notes: tuple[str, ...] = (),
    clusters: float = np.inf,
) -> Leaderboard:
    """The board of strengths ``(n,)`` with a covariance ``(n, n)`` that rests on so many independent units.

    Example:
        >>> ranked(["a", "b"], np.array([0.0, 1.0]), np.eye(2) * 0.01, "hessian").names
        ('b', 'a')
    """
    order = np.argsort(-estimate, kind="stable")
    estimate, spread = estimate[order], spread[np.ix_(order, order)]
    quasi, worst = quasi_variances(spread)
    found = separate(estimate, spread, level, draws, seed, clusters)
    shown = tuple(str(names[i]) for i in order)
    settings = {"draws": draws, "seed": seed}
    return Leaderboard(shown, estimate, spread, kind, level, found, quasi, worst, anchor, notes, settings=settings)
