"""What a file of answers can tell, before a model is chosen: one small question after the other.

Each question is a function that returns a :class:`Finding`: a number, an interval, a test, a sentence, and what would
change it. What it cannot ask of these data it says in words. :func:`annosim.diagnose` puts them on one page.
"""

from __future__ import annotations

from annosim.namespaces import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
