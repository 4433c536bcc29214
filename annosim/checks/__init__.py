"""Checks: laws that any estimator of preferences must obey, run on yours, with the evidence.

>>> from annosim.checks import check_estimator
"""

from __future__ import annotations

from annosim.namespaces import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
