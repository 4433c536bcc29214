"""Utilities: what an annotator wants, one number per item; densities, networks and language models among them."""

from __future__ import annotations

from annosim.namespaces import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
