from .draws import simulate as simulate
from .draws import simulate_like as simulate_like

__all__ = ["simulate", "simulate_like"]
