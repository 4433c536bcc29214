from .behaviour import behaviour as behaviour
from .behaviour import behaviour_gap as behaviour_gap
from .behaviour import depends_on_level as depends_on_level
from .behaviour import questions_for as questions_for
from .identifiable import Coordinates as Coordinates
from .identifiable import Decomposition as Decomposition
from .identifiable import centred as centred
from .identifiable import decompose as decompose
from .identifiable import identifiable as identifiable
from .identifiable import in_float64 as in_float64
from .identifiable import index_moments as index_moments
from .identifiable import is_signal as is_signal
from .identifiable import num_identifiable as num_identifiable
from .identifiable import refined as refined
from .identifiable import shares as shares
from .matching import Alignment as Alignment
from .matching import align_types as align_types
from .matching import best_naming as best_naming
from .matching import mean_indices as mean_indices
from .matching import population_distance as population_distance
from .matching import renamed as renamed
from .normalisation import by_weight as by_weight
from .normalisation import canonical as canonical
from .normalisation import conventions as conventions
from .normalisation import cut_name as cut_name
from .normalisation import cuts_of as cuts_of
from .normalisation import interchangeable as interchangeable
from .normalisation import values_by_weight as values_by_weight
from .identifiable import free_table as free_table
from .wording import describe_direction as describe_direction
from .wording import normalisation_words as normalisation_words
from .wording import sparse_basis as sparse_basis
from .wording import sum_preserving as sum_preserving

__all__ = [
    "Alignment",
    "Coordinates",
    "Decomposition",
    "align_types",
    "behaviour",
    "behaviour_gap",
    "best_naming",
    "by_weight",
    "canonical",
    "centred",
    "conventions",
    "cut_name",
    "cuts_of",
    "decompose",
    "depends_on_level",
    "describe_direction",
    "free_table",
    "identifiable",
    "in_float64",
    "index_moments",
    "interchangeable",
    "is_signal",
    "mean_indices",
    "normalisation_words",
    "num_identifiable",
    "population_distance",
    "questions_for",
    "refined",
    "renamed",
    "shares",
    "sparse_basis",
    "sum_preserving",
    "values_by_weight",
]
