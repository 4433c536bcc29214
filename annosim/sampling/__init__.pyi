from .density import LogPosterior as LogPosterior
from .posterior import sample_posterior as sample_posterior
from .result import PosteriorSample as PosteriorSample

__all__ = ["LogPosterior", "PosteriorSample", "sample_posterior"]
