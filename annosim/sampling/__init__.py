"""Posteriors of parameters: priors with a density, NUTS and Laplace, diagnostics, prior against posterior."""

from __future__ import annotations

from annosim.namespaces import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
