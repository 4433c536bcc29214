from .density import LogPosterior as LogPosterior
from .posterior import sample_posterior as sample_posterior
from .questions import next_vote as next_vote
from .result import PosteriorSample as PosteriorSample

__all__ = ["LogPosterior", "PosteriorSample", "next_vote", "sample_posterior"]
