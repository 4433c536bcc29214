"""TRL as an engine: its trainers learn hidden types of annotators (EM-DPO), and its policies are rewarded by simulated people.

Needs the extra ``hf``; importing this needs nothing.
"""

from annosim.namespaces import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
