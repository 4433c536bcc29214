"""Where work runs: one small interface to submit through, the processes of this machine, and Dask."""

from __future__ import annotations

from annosim.namespaces import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
