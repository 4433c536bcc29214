"""What every question reads: the data, the comparisons that they imply, and the strengths where they exist."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from annosim.data.counts import combine, expand
from annosim.data.preferences import PreferenceData
from annosim.data.words import called
from annosim.diagnosis.implied import Implied, implied
from annosim.diagnosis.strengths import Strengths, strengths, units
from annosim.errors import AnnosimError
from annosim.items import Items
from annosim.learning.existence.connectivity import Connectivity, answers_graph, connectivity
from annosim.learning.fitting import fit
from annosim.learning.inference.leaderboard import Leaderboard, ranked
from annosim.learning.result import Fit
from annosim.populations.annotator import Annotator
from annosim.random import child_seed, uniform53
from annosim.rules.luce import Luce
from annosim.utilities.linear import Linear

__all__ = ["Case", "listed", "number", "people_of", "percent", "plural", "times", "untied"]

#: items that a leaderboard shows
BOARD = 150
#: alternatives that may have constants
CONSTANTS = 60


@dataclass(frozen=True, eq=False)
class Case:
    """Data under diagnosis.

    Attributes:
        data: the answers, without replicates.
        seed: of everything drawn.
        precision: half-width of a 95 % interval of a strength that is asked for, or ``None``.
        detect: margin over one half that is to be detected, or ``None``; ``power``: how surely.
        silent: rows of weight 0, which were left out.
        memo: what several questions share.
    """

    data: PreferenceData
    seed: int = 0
    precision: float | None = None
    detect: float | None = None
    power: float = 0.8
    silent: int = 0
    memo: dict[str, object] = field(default_factory=dict, repr=False)

    @cached_property
    def pairs(self) -> Implied:
        """The comparisons that the answers imply."""
        return implied(self.data, self.seed)

    @cached_property
    def strengths(self) -> Strengths | None:
        """Bradley-Terry strengths of what is strongly connected; none where every answer is a tie."""
        return None if self.all_tied else strengths(self.pairs)

    @cached_property
    def all_tied(self) -> bool:
        """Whether there are comparisons, and all of them are ties."""
        return len(self.pairs) > 0 and bool((self.pairs.won == 0.5).all())

    @cached_property
    def copied(self) -> int:
        """How often every row stands in the file, the same in all that it says: 1 where no such number is above one.

        Only whole files that were joined or exported several times are seen: 20 different answers of annotators with ids.
        """
        data = self.data
        if data.annotator is None or data.rows < 40 or data.weight is not None:
            return 1
        fields = [data.annotator, *np.asarray(data.menu).T, *np.asarray(data.answer).reshape(data.rows, -1).T]
        fields += [] if data.tied is None else [*np.asarray(data.tied).T]
        fields += [] if data.prompt is None else [data.prompt]
        if np.gcd.reduce(np.bincount(combine(fields))) < 2:
            return 1
        for values in data.columns.values():
            flat = np.asarray(values)
            if flat.ndim == 1:
                fields.append(np.unique(flat.astype(str), return_inverse=True)[1])
        count = np.bincount(combine(fields))
        return int(np.gcd.reduce(count)) if len(count) >= 20 else 1

    @cached_property
    def decided(self) -> Strengths | None:
        """The same, of the comparisons that are no ties."""
        tied = self.pairs.won == 0.5
        return strengths(self.pairs.take(~tied)) if tied.any() else self.strengths

    @cached_property
    def board(self) -> Leaderboard | None:
        """The leaderboard, where all items of one prompt have a strength and are few enough for a table."""
        found, items = self.strengths, self.data.items
        covariance = None if found is None or items.num_prompts > 1 else found.covariance(BOARD)
        if found is None or covariance is None or len(found.members) < items.n or len(np.unique(found.component)) > 1:
            return None
        unit = units(found.core)
        kind, people = ("cluster", unit.many) if unit.annotators else ("sandwich", np.inf)
        return ranked(items.names, found.score, covariance, kind, draws=4000, seed=self.seed, clusters=people)

    @cached_property
    def connectivity(self) -> Connectivity:
        """Components of the graph "was at some time preferred to"."""
        graph, seen = answers_graph(self.data)
        return connectivity(graph, self.data.items, seen)

    @cached_property
    def coefficients(self) -> Fit | str:
        """A conditional logit on the items' features, or why there is none; ``""`` where the items have no features.

        Constants of the alternatives stand behind the features where :attr:`constants` names them.
        """
        features = self.data.items.features
        if features is None or self.data.feedback.kind == "rating":
            return ""
        matrix = self.data.items.feature_matrix.double().numpy()
        plain = self._conditional(matrix)
        alternatives = self._alternatives
        if isinstance(plain, str) or alternatives is None:
            return plain
        names, code = alternatives
        full = self._conditional(np.concatenate([matrix, np.eye(len(names))[code][:, 1:]], axis=1))
        if isinstance(full, str):
            self.memo["no constants"] = full
            return plain
        self.memo["constants"] = names
        return full

    @cached_property
    def by_features(self) -> bool:
        """Whether features describe the answers: alternatives without strengths, as a question described them, do not come again."""
        if self.connectivity.exists or not isinstance(self.coefficients, Fit):
            return False
        menu = np.asarray(self.data.menu)
        shown = np.bincount(menu[menu >= 0], minlength=self.data.items.n)
        return self.data.settings.get("format") in ("long", "choices") or float(np.median(shown[shown > 0])) < 2.0

    @property
    def constants(self) -> tuple[str, ...]:
        """Alternatives whose constants the conditional logit has; the first one's is 0."""
        found = self.memo.get("constants", ())
        return found if isinstance(self.coefficients, Fit) and isinstance(found, tuple) else ()

    @property
    def no_constants(self) -> str:
        """Why the conditional logit has no constants, though alternatives come again; ``""`` where it has, or they do not."""
        return str(self.memo.get("no constants", "")) if isinstance(self.coefficients, Fit) else ""

    @cached_property
    def _alternatives(self) -> tuple[tuple[str, ...], NDArray[np.int64]] | None:
        """The alternatives behind the items, the one shown most often (and first) first, and that of each item; ``None`` if none come again."""
        items = self.data.items
        given = items.columns.get("alternative")
        if given is None:
            return None
        names, at, code = np.unique(np.asarray(given).astype(str), return_index=True, return_inverse=True)
        code = code.reshape(-1)
        menu = np.asarray(self.data.menu)
        shown = np.bincount(code[menu[menu >= 0]], minlength=len(names))
        if not 2 <= len(names) <= CONSTANTS or len(names) == items.n or int(np.median(shown)) < 2:
            return None
        order = np.lexsort((at, -shown))
        return tuple(names[order].tolist()), np.argsort(order)[code]

    def _conditional(self, features: NDArray[np.float64]) -> Fit | str:
        """The fit, or why there is none."""
        data = self.data.with_(items=Items(features=features, prompts=self.data.items.prompts))
        try:
            found = fit(Annotator(Linear(features.shape[1]), Luce()), untied(data))
        except AnnosimError as error:
            return str(error).split(". Remedies")[0].removeprefix("fit: ")
        blind = next((note for note in found.notes if "never change a choice" in note or "collinear" in note), None)
        return found if blind is None else f"the features are collinear within questions ({blind.split(':')[0]})"

    @property
    def named(self) -> bool:
        """Whether the data say who answered, and more than one did."""
        return self.data.annotator is not None and self.num_annotators > 1

    @property
    def alone(self) -> tuple[str, str]:
        """Why people cannot be told apart where they are not :attr:`named`, and what would change it."""
        if self.data.annotator is None:
            return "Nobody knows who answered", "Keep an annotator's id with every answer."
        return "One annotator gave all answers", "Ask several annotators."

    @cached_property
    def num_annotators(self) -> int:
        """How many annotators answered."""
        ids = self.data.annotator
        return self.data.rows if ids is None else int(np.count_nonzero(np.bincount(np.asarray(ids))))

    @cached_property
    def displayed(self) -> str:
        """Why rows do not say the order of display, or ``""`` where they do."""
        data, pairs = self.data, self.pairs
        if data.menu_size == 1:
            return "Items are shown one at a time."
        if data.settings.get("format") in ("long", "choices"):
            return "Files of choices list the alternatives in an order of their own, and do not say in which they were shown."
        answer = np.asarray(data.answer).reshape(data.rows, -1)[:, 0]
        shown = answer[answer >= 0]
        if len(shown) == 0 or not len(pairs):
            return "No two items are compared in any answer."
        if len(shown) > 1 and bool((shown == shown[0]).all()):
            return "The answer always stands at the same place: the file lists the winner first, or everybody takes that side whatever it shows."
        early = float((pairs.weight * (pairs.first < pairs.second)).sum() / max(pairs.weight.sum(), 1e-300))
        if abs(early - 0.5) > 0.48 and pairs.weight.sum() > 20:
            return "The items stand in one fixed order in all questions: that of a list, or one whose effect cannot be told."
        return ""

    def who(self, annotator: int) -> str:
        """What an annotator is called."""
        names = self.data.annotator_names
        return str(names[annotator] if names is not None and annotator < len(names) else annotator)[:40]

    def item(self, number: int) -> str:
        """What an item is called; of texts that have only numbers, how they begin."""
        return called(self.data.items, int(number))[:40]

    def part(self, most: int) -> PreferenceData:
        """At most about ``most`` rows of whole annotators, a seeded part."""
        data = self.data
        if data.rows <= most:
            return data
        ids = np.asarray(data.annotator_ids)
        draw = uniform53(child_seed(self.seed, "diagnosis/part"), "bootstrap", np.arange(data.num_annotators), 0)
        size = np.bincount(ids, minlength=data.num_annotators)
        people = np.flatnonzero(size)
        people = people[np.argsort(draw[people])]
        keep = np.zeros(data.num_annotators, dtype=bool)
        keep[people[: max(2, int(np.searchsorted(np.cumsum(size[people]), most)))]] = True
        return data.take(keep[ids])


def people_of(data: PreferenceData, most: int, seed: int) -> PreferenceData:
    """The same answers with every person alone: one of a whole weight w is w people, other weights are left out.

    Of a table of counts that stands for more than ``most`` answers about as many are drawn: people, by their weights.

    Example:
        >>> import annosim as an
        >>> counts = an.PreferenceData(an.Items(n=2), [[0, 1]] * 2, [0, 1], annotator=[0, 1], weight=[2.0, 1.0])
        >>> people_of(counts, 100, 0).answer.tolist()
        [0, 0, 1]
    """
    weight = np.asarray(data.annotator_weight)
    if data.weight is None:
        return data
    if (weight != np.round(weight)).any():
        return data.with_(weight=None)
    if data.row_weight.sum() <= most:
        return expand(data)
    ids = np.asarray(data.annotator_ids)
    size = np.bincount(ids, minlength=len(weight))
    live = np.where(size > 0, weight, 0.0)
    people = max(2, int(most * live.sum() / float((live * size).sum())))
    generator = np.random.Generator(np.random.Philox(child_seed(seed, "diagnosis/people")))
    drawn = np.minimum(generator.multinomial(people, live / live.sum()), weight)[ids]
    return expand(data.take(drawn > 0).with_(weight=drawn[drawn > 0].astype(float)))


def untied(data: PreferenceData) -> PreferenceData:
    """Answers that a table under Luce's rule can give: no skips, choices without ties, tied rankings as halves."""
    keep = ~np.asarray(data.skipped)
    if data.has_ties and data.feedback.kind == "choice":
        keep &= ~np.asarray(data.tied).any(1)
    return data.take(keep).ties("half").compact() if keep.any() else data


def times(count: float) -> str:
    """How often.

    Example:
        >>> times(1), times(2), times(26.7)
        ('once', 'twice', '26.7 times')
    """
    return {1.0: "once", 2.0: "twice"}.get(float(count), f"{number(count)} times")


def number(value: float) -> str:
    """A number in a sentence: three digits, thousands apart."""
    return f"{value:,.0f}" if abs(value) >= 1000 or float(value).is_integer() else f"{value:.3g}"


def percent(value: float) -> str:
    """A share in a sentence.

    Example:
        >>> percent(0.1234), percent(1.0)
        ('12.3 %', '100 %')
    """
    return f"{100 * value:.3g} %"


def plural(count: float, word: str) -> str:
    """A count and its noun.

    Example:
        >>> plural(1, "item"), plural(1500, "vote")
        ('1 item', '1,500 votes')
    """
    return f"{number(count)} {word}{'' if count == 1 else 's'}"


def listed(names: Iterable[str], most: int = 4) -> str:
    """The first names, and how many more there are."""
    all_of = list(names)
    more = f" and {len(all_of) - most} more" if len(all_of) > most else ""
    return ", ".join(all_of[:most]) + more
