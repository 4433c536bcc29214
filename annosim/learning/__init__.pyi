from . import objectives as objectives
from . import priors as priors
from .batched import BatchedFit as BatchedFit
from .fitting import fit as fit
from .fitting import fit_replicates as fit_replicates
from .fitting import solvers_for as solvers_for
from .item_spread import ItemSpread as ItemSpread
from .item_spread import estimate_spread as estimate_spread
from .inference.judgements import with_judgements as with_judgements
from .inference.prediction_powered import PredictionPowered as PredictionPowered
from .inference.prediction_powered import prediction_powered as prediction_powered
from .number_of_types import TypesChoice as TypesChoice
from .number_of_types import choose_types as choose_types
from .posterior.annotators import AnnotatorPosterior as AnnotatorPosterior
from .posterior.prediction import Prediction as Prediction
from .posterior.annotators import annotator_posterior as annotator_posterior
from .posterior.questions import NextQuestion as NextQuestion
from .posterior.questions import next_question as next_question
from .projection import project as project
from .result import Fit as Fit
from .solvers.settings import Adam as Adam
from .solvers.settings import EM as EM
from .solvers.settings import LBFGS as LBFGS
from .solvers.settings import Newton as Newton
from .solvers.settings import SimulatedLikelihood as SimulatedLikelihood
from .solvers.settings import Solver as Solver
from .training.fast_layers import faster as faster

__all__ = [
    "Adam",
    "AnnotatorPosterior",
    "BatchedFit",
    "EM",
    "Fit",
    "ItemSpread",
    "LBFGS",
    "Newton",
    "NextQuestion",
    "Prediction",
    "PredictionPowered",
    "SimulatedLikelihood",
    "Solver",
    "TypesChoice",
    "annotator_posterior",
    "choose_types",
    "estimate_spread",
    "faster",
    "fit",
    "fit_replicates",
    "next_question",
    "objectives",
    "prediction_powered",
    "priors",
    "project",
    "solvers_for",
    "with_judgements",
]
