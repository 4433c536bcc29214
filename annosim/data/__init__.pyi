from .joining import concat as concat
from .joining import stack as stack
from .preferences import PreferenceData as PreferenceData

__all__ = ["PreferenceData", "concat", "stack"]
