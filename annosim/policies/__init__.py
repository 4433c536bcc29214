"""From what was learned to what is deployed: functions that return densities, and transforms of rewards."""

from __future__ import annotations

from annosim.namespaces import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
