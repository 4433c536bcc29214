"""The posterior of one component's tastes for each annotator: weighted nodes.

A component without tastes of its own has one node. Tastes in up to three dimensions are integrated by the product rule
of :mod:`annosim.quadrature`, moved and scaled to each annotator's posterior until its mean and covariance stay (Naylor
and Smith 1982, J. R. Stat. Soc. C 31:214), so that it stays exact however many answers there are. In more dimensions:
importance sampling from a Student distribution at the mode (Geweke 1989, Econometrica 57:1317), with scrambled Sobol
points.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from scipy.special import chdtri

from annosim.items import Items
from annosim.learning.likelihoods.reference import Blocks, as_read_by, block_sums
from annosim.populations.base import Component
from annosim.populations.random_tastes import RandomTastes
from annosim.quadrature import sobol, trapezoid
from annosim.rules.base import Rule

__all__ = ["ComponentNodes", "component_nodes"]

#: product rules up to this many dimensions
PRODUCT_DIMENSIONS = 3
#: points per dimension of the product rules
POINTS = {1: 64, 2: 24, 3: 14}
#: importance draws for each annotator
DRAWS = 2048
#: degrees of freedom of the proposal
FREEDOM = 8.0
#: numbers held at once
CHUNK = 4_000_000
LOG_TWO_PI = math.log(2 * math.pi)


@dataclass(frozen=True, eq=False)
class ComponentNodes:
    """One component's nodes for each of ``B`` annotators.

    Attributes:
        component: the component.
        number: its place among the population's components.
        z: ``(B, S, dim)`` nodes in standard normal coordinates of the tastes; ``None`` where nodes are the same for all.
        weight: ``(B, S)`` posterior probabilities of the nodes within the component; rows sum to one.
        log_likelihood: ``(B, S)`` log-probability of each annotator's answers at the nodes.
        log_evidence: ``(B,)`` log-probability of the answers under the component.
        method: ``"enumeration"``, ``"quadrature"`` or ``"importance sampling"``.
    """

    component: Component
    number: int
    z: torch.Tensor | None
    weight: torch.Tensor
    log_likelihood: torch.Tensor
    log_evidence: torch.Tensor
    method: str

    @property
    def effective(self) -> torch.Tensor:
        """Effective number of draws ``1 / sum w^2`` (Kong 1992), ``(B,)``."""
        return 1.0 / self.weight.square().sum(-1)

    def index(self, items: Items, at: slice = slice(None)) -> torch.Tensor:
        """Indexed utilities at the nodes, ``(B, S, n)``; ``(1, S, n)`` where they are the same for all annotators."""
        if self.z is None:
            return self.component.nodes(items)[0].double()[None]
        assert isinstance(self.component, RandomTastes)
        return indexed(self.component, self.z[at], items)

    def tastes(self) -> torch.Tensor | None:
        """Tastes at the nodes, ``(B, S, p)``, or ``None``."""
        if self.z is None or not isinstance(self.component, RandomTastes):
            return None
        return self.component.tastes(self.z)


def indexed(component: RandomTastes, z: torch.Tensor, items: Items) -> torch.Tensor:
    """Indexed utilities at standard normal coordinates ``(..., dim) -> (..., n)``."""
    return component.rule.index(component.utilities(component.tastes(z), items), items).double()


def component_nodes(component: Component, number: int, items: Items, blocks: Blocks | None) -> ComponentNodes:
    """The nodes of a component, given the answers in ``blocks`` (``None``: one annotator without answers)."""
    count = 1 if blocks is None else blocks.count
    if not isinstance(component, RandomTastes):
        index, prior = component.nodes(items)
        return _weighted(
            component, number, None, index.double()[None], prior.double().log(), blocks, "enumeration", items
        )
    if component.normals > PRODUCT_DIMENSIONS:
        return _importance(component, number, items, blocks, count)
    return _quadrature(component, number, items, blocks, count)


def log_likelihood_at(rule: Rule, index: torch.Tensor, blocks: Blocks | None) -> torch.Tensor:
    """Log-probability of every annotator's answers at indexed utilities ``(B or 1, S, n) -> (B, S)``; differentiable."""
    if blocks is None:
        return index.new_zeros(index.shape[:2])
    answer, view = as_read_by(rule, blocks)
    menu, who = view.menu, blocks.block if len(index) > 1 else torch.zeros_like(blocks.block)
    step = max(1, CHUNK // max(1, menu.numel()))
    out = []
    for part in index.split(step, 1):
        scores = part.permute(0, 2, 1)[who[:, None], menu.clamp_min(0)].permute(2, 0, 1)
        if view.padded:
            scores = torch.where(menu >= 0, scores, -torch.inf)
        out.append(block_sums(rule.log_prob(scores, answer, view).double(), blocks))
    return torch.cat(out).T


def _weighted(
    component: Component,
    number: int,
    z: torch.Tensor | None,
    index: torch.Tensor,
    log_prior: torch.Tensor,
    blocks: Blocks | None,
    method: str,
    items: Items,
) -> ComponentNodes:
    """Nodes with their posterior weights; ``log_prior (B or 1, S)`` has the rule's own weights in it."""
    found = log_likelihood_at(component.rule, index, blocks)
    joint = log_prior + found
    evidence = torch.logsumexp(joint, -1)
    weight = (joint - evidence[:, None]).exp()
    return ComponentNodes(component, number, z, weight, found.expand_as(weight), evidence, method)


# ---- quadrature ------------------------------------------------------------------------------------------------------


def _quadrature(
    component: RandomTastes, number: int, items: Items, blocks: Blocks | None, count: int
) -> ComponentNodes:
    dim = component.normals
    points = max(POINTS[dim], component.points if component.quadrature != "sobol" else 0)
    base, cell = trapezoid(dim, points)
    spacing = float(base[:, 0].unique().diff().min())
    log_cell = cell.log() + 0.5 * base.square().sum(-1)
    mean = torch.zeros(count, dim, dtype=torch.float64)
    root = torch.eye(dim, dtype=torch.float64).expand(count, dim, dim)
    for _ in range(20):
        z = mean[:, None] + base @ root.mT
        log_prior = log_cell + root.diagonal(dim1=-2, dim2=-1).log().sum(-1)[:, None] - 0.5 * z.square().sum(-1)
        found = _weighted(component, number, z, indexed(component, z, items), log_prior, blocks, "quadrature", items)
        centre, spread = _moments(base.expand(count, -1, -1), found.weight)
        if _settled(centre, spread):
            return found
        # what falls between two nodes is not seen: never narrower than half their distance
        spread = spread + torch.eye(dim, dtype=torch.float64) * (0.5 * spacing) ** 2
        mean = mean + (root @ centre[..., None])[..., 0]
        root = torch.linalg.cholesky(root @ spread @ root.mT)
    return found


def _moments(nodes: torch.Tensor, weight: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean ``(B, dim)`` and covariance ``(B, dim, dim)`` of weighted nodes ``(B, S, dim)``."""
    mean = (weight[..., None] * nodes).sum(1)
    away = nodes - mean[:, None]
    return mean, (weight[..., None] * away).mT @ away


def _settled(centre: torch.Tensor, spread: torch.Tensor) -> bool:
    """Whether every posterior lies in the middle of its nodes, as wide as they are made for."""
    scale = torch.linalg.eigvalsh(spread)
    return bool((centre.abs() < 0.3).all() and (scale > 0.5).all() and (scale < 1.6).all())


# ---- importance sampling ---------------------------------------------------------------------------------------------


def _importance(
    component: RandomTastes, number: int, items: Items, blocks: Blocks | None, count: int
) -> ComponentNodes:
    dim = component.normals
    normal, _ = sobol(dim + 1, DRAWS, component.quadrature_seed)
    share = torch.special.ndtr(normal[:, dim])
    # a Student variable in each direction: normals over the root of a scaled chi-square, which shares one coordinate
    chi = _chi_square(share, FREEDOM)
    base = normal[:, :dim] * (FREEDOM / chi).sqrt()[:, None]
    log_density = _log_student(base, FREEDOM)
    mean, root = _mode(component, items, blocks, count)
    for _ in range(3):
        z = mean[:, None] + base @ root.mT
        log_proposal = log_density - root.diagonal(dim1=-2, dim2=-1).log().sum(-1)[:, None]
        log_prior = -0.5 * z.square().sum(-1) - 0.5 * dim * LOG_TWO_PI - log_proposal - math.log(len(base))
        found = _weighted(
            component, number, z, indexed(component, z, items), log_prior, blocks, "importance sampling", items
        )
        if float(found.effective.min()) > 0.2 * DRAWS:
            break
        mean, spread = _moments(z, found.weight)
        root = torch.linalg.cholesky(spread + 1e-6 * torch.eye(dim, dtype=torch.float64))
    return found


def _chi_square(share: torch.Tensor, freedom: float) -> torch.Tensor:
    """Quantiles of the chi-square distribution at ``share (S,)``."""
    return torch.as_tensor(chdtri(freedom, 1.0 - share.numpy()))


def _log_student(x: torch.Tensor, freedom: float) -> torch.Tensor:
    """Log density of the multivariate Student distribution at ``(S, dim)``."""
    dim = x.shape[-1]
    constant = math.lgamma((freedom + dim) / 2) - math.lgamma(freedom / 2) - 0.5 * dim * math.log(freedom * math.pi)
    return constant - 0.5 * (freedom + dim) * (x.square().sum(-1) / freedom).log1p()


def _mode(
    component: RandomTastes, items: Items, blocks: Blocks | None, count: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Mode of each annotator's posterior ``(B, dim)`` and a root of the inverse information there, by Newton's method.

    Where the rule has no gradient, the prior.
    """
    dim = component.normals
    eye = torch.eye(dim, dtype=torch.float64)
    mean, root = torch.zeros(count, dim, dtype=torch.float64), eye.expand(count, dim, dim)
    if blocks is None or component.rule.ordinal:
        return mean, root

    def log_joint(z: torch.Tensor) -> torch.Tensor:
        index = indexed(component, z[:, None], items)
        return log_likelihood_at(component.rule, index, blocks)[:, 0] - 0.5 * z.square().sum(-1)

    for _ in range(30):
        with torch.enable_grad():
            z = mean.clone().requires_grad_(True)
            value = log_joint(z)
            (gradient,) = torch.autograd.grad(value.sum(), z, create_graph=True)
            rows = [torch.autograd.grad(gradient[:, j].sum(), z, retain_graph=True)[0] for j in range(dim)]
        information = -torch.stack(rows, 1)
        values, vectors = torch.linalg.eigh(0.5 * (information + information.mT))
        values = values.clamp_min(0.5)  # the prior's own is one; less is a mixture of rules, which draws widely
        move = (vectors @ ((vectors.mT @ gradient.detach()[..., None]) / values[..., None]))[..., 0]
        move = move * (3.0 / move.norm(dim=-1, keepdim=True).clamp_min(3.0))
        now = value.detach()
        with torch.no_grad():
            for _ in range(20):
                better = log_joint(mean + move) >= now - 1e-12
                if bool(better.all()):
                    break
                move = torch.where(better[:, None], move, 0.5 * move)
        mean = mean + move
        root = torch.linalg.cholesky((vectors / values[:, None]) @ vectors.mT)
        if float(move.abs().max()) < 1e-6:
            break
    return mean, root
