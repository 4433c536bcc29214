"""Utilities: what an annotator wants, one number per item; densities, networks and language models among them."""

from __future__ import annotations

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
