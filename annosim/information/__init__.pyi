from .fisher import Information as Information
from .fisher import fisher_information as fisher_information
from .jacobian import law_distance as law_distance
from .jacobian import law_jacobian as law_jacobian
from .support import DesignSupport as DesignSupport
from .support import prepare as prepare

__all__ = ["DesignSupport", "Information", "fisher_information", "law_distance", "law_jacobian", "prepare"]
