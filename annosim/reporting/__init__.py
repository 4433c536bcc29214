"""Pages for people: one HTML file each, with everything inside it, that opens offline.

Text, layout and style are the templates beside this file; whoever reports hands over plain values. A study's report and
the pages of ``annosim identify``, ``plan`` and ``check`` share them.
"""

from __future__ import annotations

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
