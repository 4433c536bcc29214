"""What preference data become: frames, lists of other libraries, and files. One module per format, loaded on first use.

The readers stand in :mod:`annosim.io`. A writer needs the attributes of the data and nothing else; users call the ``to_``
methods of :class:`~annosim.PreferenceData`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import lazy_loader

if TYPE_CHECKING:
    from .arena import write_arena as write_arena
    from .choix import choix_lists as choix_lists
    from .crowdkit import crowdkit_frame as crowdkit_frame
    from .frames import preference_frame as preference_frame
    from .frames import write_frame as write_frame
    from .long import long_frame as long_frame
    from .pairs import evalica_frame as evalica_frame
    from .pairs import pairs_frame as pairs_frame
    from .parquet import write_parquet as write_parquet
    from .preflib import write_preflib as write_preflib
    from .records import write_csv as write_csv
    from .scottish import write_scottish as write_scottish
    from .trl import trl_dataset as trl_dataset
    from .trl import write_trl as write_trl

__getattr__, __dir__, _ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "arena": ["write_arena"],
        "choix": ["choix_lists"],
        "crowdkit": ["crowdkit_frame"],
        "frames": ["preference_frame", "write_frame"],
        "long": ["long_frame"],
        "pairs": ["evalica_frame", "pairs_frame"],
        "parquet": ["write_parquet"],
        "preflib": ["write_preflib"],
        "records": ["write_csv"],
        "scottish": ["write_scottish"],
        "trl": ["trl_dataset", "write_trl"],
    },
)
