from .attribution import BASELINE as BASELINE
from .attribution import CONTROL as CONTROL
from .attribution import STUDY_ADDS as STUDY_ADDS
from .attribution import Attribution as Attribution
from .attribution import paper_says as paper_says
from .claims import Claim as Claim
from .claims import Judgement as Judgement
from .claims import Statement as Statement
from .claims import at_least as at_least
from .claims import at_most as at_most
from .claims import equal as equal
from .claims import every as every
from .claims import increasing as increasing
from .claims import inside as inside
from .claims import provided as provided
from .claims import true as true
from .claims import worded as worded
from .datapath import MissingDataError as MissingDataError
from .datapath import data_path as data_path
from .datapath import data_root as data_root
from .definition import Cell as Cell
from .definition import Preset as Preset
from .definition import Study as Study
from .estimates import Estimate as Estimate
from .estimates import binomial_interval as binomial_interval
from .estimates import bootstrap_interval as bootstrap_interval
from .estimates import difference as difference
from .estimates import exact as exact
from .estimates import t_interval as t_interval
from .find import find_studies as find_studies
from .find import load_named as load_named
from .find import load_study as load_study
from .outcome import Outcome as Outcome
from .result import StudyRun as StudyRun
from .runner import run_study as run_study

__all__ = [
    "Attribution",
    "BASELINE",
    "CONTROL",
    "Cell",
    "Claim",
    "Estimate",
    "Judgement",
    "MissingDataError",
    "Outcome",
    "Preset",
    "STUDY_ADDS",
    "Statement",
    "Study",
    "StudyRun",
    "at_least",
    "at_most",
    "binomial_interval",
    "bootstrap_interval",
    "data_path",
    "data_root",
    "difference",
    "equal",
    "every",
    "exact",
    "find_studies",
    "increasing",
    "inside",
    "load_named",
    "load_study",
    "paper_says",
    "provided",
    "run_study",
    "t_interval",
    "true",
    "worded",
]
