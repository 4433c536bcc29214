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
    """Items with features drawn from a standard normal distribution."""

    kind: Literal["normal"] = Field(description="which table of items this is")
    n: int = Field(ge=1, le=MOST_ITEMS, description="items, of all prompts together")
    dim: int = Field(ge=1, le=MOST_FEATURES, description="features of an item")
    seed: int = Field(0, ge=0, lt=2**64, description="of the features")
    prompts: int = Field(1, ge=1, description="prompts among which the items are divided equally")

    def build(self, folder: Path) -> Items:
        return Items.normal(self.n, self.dim, self.seed, self.prompts)


class GridItems(Table):
    """Equally spaced points of an interval, with trapezoid weights: sums over the items are integrals."""

    kind: Literal["grid"] = Field(description="which table of items this is")
    low: float = Field(description="first point")
    high: float = Field(description="last point")
    n: int = Field(ge=2, le=MOST_ITEMS, description="points, with both ends")

    def build(self, folder: Path) -> Items:
        return Items.grid(self.low, self.high, self.n)


class CsvItems(Table):
    """Items from a CSV file with a header, one a row."""

    kind: Literal["csv"] = Field(description="which table of items this is")
    path: str = Field(description="the file; a relative path counts from the scenario's folder")
    name: str | None = Field(None, description="column with the items' names")
    text: str | None = Field(None, description="column with the items' texts")
    features: list[str] | None = Field(None, description="columns with numbers, the features")
    prompt: str | None = Field(None, description="column that says to which prompt an item belongs")
    cluster: str | None = Field(None, description="column that says which items are paraphrases of each other")

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
    """Items written out in the scenario; each list has one entry per item."""

    kind: Literal["inline"] = Field(description="which table of items this is")
    features: list[list[float]] | None = Field(None, description="a list of numbers per item")
    names: list[str] | None = Field(None, description="names; numbers from 0 by default")
    prompts: list[int] | None = Field(None, description="the prompt of each item, from 0; one prompt by default")
    clusters: list[int] | None = Field(None, description="the group of each item; paraphrases share one")
    weights: list[float] | None = Field(None, description="weights in sums over items; equal by default")
    tokens: list[list[int]] | None = Field(None, description="token ids of prompt and answer, for language models")
    prompt_length: list[int] | None = Field(None, description="how many of the tokens are the prompt")
    n: int = Field(0, ge=0, le=MOST_ITEMS, description="items, where no list says it")

    def build(self, folder: Path) -> Items:
        columns = {} if self.prompt_length is None else {"prompt_length": self.prompt_length}
        return Items(**self.model_dump(exclude={"kind", "prompt_length"}), columns=columns)


AnyItems = Annotated[NormalItems | GridItems | CsvItems | InlineItems, Field(discriminator="kind")]
