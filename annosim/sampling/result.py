"""The posterior of a model's parameters as draws: in words, as a frame, and as an ArviZ tree."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.linalg import eigh

from annosim.errors import ArgumentError
from annosim.extras import library
from annosim.items import Items
from annosim.populations.base import Population
from annosim.results import Result
from annosim.sampling.density import LogPosterior
from annosim.sampling.methods import Draws, worth

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

__all__ = ["PosteriorSample"]

Vector = NDArray[np.float64]
#: a chain has converged below this (Vehtari et al. 2021, Bayesian Analysis 16:667)
RHAT = 1.01
#: effective draws in all chains together that make an interval (the same)
ESS = 400.0
#: share of the prior's variance above which a direction is the prior's
UNMOVED = 0.9
#: singular value of the likelihood's gradients, of the largest, below which a direction is level
LEVEL = 1e-8


@dataclass(frozen=True, eq=False, repr=False)
class PosteriorSample(Result):
    """Draws from the posterior of a model's parameters.

    Attributes:
        model: the model.
        items: the items.
        method: ``"laplace"`` or ``"nuts"``.
        names: of the ``P`` numbers, as ``model.parameter_names()``.
        vectors: ``(chains, draws, P)`` parameter vectors, types of one name each.
        prior_vectors: ``(S, P)`` draws from the prior.
        stats: ``(chains, draws)`` arrays by name, of the sampler.
        pareto_k: of the normal approximation's importance weights; NaN of NUTS.
        pool_vectors: ``(S, P)`` of all draws from the approximation; ``None`` of NUTS.

    Example:
        >>> import annosim as an
        >>> data = an.PreferenceData(an.Items(names=["tea", "milk"]), [[0, 1]] * 20, [0] * 14 + [1] * 6)
        >>> found = an.sample_posterior(an.Annotator(an.Tabular(2), an.Luce()), data, an.priors.Gaussian(1.0))
        >>> found.trusted, bool(0.2 < found.mean[0] < 0.6)
        (True, True)
    """

    model: Population
    items: Items
    method: str
    names: tuple[str, ...]
    vectors: Vector
    prior_vectors: Vector
    stats: dict[str, NDArray[np.generic]]
    pareto_k: float
    density: LogPosterior
    draws: Draws
    pool_vectors: Vector | None = None

    # ---- numbers ---------------------------------------------------------------------------------------------------

    @property
    def flat(self) -> Vector:
        """All draws, ``(chains * draws, P)``."""
        return self.vectors.reshape(-1, self.vectors.shape[-1])

    @property
    def mean(self) -> Vector:
        """Posterior means, ``(P,)``."""
        return self.flat.mean(0)

    @property
    def sd(self) -> Vector:
        """Posterior standard deviations, ``(P,)``."""
        return self.flat.std(0, ddof=1)

    @property
    def covariance(self) -> Vector:
        """Posterior covariance, ``(P, P)``."""
        return np.atleast_2d(np.cov(self.flat.T))

    def populations(self, count: int = 100) -> list[Population]:
        """``count`` draws as populations, evenly over the chains."""
        flat = torch.as_tensor(self.flat)
        at = np.linspace(0, len(flat) - 1, min(count, len(flat))).astype(int)
        return [self.model.with_parameters(flat[i]) for i in at]

    @cached_property
    def rhat(self) -> Vector:
        """Rank-normalised split R-hat of every number, ``(P,)``; NaN of independent draws."""
        if self.method == "laplace":
            return np.full(len(self.names), math.nan)
        return self._by_number("rhat", method="rank")

    @cached_property
    def ess(self) -> Vector:
        """Bulk effective sample size of every number, ``(P,)``; of weighted draws what the weights leave of its mean."""
        if self.method == "laplace":
            return self._worth(self.pool_vectors)
        return self._by_number("ess", method="bulk")

    @cached_property
    def ess_tail(self) -> Vector:
        """Tail effective sample size of every number, ``(P,)``."""
        if self.method == "laplace":
            pool, ends = self.pool_vectors, np.quantile(self.flat, [0.05, 0.95], axis=0)
            assert pool is not None
            return np.min([self._worth((pool <= end).astype(np.float64)) for end in ends], axis=0)
        return self._by_number("ess", method="tail", prob=(0.05, 0.95))

    def _worth(self, numbers: Vector | None) -> Vector:
        """Of weighted draws, by numbers ``(S, P)`` of all of them."""
        assert numbers is not None and self.draws.weight is not None
        return worth(numbers, self.draws.weight, len(self.flat))

    def _by_number(self, name: str, method: str, **more: tuple[float, float]) -> Vector:
        function = getattr(library("arviz_stats.base", "bayes").array_stats, name)
        ary = np.moveaxis(self.vectors, -1, 0)
        return np.asarray(function(ary, chain_axis=1, draw_axis=2, method=method, **more), dtype=np.float64)

    @property
    def divergences(self) -> int:
        """Divergent transitions."""
        return int(np.sum(self.stats.get("diverging", np.zeros(1))))

    # ---- judged ----------------------------------------------------------------------------------------------------

    @cached_property
    def problems(self) -> tuple[str, ...]:
        """What is wrong with the draws, in words; empty where nothing is."""
        out = []
        if self.method == "laplace" and not self.pareto_k < self.draws.allowed_k:
            out.append(
                f"the normal approximation does not hold (Pareto k {self.pareto_k:.2f}, at most {self.draws.allowed_k:.2f} "
                "where its weights correct it): take method='nuts'"
            )
        worst = int(np.nanargmax(self.rhat)) if np.isfinite(self.rhat).any() else -1
        if worst >= 0 and self.rhat[worst] > RHAT:
            out.append(
                f"the chains disagree about {self.names[worst]} (R-hat {self.rhat[worst]:.3f}, at most {RHAT}): more tune="
            )
        few = int(np.argmin(np.minimum(self.ess, self.ess_tail)))
        least = float(np.minimum(self.ess, self.ess_tail)[few])
        if least < ESS:
            out.append(f"{self.names[few]} has {least:.0f} effective draws (at least {ESS:.0f}): more draws=")
        if self.divergences:
            out.append(
                f"{self.divergences} divergent transitions: some corner of the posterior was not reached; a tighter prior"
            )
        return tuple(out)

    @property
    def trusted(self) -> bool:
        """Whether nothing is wrong with the draws."""
        return not self.problems

    # ---- prior against posterior -----------------------------------------------------------------------------------

    @cached_property
    def unmoved(self) -> Vector:
        """Directions of the unconstrained coordinates whose variance the data left at 90 % of the prior's or more, ``(G, size)``.

        From the generalised eigenvalues of the posterior's covariance against the prior's (Spantini et al. 2015, SIAM J.
        Sci. Comput. 37:A2451): combinations of numbers too, that the data say nothing of.
        """
        prior = np.atleast_2d(np.cov(self.density.draw_prior(np.random.default_rng(0), 4000).T))
        after = np.atleast_2d(np.cov(self.draws.y.reshape(-1, self.density.size).T))
        values, vectors = eigh(after, prior)
        return vectors[:, values > UNMOVED].T

    @cached_property
    def null_directions(self) -> Vector:
        """Directions of the unconstrained coordinates along which the likelihood is level everywhere, ``(G, size)``, orthonormal.

        Orthogonal to its gradients at draws from the prior and the posterior. The posterior along them is the prior.
        """
        size, flat = self.density.size, self.draws.y.reshape(-1, self.density.size)
        before = self.density.draw_prior(np.random.default_rng(0), size + 10)
        at = np.linspace(0, len(flat) - 1, min(50, len(flat))).astype(int)
        slopes = np.array([self.density.answers(y)[1] for y in np.concatenate([before, flat[at]])])
        slopes = slopes[np.isfinite(slopes).all(1)]
        slopes = slopes / np.maximum(np.linalg.norm(slopes, axis=1, keepdims=True), 1e-300)
        _, values, rows = np.linalg.svd(slopes)
        return rows[int((values > LEVEL * values[0]).sum()) :]

    @cached_property
    def null_share(self) -> Vector:
        """Share of each number's prior variance that lies in :attr:`null_directions`, ``(P,)``."""
        null = self.null_directions
        if not len(null):
            return np.zeros(len(self.names))
        y = self.density.draw_prior(np.random.default_rng(0), 4000)
        number = self.density.vectors(y)
        y, number = y - y.mean(0), number - number.mean(0)
        slope = np.linalg.lstsq(y, number, rcond=None)[0]  # exact where a number is linear in the coordinates
        along = y @ (null.T @ (null @ slope))
        return np.clip((along**2).sum(0) / np.maximum((number**2).sum(0), 1e-300), 0.0, 1.0)

    def to_frame(self) -> pd.DataFrame:
        """One row per number: mean, sd, interval, what the prior said, and what the data moved.

        ``moved`` is the shift of the mean in prior standard deviations; ``left`` the share of the prior's variance that is
        left; ``null`` the share of it in directions along which the likelihood is level. ``says`` puts it in words; what the
        data do not tell is called prior.
        """
        import pandas as pd

        low, high = np.quantile(self.flat, [0.025, 0.975], axis=0)
        before, spread = self.prior_vectors.mean(0), self.prior_vectors.std(0, ddof=1)
        left, moved = (self.sd / spread) ** 2, (self.mean - before) / spread
        return pd.DataFrame(
            {
                "parameter": self.names,
                "mean": self.mean,
                "sd": self.sd,
                "2.5 %": low,
                "97.5 %": high,
                "prior mean": before,
                "prior sd": spread,
                "moved": moved,
                "left": left,
                "null": self.null_share,
                "says": [_in_words(*row) for row in zip(moved, left, self.null_share, strict=True)],
                "R-hat": self.rhat,
                "effective draws": self.ess,
            }
        )

    def to_datatree(self) -> xr.DataTree:
        """The draws in the schema of ArviZ: groups ``posterior``, ``sample_stats``, ``prior``; an xarray DataTree."""
        xarray = library("xarray", "bayes")
        groups = {
            "posterior": xarray.Dataset(self._variables(self.vectors)),
            "prior": xarray.Dataset(self._variables(self.prior_vectors[None])),
            "sample_stats": xarray.Dataset({n: (("chain", "draw"), v) for n, v in self.stats.items()}),
        }
        for dataset in groups.values():
            dataset.coords["chain"], dataset.coords["draw"] = (np.arange(dataset.sizes[d]) for d in ("chain", "draw"))
            dataset.attrs |= {"inference_library": "annosim", "sampling_method": self.method}
        return xarray.DataTree.from_dict(groups)

    def _variables(self, vectors: Vector) -> dict[str, tuple[tuple[str, ...], Vector]]:
        """Each parameter with its own shape, dimensions named by the parameter."""
        out, start = {}, 0
        for name, value in self.model.free_parameters().items():
            size = value.numel()
            own = tuple(f"{name}_dim_{i}" for i in range(value.ndim))
            part = vectors[..., start : start + size].reshape(*vectors.shape[:-1], *value.shape)
            out[name] = (("chain", "draw", *own), part)
            start += size
        return out

    def _title(self) -> str:
        chains, draws, _ = self.vectors.shape
        how = "NUTS" if self.method == "nuts" else "normal approximation at the mode, weighted"
        return f"Posterior: {chains} chains of {draws} draws, {how}"

    def _lines(self) -> Sequence[tuple[str, object]]:
        lines: list[tuple[str, object]] = [("draws", "may be trusted" if self.trusted else "NOT to be trusted")]
        lines += [("problem", text) for text in self.problems]
        if self.method == "laplace":
            lines.append(("Pareto k", f"{self.pareto_k:.2f}"))
            lines.append(("effective draws", f"{np.minimum(self.ess, self.ess_tail).min():.0f} at least"))
        else:
            lines.append(("R-hat", f"{np.nanmax(self.rhat):.4f} at most"))
            lines.append(("effective draws", f"{np.minimum(self.ess, self.ess_tail).min():.0f} at least"))
        table = self.to_frame()
        for row in table.head(12).itertuples(index=False):
            lines.append((str(row.parameter), f"{row.mean:.3g} ± {row.sd:.2g}; {row.says}"))
        if len(table) > 12:
            lines.append(("...", f"{len(table) - 12} more in to_frame()"))
        if len(self.unmoved):
            lines.append(("directions left as in the prior", len(self.unmoved)))
        lines += [(f"prior of {block.name}", block.words) for block in self.density.blocks[:6]]
        return lines


def _in_words(moved: float, left: float, null: float) -> str:
    """What the data said of one number."""
    if left > UNMOVED and abs(moved) < 0.1:
        return "prior: the data say nothing of it"
    nothing = f", its null directions ({null:.0%} of the prior's variance) by nothing," if null > 0.005 else ""
    narrowed = f"left {left:.1%} of the prior's variance" if left <= UNMOVED else "left the prior's spread"
    return f"the data moved this by {moved:+.2g} prior sd{nothing} and {narrowed}"


def check_draws(where: str, **counts: int) -> None:
    """Refuse anything but whole numbers above zero.

    Raises:
        ArgumentError: names the argument.

    Example:
        >>> check_draws("sample_posterior", draws=0)
        Traceback (most recent call last):
        annosim.errors.ArgumentError: sample_posterior(draws=0): a whole number of at least 1
    """
    for name, value in counts.items():
        if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1:
            raise ArgumentError(f"{where}({name}={value!r}): a whole number of at least 1")
