from .fisher import fisher_information as fisher_information
from .jacobian import law_distance as law_distance
from .fisher import Information as Information
from .fisher import enumerable as enumerable
from .support import DesignSupport as DesignSupport
from .support import LIMIT as LIMIT
from .support import exchangeable as exchangeable
from .support import merge_settings as merge_settings
from .support import prepare as prepare
from .jacobian import common_frame as common_frame
from .jacobian import compress as compress
from .jacobian import factors as factors
from .jacobian import law_jacobian as law_jacobian
from .jacobian import listed_law as listed_law
from .jacobian import symmetric_index as symmetric_index
from .jacobian import symmetric_law as symmetric_law
from .jacobian import symmetric_size as symmetric_size
from .jacobian import symmetric_tangent as symmetric_tangent
from .jacobian import tangents as tangents
from .jacobian import vectors as vectors
from .threads import few_threads as few_threads

__all__ = [
    "DesignSupport",
    "Information",
    "LIMIT",
    "common_frame",
    "compress",
    "enumerable",
    "exchangeable",
    "factors",
    "few_threads",
    "fisher_information",
    "law_distance",
    "law_jacobian",
    "listed_law",
    "merge_settings",
    "prepare",
    "symmetric_index",
    "symmetric_law",
    "symmetric_size",
    "symmetric_tangent",
    "tangents",
    "vectors",
]
