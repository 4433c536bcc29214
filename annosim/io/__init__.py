"""Reading answers from files, from memory and from other libraries, one file per format.

Data are written by the ``to_`` methods of :class:`~annosim.PreferenceData`.
"""

from __future__ import annotations

from annosim.namespaces import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
