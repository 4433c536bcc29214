"""The table ``[items]``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from annosim.errors import FileReadError, ScenarioError
from annosim.items import Items
from annosim.scenario.tables import Table

__all__ = ["AnyItems", "CsvItems", "GridItems", "InlineItems", "NormalItems"]

#: Items and features that a file may ask for in one line; a larger set is read from a CSV file.
MOST_ITEMS, MOST_FEATURES = 10**6, 10**4


class NormalItems(Table):
    kind: Literal["normal"]
    n: int = Field(ge=1, le=MOST_ITEMS)
    dim: int = Field(ge=1, le=MOST_FEATURES)
    seed: int = Field(0, ge=0, lt=2**64)
    prompts: int = Field(1, ge=1)

    def build(self, folder: Path) -> Items:
        return Items.normal(self.n, self.dim, self.seed, self.prompts)


class GridItems(Table):
    kind: Literal["grid"]
    low: float
    high: float
    n: int = Field(ge=2, le=MOST_ITEMS)

    def build(self, folder: Path) -> Items:
        return Items.grid(self.low, self.high, self.n)


class CsvItems(Table):
    kind: Literal["csv"]
    path: str
    name: str | None = None
    text: str | None = None
    features: list[str] | None = None
    prompt: str | None = None
    cluster: str | None = None

    def build(self, folder: Path) -> Items:
        import pandas as pd

        try:
            frame = pd.read_csv(folder / self.path)
        except (OSError, ValueError) as error:
            raise FileReadError(
                f"items.path: cannot read {self.path!r} ({error}); give a CSV file with a header"
            ) from None
        wanted = [self.name, self.text, self.prompt, self.cluster, *(self.features or [])]
        for column in filter(None, wanted):
            if column not in frame:
                raise ScenarioError(
                    f"items: {self.path} has no column {column!r}; it has: {', '.join(map(str, frame))}"
                )

        def codes(column: str | None) -> np.ndarray | None:
            return None if column is None else pd.factorize(frame[column])[0]

        return Items(
            features=frame[self.features].to_numpy(float) if self.features else None,
            names=None if self.name is None else frame[self.name].astype(str).tolist(),
            texts=None if self.text is None else frame[self.text].astype(str).tolist(),
            prompts=codes(self.prompt),
            clusters=codes(self.cluster),
            n=len(frame),
        )


class InlineItems(Table):
    kind: Literal["inline"]
    features: list[list[float]] | None = None
    names: list[str] | None = None
    prompts: list[int] | None = None
    clusters: list[int] | None = None
    weights: list[float] | None = None
    tokens: list[list[int]] | None = None
    prompt_length: list[int] | None = None
    n: int = Field(0, ge=0, le=MOST_ITEMS)

    def build(self, folder: Path) -> Items:
        columns = {} if self.prompt_length is None else {"prompt_length": self.prompt_length}
        return Items(**self.model_dump(exclude={"kind", "prompt_length"}), columns=columns)


AnyItems = Annotated[NormalItems | GridItems | CsvItems | InlineItems, Field(discriminator="kind")]
