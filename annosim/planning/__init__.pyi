from .cost import Cost as Cost
from .optimal import d_optimal as d_optimal
from .planner import plan as plan
from .result import Plan as Plan
from .targets import policy_value as policy_value

__all__ = ["Cost", "Plan", "d_optimal", "plan", "policy_value"]
