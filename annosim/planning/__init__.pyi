from .cost import Cost as Cost
from .judged import Judged as Judged
from .optimal import d_optimal as d_optimal
from .planner import plan as plan
from .result import Plan as Plan
from .sequential import Interviews as Interviews
from .sequential import Sequential as Sequential
from .targets import policy_value as policy_value

__all__ = ["Cost", "Interviews", "Judged", "Plan", "Sequential", "d_optimal", "plan", "policy_value"]
