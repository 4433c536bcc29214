"""The table ``[items]``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from annosim.errors import FileReadError, ScenarioError
from annosim.items import Items
from annosim.scenario.tables import Table

__all__ = ["AnyItems", "CsvItems", "GridItems", "InlineItems", "NormalItems"]


class NormalItems(Table):
    kind: Literal["normal"]
    n: int = Field(ge=1)
    dim: int = Field(ge=1)
    seed: int = Field(0, ge=0)
    prompts: int = Field(1, ge=1)

    def build(self, folder: Path) -> Items:
        return Items.normal(self.n, self.dim, self.seed, self.prompts)


class GridItems(Table):
    kind: Literal["grid"]
    low: float
    high: float
    n: int = Field(ge=2)

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
                raise ScenarioError(f"items: {self.path} has no column {column!r}; it has: {', '.join(frame)}")
        code = lambda c: None if c is None else pd.factorize(frame[c])[0]  # noqa: E731
        return Items(
            features=frame[self.features].to_numpy(float) if self.features else None,
            names=None if self.name is None else frame[self.name].astype(str).tolist(),
            texts=None if self.text is None else frame[self.text].astype(str).tolist(),
            prompts=code(self.prompt),
            clusters=code(self.cluster),
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
    n: int = Field(0, ge=0)

    def build(self, folder: Path) -> Items:
        columns = {} if self.prompt_length is None else {"prompt_length": self.prompt_length}
        return Items(**self.model_dump(exclude={"kind", "prompt_length"}), columns=columns)


AnyItems = Annotated[NormalItems | GridItems | CsvItems | InlineItems, Field(discriminator="kind")]
