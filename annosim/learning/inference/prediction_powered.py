"""Few votes of people beside many answers of judges: strengths and win rates that no error of the judges biases."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri
from scipy.stats import chi2

from annosim.data.preferences import PreferenceData
from annosim.errors import ArgumentError, told, warn
from annosim.learning.arguments import check_level
from annosim.learning.inference.judged_votes import JudgedVotes, judged_votes, split_judges
from annosim.learning.inference.leaderboard import Leaderboard, Markup, ranked
from annosim.learning.inference.rectified import Moments, Parts, best_weights, bradley_terry, groupings, win_rates
from annosim.results import Result, versions

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["PredictionPowered", "prediction_powered"]

Floats = NDArray[np.float64]
#: questions chosen at random give a smaller p-value of their choice so seldom; below it the result warns
SELECTED = 0.001
#: the weights depend on the strengths, which depend on the weights: rounds until that no longer matters
ROUNDS = 2


@dataclass(frozen=True, eq=False, repr=False)
class PredictionPowered(Result):
    """Bradley-Terry strengths from people's votes and judges' answers, beside those from people alone.

    Attributes:
        names: ``n`` items.
        estimate: ``(n,)`` strengths in logits, their mean zero.
        covariance: ``(n, n)`` of these, robust: no model of people or judges need hold.
        people_estimate, people_covariance: from the votes of people alone, errors of the same kind.
        judges: names of the K judges.
        weights: ``(K,)`` how much of each judge is used; 0 is people alone, 1 is the judge as it is, corrected.
        selection: ``(K,)`` p-values: were the questions that people answered a random sample of the judge's? The test sees
            only what the judge answers, item by item.
        units: what the errors take to be independent: ``"vote"``, ``"annotator"``, ``"prompt"`` or ``"annotator and prompt"``;
            ``"question"`` (a pair about a prompt) instead of ``"prompt"`` where there are fewer than eight prompts.
        clusters: how many of these there are, the fewer of two; infinite of votes.
        votes: the answers, by question.

    Example:
        >>> import annosim as an
        >>> import numpy as np
        >>> items, right = an.Items(names=["old", "new"]), (np.arange(300) % 3 > 0) + 0
        >>> human = an.PreferenceData(items, [[0, 1]] * 60, answer=right[:60], prompt=np.arange(60))
        >>> llm = an.PreferenceData(items, [[0, 1]] * 300, answer=right, prompt=np.arange(300))
        >>> found = an.learning.prediction_powered(human, llm)  # a judge that agrees with every vote
        >>> found.people, round(found.worth), found.panel()["agreement"].tolist()
        (60.0, 300, [1.0])
    """

    names: tuple[str, ...]
    estimate: Floats
    covariance: Floats
    people_estimate: Floats
    people_covariance: Floats
    judges: tuple[str, ...]
    weights: Floats
    selection: Floats
    units: str
    clusters: float
    votes: JudgedVotes = field(repr=False)

    @property
    def gain(self) -> float:
        """Mean variance of all differences with people alone, divided by that with the judges."""
        return float(np.trace(self.people_covariance) / np.trace(self.covariance))

    @property
    def people(self) -> float:
        """How many votes of people there are."""
        return float(self.votes.weight.sum())

    @property
    def worth(self) -> float:
        """How many votes of people alone would be as precise."""
        return self.people * self.gain

    @cached_property
    def parts(self) -> Parts:
        """Sums by pair."""
        return Parts.of(self.votes)

    @cached_property
    def moments(self) -> Moments:
        """How the strengths depend on the pairs' shares, at the estimate."""
        return bradley_terry(self.parts, self.weights)[1]

    @cached_property
    def effective_judges(self) -> float:
        """How many judges of independent errors would err as little, on average, as the panel's mean answer does.

        Of K judges of equal errors with correlation r among them it is ``K / (1 + (K - 1) r)`` (Kish's design effect).
        Errors are differences from the people's mean answer, on the questions that all of them answered; nan where there
        are fewer than three.
        """
        votes = self.votes
        every = votes.common.all(0)
        if every.sum() < 3:
            return float("nan")
        count = np.bincount(votes.question, votes.weight, len(votes.pair))
        told = np.bincount(votes.question, votes.weight * votes.answer, len(votes.pair))
        error = votes.judged[:, every] - told[every] / count[every]
        return float(error.var(1, ddof=1).mean() / error.mean(0).var(ddof=1))

    def panel(self) -> pd.DataFrame:
        """A row for each judge.

        ``common`` and ``alone`` count its questions with and without votes of people, ``agreement`` is the share of the
        votes that its answer agrees with (half where one is a tie), ``correlation`` is that with people within pairs
        under the target's weights, ``weight`` is lambda.
        """
        import pandas as pd

        votes = self.votes
        cross, own = self.moments.judge_terms(self.parts)
        rows = np.arange(len(self.parts.row_pair))
        people = self.moments.covariance(self.parts, np.zeros_like(cross), [(rows, 1)])
        answer = votes.judged[:, votes.question]
        with np.errstate(invalid="ignore"):
            alike = 0.5 * (1.0 + np.sign(answer - 0.5) * np.sign(votes.answer - 0.5))
        told = ~np.isnan(answer)
        spread = np.einsum("kkm->k", own[0]) * np.trace(people)
        return pd.DataFrame(
            {
                "judge": self.judges,
                "common": votes.common.sum(1),
                "alone": votes.alone.sum(1),
                "agreement": [np.average(a[t], weights=votes.weight[t]) for a, t in zip(alike, told, strict=True)],
                "correlation": np.clip(cross.sum(1) / np.sqrt(np.maximum(spread, 1e-300)), -1.0, 1.0),
                "weight": self.weights,
                "selection_p": self.selection,
            }
        )

    def leaderboard(
        self, level: float = 0.95, anchor: float = 1000.0, draws: int = 10_000, seed: int = 0
    ) -> Leaderboard:
        """Ranks, groups of ties and contrasts that hold together, as :meth:`annosim.Fit.leaderboard` gives them.

        Raises:
            ArgumentError: a level outside 0 to 1.
        """
        check_level(level, "leaderboard(level=", "a coverage between 0 and 1")
        return ranked(
            self.names,
            self.estimate,
            self.covariance,
            "sandwich" if self.units == "vote" else "cluster",
            level=level,
            anchor=anchor,
            draws=draws,
            seed=seed,
            notes=self.notes,
            clusters=self.clusters,
        )

    def contrasts(self, pairs: Sequence[tuple[str, str]] | None = None, level: float = 0.95) -> pd.DataFrame:
        """Differences of strengths that hold together; see :meth:`annosim.learning.inference.leaderboard.Leaderboard.contrasts`."""
        return self.leaderboard(level).contrasts(pairs)

    def report(
        self, format: Markup = "html", path: str | os.PathLike[str] | None = None, title: str = "People and judges"
    ) -> str:
        """The leaderboard as a page, Markdown or LaTeX, with what the judges add as notes."""
        return self.leaderboard().report(format, path, title)

    def win_rates(self, against: str | None = None, level: float = 0.95) -> pd.DataFrame:
        """How often each item wins, over the pairs that people were asked about; a tie is half a win.

        Each item has its own best weights (:class:`PredictionPowered` has those of the strengths).

        Args:
            against: count only wins against this item (a baseline); by default all pairs of the item.
            level: of the intervals, each on its own.

        Returns:
            Columns ``item, win_rate, standard_error, low, high`` and ``people, people_error`` of the votes alone.

        Raises:
            ArgumentError: no such item, or a level outside 0 to 1.
        """
        import pandas as pd

        check_level(level, "win_rates(level=", "a coverage between 0 and 1")
        votes, n = self.votes, len(self.names)
        rows = np.zeros((len(votes.first), n))
        rows[np.arange(len(rows)), votes.first], rows[np.arange(len(rows)), votes.second] = 1.0, -1.0
        if against is not None:
            if against not in self.names:
                raise ArgumentError(
                    f"win_rates(against={told(against)}): no such item; they are {', '.join(self.names[:6])}"
                )
            base = self.names.index(against)
            rows[(votes.first != base) & (votes.second != base)] = 0.0
            rows[:, base] = 0.0
        kept = np.flatnonzero(np.abs(rows).sum(0) > 0)
        rate, moments = win_rates(self.parts, rows[:, kept])
        cross, own = moments.judge_terms(self.parts)
        weights = np.stack([best_weights(cross[:, [j]], own[..., [j]]) for j in range(len(kept))], 1)
        moved = self.parts.shift * self.parts.weight
        both = rate + np.einsum("kj,kp,pj->j", weights, moved, moments.slope)
        groups = groupings(votes)[0]
        error = np.sqrt(moments.covariance(self.parts, weights, groups).diagonal())
        z = float(ndtri(0.5 + level / 2.0))
        return pd.DataFrame(
            {
                "item": [self.names[i] for i in kept],
                "win_rate": both,
                "standard_error": error,
                "low": np.clip(both - z * error, 0.0, 1.0),  # a rate; the estimate itself may leave the range
                "high": np.clip(both + z * error, 0.0, 1.0),
                "people": rate,
                "people_error": np.sqrt(moments.covariance(self.parts, np.zeros_like(weights), groups).diagonal()),
            }
        ).sort_values("win_rate", ascending=False, kind="stable", ignore_index=True)

    def to_frame(self) -> pd.DataFrame:
        """A row for each item, the strongest first: with the judges, and from people alone."""
        import pandas as pd

        z = float(ndtri(0.975))
        error, alone = (np.sqrt(np.maximum(c.diagonal(), 0.0)) for c in (self.covariance, self.people_covariance))
        table = pd.DataFrame(
            {
                "item": self.names,
                "estimate": self.estimate,
                "standard_error": error,
                "low": self.estimate - z * error,
                "high": self.estimate + z * error,
                "people": self.people_estimate,
                "people_error": alone,
            }
        ).sort_values("estimate", ascending=False, kind="stable", ignore_index=True)
        table.attrs = {"kind": self.units, "level": 0.95}
        return table

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader must know."""
        out = [
            f"{self.people:,.0f} votes of people with {', '.join(self.judges)} are worth {self.worth:,.0f} votes of people "
            f"alone (variances {self.gain:.2f} times smaller)."
        ]
        if len(self.judges) > 1 and np.isfinite(self.effective_judges):
            out.append(f"{len(self.judges)} judges err like {self.effective_judges:.2f} independent ones.")
        if self.gain < 1.0:
            out.append("The judges tell nothing that people do not; their weights are noise. Leave them out.")
        out += [_selected(name, p) for name, p in zip(self.judges, self.selection, strict=True) if p < SELECTED]
        return tuple(out)

    def _title(self) -> str:
        return "Prediction-powered Bradley-Terry"

    def _lines(self) -> list[tuple[str, object]]:
        lines: list[tuple[str, object]] = [("worth", self.notes[0]), ("errors", f"robust, independent by {self.units}")]
        for row in self.panel().to_dict("records"):
            told = f"weight {row['weight']:.2f}, agrees with {row['agreement']:.0%} of the votes on {row['common']} questions"
            lines.append((f"judge {row['judge']}", f"{told}, {row['alone']} alone"))
        lines += [("note", text) for text in self.notes[1:]]
        for row in self.to_frame().head(20).to_dict("records"):
            alone = f"people alone {row['people']:.3f} +- {row['people_error']:.3f}"
            lines.append((str(row["item"])[:40], f"{row['estimate']:.3f} +- {row['standard_error']:.3f}; {alone}"))
        return lines


def _selected(name: str, p: float) -> str:
    return (
        f"{name} answers otherwise on the questions that people answered than on the rest (p = {p:.2g}): they are no random "
        "sample, and the correction may be biased."
    )


def prediction_powered(
    votes: PreferenceData, judges: PreferenceData | str | Sequence[str], *, question: str | None = None
) -> PredictionPowered:
    r"""Bradley-Terry strengths from few votes of people and many answers of judges (language models, cheap raters).

    In each pair of items, people's share is moved by what the judges say on questions that nobody voted on, less what they
    say on those that people did: ``y + sum_k lambda_k (g_k - f_k)``. However wrong the judges are, that has the people's
    share as its mean, if the questions with votes are a random sample of the pair's. The strengths are those of a
    Bradley-Terry model of these shares, and the weights minimise the sum of their variances.

    Sources: Angelopoulos, Bates, Fannjiang, Jordan and Zrnic (2023), Science 382, 669-674; the weights of one judge are those
    of Angelopoulos, Duchi and Zrnic (2023), arXiv:2311.01453, not cut at 0 and 1; here within pairs, so that people and
    judges may have been asked about other pairs.

    Args:
        votes: choices from pairs, with prompts (or a column) by which questions are known. Ties are half wins; an
            annotator's weight counts people.
        judges: data of the judges, whose annotators are the judges' names (one judge where there are none); items and
            prompts are matched by name. Or the names of the annotators of ``votes`` who are judges.
        question: a column of both that numbers the questions; by default the prompt and the pair do.

    Returns:
        Strengths with robust errors. Annotators and prompts are the units where they gave several answers and there are
        eight or more of them; of fewer prompts, the questions are.

    Raises:
        ArgumentError: other answers than choices from pairs, questions that cannot be matched, an unknown judge.
        NotIdentifiedError: a judge with fewer than ten questions in common with people, with none that people did not
            answer, or that is one-sided (always one side, or one answer for each pair); or people's votes alone have no
            estimate.

    Example:
        >>> import annosim as an
        >>> import numpy as np
        >>> rng = np.random.default_rng(0)
        >>> better = rng.normal(0.5, 1.0, 600) > 0  # of two texts, in each of 600 questions
        >>> said = [np.where(rng.random(600) < p, better, ~better) for p in (0.9, 0.8)]
        >>> texts, menu = an.Items(names=["old", "new"]), np.tile([0, 1], (600, 1))
        >>> people = an.PreferenceData(texts, menu[:100], answer=said[0][:100] + 0, prompt=np.arange(100))
        >>> judge = an.PreferenceData(texts, menu, answer=said[1] + 0, prompt=np.arange(600))
        >>> found = an.learning.prediction_powered(people, judge)
        >>> found.worth > 100
        True
    """
    if not isinstance(votes, PreferenceData):
        raise ArgumentError(f"prediction_powered(votes={told(votes)}): give an.PreferenceData")
    people, cheap = split_judges(votes, judges)
    found = judged_votes(people, cheap, question)
    parts = Parts.of(found)
    groups, units, clusters = groupings(found)
    none = np.zeros(len(found.judges))
    alone, moments = bradley_terry(parts, none)
    spread_alone = moments.covariance(parts, np.zeros((len(none), len(alone))), groups)
    weights = best_weights(*moments.judge_terms(parts))
    for _ in range(ROUNDS):
        estimate, moments = bradley_terry(parts, weights)
        weights = best_weights(*moments.judge_terms(parts))
    estimate, moments = bradley_terry(parts, weights)
    spread = moments.covariance(parts, np.tile(weights[:, None], (1, len(alone))), groups)
    selection = np.array([_selection(parts, moments, k) for k in range(len(none))])
    for name, p in zip(found.judges, selection, strict=True):
        if p < SELECTED:
            warn(_selected(name, p))
    return PredictionPowered(
        found.items.names,
        estimate,
        spread,
        alone,
        spread_alone,
        found.judges,
        weights,
        selection,
        units,
        clusters,
        found,
        settings={"question": question, **versions()},
    )


def _selection(parts: Parts, moments: Moments, k: int) -> float:
    """p-value of ``weight * shift`` being zero, in the directions of the strengths."""
    moved = (parts.weight * parts.shift[k]) @ moments.slope
    variance = parts.spread[k, k] * parts.size[:, k, k].sum(0)
    spread = moments.slope.T @ (variance[:, None] * moments.slope)
    values, vectors = np.linalg.eigh(spread)
    live = values > 1e-9 * values.max(initial=0.0)
    if not live.any():
        return 1.0
    return float(chi2.sf((((vectors.T @ moved)[live]) ** 2 / values[live]).sum(), int(live.sum())))
