"""How far apart, how well, for whom: divergences, calibration, agreement, regret, win rates, clustering scores."""

from __future__ import annotations

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
