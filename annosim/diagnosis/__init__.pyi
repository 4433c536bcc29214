from .diagnosis import Diagnosis as Diagnosis
from .diagnosis import diagnose as diagnose
from .finding import Finding as Finding

__all__ = ["Diagnosis", "Finding", "diagnose"]
