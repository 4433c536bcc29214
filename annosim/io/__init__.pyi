from .arena import read_arena as read_arena
from .choix import read_choix as read_choix
from .crowdkit import read_crowdkit as read_crowdkit
from .evalica import read_evalica as read_evalica
from .formats import FORMATS as FORMATS
from .formats import Format as Format
from .formats import Question as Question
from .formats import Reading as Reading
from .formats import Recognised as Recognised
from .formats import read as read
from .formats import recognise as recognise
from .frames import read_frame as read_frame
from .long import read_long as read_long
from .pairs import read_csv as read_csv
from .preflib import read_preflib as read_preflib
from .scottish import read_scottish as read_scottish
from .shards import ShardWriter as ShardWriter
from .shards import Shards as Shards
from .shards import open_shards as open_shards
from .shards import read_parquet as read_parquet
from .tokens import tokenize as tokenize
from .trl import read_kto as read_kto
from .trl import read_trl as read_trl
from .ukp import read_ukp as read_ukp

__all__ = [
    "FORMATS",
    "Format",
    "Question",
    "Reading",
    "Recognised",
    "ShardWriter",
    "Shards",
    "open_shards",
    "read",
    "read_arena",
    "read_choix",
    "read_crowdkit",
    "read_csv",
    "read_evalica",
    "read_frame",
    "read_kto",
    "read_long",
    "read_parquet",
    "read_preflib",
    "read_scottish",
    "read_trl",
    "read_ukp",
    "recognise",
    "tokenize",
]
