"""Checks: laws that any estimator of preferences must obey, run on yours, with the evidence.

>>> from annosim.checks import check_estimator
"""

from __future__ import annotations

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
