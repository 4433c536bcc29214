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

__all__ = [
    "choix_lists",
    "crowdkit_frame",
    "evalica_frame",
    "long_frame",
    "pairs_frame",
    "preference_frame",
    "trl_dataset",
    "write_arena",
    "write_csv",
    "write_frame",
    "write_parquet",
    "write_preflib",
    "write_scottish",
    "write_trl",
]
