"""What preference data become: frames, lists of other libraries, and files. One module per format, loaded on first use.

The readers stand in :mod:`annosim.io`. A writer needs the attributes of the data and nothing else.
"""

from __future__ import annotations

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
