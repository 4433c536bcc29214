"""Pages for people: one HTML file each, with everything inside it, that opens offline.

Text, layout and style are the templates beside this file; whoever reports hands over plain values. A study's report and
the pages of ``annosim identify``, ``plan`` and ``check`` share them.
"""

from __future__ import annotations

from annosim.namespaces import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
