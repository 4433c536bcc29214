from .identifiable import Coordinates as Coordinates
from .observed import centred as centred
from .identifiable import identifiable_coordinates as identifiable_coordinates
from .identifiable import num_identifiable as num_identifiable
from .matching import Alignment as Alignment
from .matching import align_types as align_types
from .matching import best_naming as best_naming
from .matching import best_namings as best_namings
from .matching import mean_indices as mean_indices
from .matching import population_distance as population_distance
from .matching import renamed as renamed
from .normalisation import by_weight as by_weight
from .normalisation import interchangeable as interchangeable
from .normalisation import order_by_weight as order_by_weight
from .questions import behaviour_gap as behaviour_gap
from .questions import depends_on_level as depends_on_level
from .questions import questions_for as questions_for

__all__ = [
    "Alignment",
    "Coordinates",
    "align_types",
    "behaviour_gap",
    "best_naming",
    "best_namings",
    "by_weight",
    "centred",
    "depends_on_level",
    "identifiable_coordinates",
    "interchangeable",
    "mean_indices",
    "num_identifiable",
    "order_by_weight",
    "population_distance",
    "questions_for",
    "renamed",
]
