"""The one plotting style: colour-blind-safe, readable at half size, units on every axis.

Nothing here touches matplotlib's global state: figures are made from :class:`matplotlib.figure.Figure` (no pyplot, no
window, no backend to choose), and the style is applied in a context while they are drawn. A figure is made by
:func:`figure`, drawn on by the helpers below (each takes the axes first and returns them), and written by :func:`save`;
as the last value of a notebook's cell it shows itself, without ``%matplotlib inline``.

Colours are those of Okabe and Ito (2008), the order is kept, and line styles and markers change with the colours, so
that nothing is said by colour alone. Heat maps use ``cividis`` or, around a centre, ``PuOr``.
"""

from __future__ import annotations

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
