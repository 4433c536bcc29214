"""The values that a cell takes and returns."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

__all__ = ["Plain", "Row", "Value"]

#: What JSON knows: parameters of a cell.
Plain: TypeAlias = "None | bool | int | float | str | list[Plain] | dict[str, Plain]"
#: What a result may be.
Value: TypeAlias = "Plain | NDArray[np.generic] | list[Value] | dict[str, Value]"
#: One row of results: value by name.
Row: TypeAlias = "dict[str, Value]"
#: Anything that functions take by name.
Arguments: TypeAlias = "Mapping[str, object]"
