from .design import Design as Design
from .menus import both_orders as both_orders
from .menus import chain as chain
from .menus import empirical_loads as empirical_loads
from .menus import random_menus as random_menus
from .menus import round_robin as round_robin
from .menus import sparse_graph as sparse_graph
from .menus import star as star

__all__ = ["Design", "both_orders", "chain", "empirical_loads", "random_menus", "round_robin", "sparse_graph", "star"]
