"""What annotators would say to other questions, with what is not known of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from annosim.feedback import AnswerSpace, Feedback
from annosim.items import Items
from annosim.results import Result

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Prediction"]

Vector = NDArray[np.float64]


@dataclass(frozen=True, eq=False, repr=False)
class Prediction(Result):
    """Probabilities of answers to questions, for each annotator.

    Attributes:
        annotators: their names, ``B``.
        menus: ``(M, k)`` item ids.
        probabilities: ``(B, M, A)`` posterior means.
        sd: ``(B, M, A)`` posterior standard deviations: what is not known of the annotator.
        space: the ``A`` answers.
        items: the items.
        feedback: the kind of answer.

    Example:
        >>> import annosim as an
        >>> two = an.Mixture([an.Annotator(an.Tabular([0.0, s]), an.Luce()) for s in (1.0, -1.0)])
        >>> somebody = an.learning.annotator_posterior(two, items=an.Items(names=["tea", "milk"]))
        >>> somebody.predict([[0, 1]]).to_frame().round(3)
                    annotator       menu answer  probability     sd
        0  no answers yet  tea, milk    tea          0.5  0.231
        1  no answers yet  tea, milk   milk          0.5  0.231
    """

    annotators: tuple[str, ...]
    menus: NDArray[np.int64]
    probabilities: Vector
    sd: Vector
    space: AnswerSpace
    items: Items
    feedback: Feedback

    def to_frame(self) -> pd.DataFrame:
        """One row per annotator, menu and answer, in words."""
        import pandas as pd

        rows = []
        for b, who in enumerate(self.annotators):
            for m, menu in enumerate(self.menus.tolist()):
                names = [self.items.names[i] if i >= 0 else "" for i in menu]
                for a, answer in enumerate(self.space.answer):
                    tied = None if self.space.tied is None else self.space.tied[a]
                    said = self.feedback.in_words(answer, names, tied)
                    shown = ", ".join(name for name in names if name)
                    rows.append((who, shown, said, self.probabilities[b, m, a], self.sd[b, m, a]))
        return pd.DataFrame(rows, columns=["annotator", "menu", "answer", "probability", "sd"])

    def _lines(self) -> list[tuple[str, object]]:
        b, m, a = self.probabilities.shape
        return [
            ("annotators", b),
            ("menus", m),
            ("answers to a menu", a),
            ("largest standard deviation", float(self.sd.max())),
        ]
