"""How far apart, how well, for whom: divergences, calibration, agreement, regret, win rates, clustering scores."""

from __future__ import annotations

from annosim.namespaces import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
