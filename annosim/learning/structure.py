"""What kind of model is this? Solvers are chosen by structure: how each type's index depends on the free parameters."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from scipy import sparse
from scipy.special import logsumexp

from annosim.data.preferences import PreferenceData
from annosim.errors import ArgumentError
from annosim.items import Items
from annosim.parameters import Model, behaves_as
from annosim.populations.annotator import Annotator
from annosim.populations.base import Population
from annosim.populations.mixture import Mixture
from annosim.rules.base import Rule
from annosim.rules.luce import Luce
from annosim.utilities.base import Utility
from annosim.utilities.densities import LogDensity
from annosim.utilities.linear import Linear
from annosim.utilities.tabular import Tabular

__all__ = ["AffineIndex", "affine_components", "affine_index", "answers_repeat", "check_own_parameters", "has_network"]


@dataclass(frozen=True, eq=False)
class AffineIndex:
    """An annotator whose answers follow Luce's rule on ``s = f u + g`` with ``f`` and ``g`` known.

    Attributes:
        kind: ``"tabular"`` (any index is possible), ``"linear"`` (``u = X w``), or ``"known"`` (nothing free).
        f: ``(n,)`` positive.
        g: ``(n,)``.
        density: the utility is a normalised log density.
        annotator: the annotator itself.
    """

    kind: Literal["tabular", "linear", "known"]
    f: np.ndarray
    g: np.ndarray
    density: bool
    annotator: Annotator

    @property
    def parameter(self) -> str:
        """Name of the free parameter within the annotator."""
        inner = "utility.energy." if self.density else "utility."
        return inner + ("weights" if self.kind == "linear" else "values")

    @property
    def weights(self) -> np.ndarray:
        """Present weights of a linear utility, ``(dim,)``."""
        return dict(self.annotator.named_parameters())[self.parameter].detach().double().numpy()

    def design_matrix(self, items: Items) -> np.ndarray:
        """``(n, dim)`` matrix ``A`` with ``s = A w + g`` (linear models)."""
        return self.f[:, None] * items.features.double().numpy()  # type: ignore[union-attr]

    def values_of(self, s: np.ndarray, items: Items, prefix: str = "") -> dict[str, torch.Tensor]:
        """The named free parameters of a table whose index is ``s``, up to the location."""
        return {prefix + self.parameter: torch.as_tensor(self.utility_from_index(s, items))}

    def utility_from_index(self, s: np.ndarray, items: Items) -> np.ndarray:
        """``u = (s - g + C) / f``: C from the normalisation of a density, or from centring, in each prompt."""
        prompts = items.prompts.numpy()
        u = np.empty_like(s)
        for prompt in np.unique(prompts):
            at = prompts == prompt
            base, slope = (s[at] - self.g[at]) / self.f[at], 1.0 / self.f[at]
            if self.density:
                constant = _normalising_constant(base, slope, items.log_weights.numpy()[at])
            else:
                constant = -base.sum() / slope.sum()
            u[at] = base + constant * slope
        return u

    def index_of(self, items: Items) -> np.ndarray:
        """The index at the annotator's present parameters, ``(n,)``."""
        with torch.no_grad():
            return self.annotator.index(items).double().numpy()

    def index_jacobian(self, items: Items) -> np.ndarray | sparse.dia_matrix:
        """Jacobian of the index in the annotator's free parameters, ``(n, free)``."""
        if self.kind == "linear" and not self.density:
            return self.design_matrix(items)
        if self.kind == "tabular" and not self.density:
            return sparse.diags(self.f)
        one = self.annotator
        return (
            torch.func.jacfwd(lambda v: one.functional_call(v, lambda p: p.index(items)))(one.vector()).detach().numpy()
        )


def _normalising_constant(base: np.ndarray, slope: np.ndarray, log_weight: np.ndarray) -> float:
    """Root in C of ``logsumexp(base + C slope + log weight) = 0``, which rises and is convex in C: Newton."""
    value = logsumexp(base + log_weight)
    if np.ptp(slope) == 0:
        return float(-value / slope[0])
    c = -value / slope.min() if value < 0 else -value / slope.max()
    for _ in range(200):
        terms = base + c * slope + log_weight
        value = logsumexp(terms)
        step = value / float(np.exp(terms - value) @ slope)
        c -= step
        if abs(step) <= 1e-15 * max(1.0, abs(c)):
            break
    return float(c)


def affine_index(model: Population, items: Items) -> AffineIndex | None:
    """The structure of a single annotator, or ``None`` when it is not Luce on a tabular or linear utility."""
    if not behaves_as(model, Annotator, "index", "nodes") or not model.rule.follows_luce or model.rule.num_free():
        return None
    utility, density = model.utility, False
    if behaves_as(utility, LogDensity, "forward") and isinstance(utility.energy, Utility):
        utility, density = utility.energy, True
    tabular = behaves_as(utility, Tabular, "forward")
    if not tabular and not behaves_as(utility, Linear, "forward"):
        return None  # before the rule's reference is evaluated, which is expensive for a language model
    coefficients = _coefficients(model.rule, items)
    if coefficients is None:
        return None
    f, g = coefficients
    if not tabular and density and not (f == f[0]).all():
        return None  # the normalising constant then depends on w and does not cancel
    free = any(p.requires_grad for p in utility.parameters())
    return AffineIndex("known" if not free else "tabular" if tabular else "linear", f, g, density, model)


def _coefficients(rule: Rule, items: Items) -> tuple[np.ndarray, np.ndarray] | None:
    """``f`` and ``g`` of ``s = f u + g``, ``(n,)`` each; Luce's are one number read n times."""
    if behaves_as(rule, Luce, "index"):
        return np.broadcast_to(1.0 / float(rule.temperature), items.n), np.broadcast_to(0.0, items.n)
    with torch.no_grad():
        found = rule.affine(items)
    return None if found is None else (found[0].numpy(), found[1].numpy())


def affine_components(model: Population, items: Items) -> list[AffineIndex] | None:
    """The structures of a flat mixture's types, or ``None`` when one of them is not of Luce form."""
    if not isinstance(model, Mixture) or shares_numbers(model):
        return None
    found = [affine_index(one, items) for one in model.types]  # type: ignore[arg-type]
    return None if any(one is None for one in found) else found  # type: ignore[return-value]


def shares_numbers(model: Population) -> bool:
    """Whether some free number belongs to several types, so that no type can be moved alone.

    Example:
        >>> import annosim as an
        >>> same = an.Tabular(2)
        >>> shares_numbers(an.Mixture([an.Annotator(same, an.Luce()), an.Annotator(same, an.Luce(0.5))]))
        True
    """
    own = [{id(p) for p in component.parameters() if p.requires_grad} for component in model.components()]
    return sum(map(len, own)) > len(set().union(*own))


def free_table(component: Population) -> Tabular | None:
    """A single annotator's free table of utilities, or of energies of its density."""
    table = _energy(component)
    return table if behaves_as(table, Tabular, "forward") and table.values.requires_grad else None


def free_linear(component: Population) -> Linear | None:
    """A single annotator's free linear utility.

    Example:
        >>> import annosim as an
        >>> free_linear(an.Annotator(an.Tabular(2), an.Luce())) is None
        True
        >>> free_linear(an.Annotator(an.Linear([0.5, 1.0]), an.Luce())).weights.tolist()
        [0.5, 1.0]
    """
    one = component.utility if isinstance(component, Annotator) else None
    return one if behaves_as(one, Linear, "forward") and one.weights.requires_grad else None


def _energy(component: Population) -> object:
    utility = component.utility if isinstance(component, Annotator) else None
    return utility.energy if behaves_as(utility, LogDensity, "forward") else utility


def has_network(model: Population) -> bool:
    """Whether a free parameter is a network's: it belongs to a plain torch module and was never declared.

    Example:
        >>> import annosim as an
        >>> has_network(an.Annotator(an.Network([4], dim=1), an.Luce()))
        True
    """
    for name, p in model.named_parameters():
        path, _, own = name.rpartition(".")
        owner = model.get_submodule(path)
        if p.requires_grad and not (isinstance(owner, Model) and own in owner.declared):
            return True
    return False


def check_own_parameters(model: Population, items: Items) -> None:
    """Refuse a mixture in which two types are one and the same: the same free numbers, rule and indices.

    Types may share numbers (a trunk with a head or an adapter for each), but a type without anything of its own can
    never differ from the other: most often one module was handed to both by mistake.

    Raises:
        ArgumentError: names the two types and the remedy.

    Example:
        >>> import annosim as an
        >>> shared = an.Network([4], dim=1)
        >>> check_own_parameters(an.Mixture([an.Annotator(shared, an.Luce()) for _ in range(2)]), Items.grid(0, 1, 3))
        Traceback (most recent call last):
        annosim.errors.ArgumentError: types 0 and 1 share all their free parameters, ...
    """
    seen: dict[frozenset[int], int] = {}
    components = model.components()
    for number, one in enumerate(components):
        free = frozenset(id(p) for p in one.parameters() if p.requires_grad)
        other = seen.setdefault(free, number)
        if not free or other == number or repr(one.rule) != repr(components[other].rule):
            continue
        with torch.no_grad():
            same = torch.equal(one.nodes(items)[0], components[other].nodes(items)[0])
        if same:
            raise ArgumentError(
                f"types {other} and {number} share all their free parameters, so that they stay one type; give each "
                "its own module: copy.deepcopy(module), or an.utilities.with_adapters(module, copies=K)"
            )


def answers_repeat(data: PreferenceData) -> bool:
    """Whether somebody answers more than once.

    Example:
        >>> import annosim as an
        >>> answers_repeat(an.PreferenceData(an.Items(n=2), [[0, 1]] * 3, [0, 0, 1], annotator=[4, 4, 7]))
        True
    """
    ids = data.annotator
    return ids is not None and len(np.unique(ids)) < len(ids)
