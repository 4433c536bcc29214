"""annosim: a laboratory for preference learning. The public names are listed, with their types, in ``__init__.pyi``."""

from __future__ import annotations

from annosim.namespaces import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
__version__ = "0.1.0"
