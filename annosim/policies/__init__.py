"""From what was learned to what is deployed: functions that return densities, and transforms of rewards."""

from __future__ import annotations

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
