"""Copies of one model with stacked parameters, evaluated at once."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import torch
from torch import nn
from torch.distributions.transforms import Transform

from annosim.constraints import Constraint
from annosim.items import Items, send
from annosim.learning.training.fast_layers import faster
from annosim.learning.training.placement import on_one_device
from annosim.learning.training.rule_parameters import StackedRule, has_own_parameters
from annosim.parameters import behaves_as
from annosim.populations.annotator import Annotator
from annosim.populations.base import Population
from annosim.rules.base import Rule
from annosim.rules.luce import PBDE
from annosim.utilities.adapters import moved
from annosim.utilities.base import as_vector
from annosim.utilities.language_models import LogPolicy, SequenceReward
from annosim.utilities.networks import Network

if TYPE_CHECKING:
    from annosim.learning.training.batches import Rows

__all__ = ["Component", "StackedModel", "with_cached_references"]

#: a component's rule, index ``(copies, n)`` and share ``(copies,)``
Component: TypeAlias = tuple[Rule | StackedRule, torch.Tensor, torch.Tensor]

#: On a CPU copies are evaluated one after the other from this many multiplications a copy (items shown x entries of its weight
#: matrices): then a pass is arithmetic, which batching cannot shorten, and dense layers have their fast products.
#: Energy networks of 4 x 64 on a core of a Zen 5, 2 to 12 copies: both alike at 800 items, one by one 1.1 to 1.3 times as
#: fast at 2001, all at once 1.4 to 2.1 times at 201 and 1.5 to 4 times at 51.
SEQUENTIAL_FROM = 1e7


class StackedModel:
    """``copies`` models of one structure whose free parameters are stacked along a leading axis.

    Args:
        models: populations of one structure; the first one's fixed numbers are used for all.
        items: the item set, on the device.
        device: where the networks live.
        half: autocast dtype of the networks' pass, or ``None``.
        compiled: run the pass through ``torch.compile``.

    Attributes:
        trainable: unconstrained leaf tensors, each ``(copies, *shape)``.
        follows_luce: every rule answers as Luce's does at its index.
        local: every utility's number for an item depends on that item alone: a batch needs only the items it shows.
    """

    def __init__(
        self,
        models: list[Population],
        items: Items,
        device: torch.device,
        half: torch.dtype | None = None,
        compiled: bool = False,
    ):
        self.originals, self.items, self.device, self.half = models, items, device, half
        self.copies = len(models)
        self.sequential = False
        self._last_part: tuple[torch.Tensor, _Part] | None = None
        self.compiled = compiled
        # compiled copies are mapped inside the compiled pass, which the fast products cannot be
        base = faster(moved(copy.deepcopy(models[0]), device), device, products=not compiled or len(models) == 1)
        with on_one_device(base, device):
            base = with_cached_references(base, items).to(device)
        self.base = base
        self.names = [name for name, p in base.named_parameters() if p.requires_grad]
        self.transforms = {name: _transform(base.constraint_of(name)) for name in self.names}
        self.raw: dict[str, torch.Tensor] = {name: self._start(name) for name in self.names}
        home = {id(p): name for name, p in base.named_parameters()}  # a rule may share a network with the utility
        self._matrices = sum(p[0].numel() for p in self.raw.values() if p.ndim > 2)
        self._rule_parameters = {
            id(component.rule): {own: home[id(p)] for own, p in component.rule.named_parameters() if p.requires_grad}
            for component in base.components()
            if has_own_parameters(component.rule)
        }
        with torch.no_grad():
            counts = [
                1 if isinstance(component, Annotator) else len(component.nodes(items)[1])
                for component in base.components()
            ]
        self._rules = [
            component.rule for component, count in zip(base.components(), counts, strict=True) for _ in range(count)
        ]
        self.follows_luce = all(rule.follows_luce for rule in self._rules)
        utilities = [component.utility if isinstance(component, Annotator) else None for component in base.components()]
        self.local = all(utility is not None and utility.local for utility in utilities)
        self._networks = all(behaves_as(utility, Network, "forward") for utility in utilities)
        self._pass = self._compiled() if compiled else self._indices

    @property
    def trainable(self) -> list[torch.Tensor]:
        """The unconstrained parameters, in the order of ``names``."""
        return list(self.raw.values())

    def _compiled(self) -> Callable[..., tuple[torch.Tensor, ...]]:
        """The pass, compiled; of language models only the models, since what surrounds them looks at token counts."""
        models = [m.model for m in self.base.modules() if isinstance(m, LogPolicy | SequenceReward)]
        if not models or self.copies > 1:
            return torch.compile(self._indices)
        for model in models:
            model.compile()
        return self._indices

    def _start(self, name: str) -> torch.Tensor:
        values = torch.stack([dict(m.named_parameters())[name].detach() for m in self.originals]).to(self.device)
        if self.transforms[name] is not None:
            values = self.base.constraint_of(name).unconstrained(values, torch.finfo(values.dtype).tiny)
        return nn.Parameter(values.clone())  # DDP takes nothing else

    def constrained(self) -> dict[str, torch.Tensor]:
        """Named parameters, ``(copies, *shape)``, under their constraints, differentiable."""
        return {n: v if (t := self.transforms[n]) is None else t(v) for n, v in self.raw.items()}

    def shown_by(self, rows: Rows) -> torch.Tensor | None:
        """Ids of the items that a batch needs: ``(m,)`` on the CPU for all copies, ``(copies, m)`` for each its own, or
        ``None`` for all items."""
        if not self.local:
            return None
        shown = rows.shown_each if self.copies > 1 and self._networks else rows.shown
        return shown if shown.shape[-1] < self.items.n else None

    def components(self, shown: torch.Tensor | None = None) -> tuple[list[Component], list[torch.Tensor]]:
        """``(rule, index (copies, n), weight (copies,))`` per component, and each component's utility ``(copies, n)``.

        Args:
            shown: ids of the items that matter, from :meth:`shown_by`; the utilities of the others are left at zero.
        """
        values = self.constrained()
        amp = torch.autocast(self.device.type, self.half) if self.half is not None else contextlib.nullcontext()
        with amp, on_one_device(self.base, self.device):
            index, weight, utility = self._pass(values, shown)
        rules = [self._own_rule(rule, values) for rule in self._rules]
        parts = [(rules[c], _plain(index[c]), weight[c]) for c in range(len(rules))]
        return parts, list(utility)

    def _indices(self, values: dict[str, torch.Tensor], shown: torch.Tensor | None) -> tuple[torch.Tensor, ...]:
        """Index ``(components, copies, n)``, weight ``(components, copies)`` and utility ``(components, copies, n)``."""
        if self.copies == 1:
            part = self._part(shown)
            return tuple(v[:, None] for v in self._of_one({n: v[0] for n, v in values.items()}, part))
        if shown is None or shown.ndim == 1:
            part = self._part(shown)
            return self._each(lambda v: self._of_one(v, part), values, shown=shown)
        features = self.items.features[shown.clamp_max(self.items.n - 1)]  # type: ignore[index]

        def one(v: dict[str, torch.Tensor], x: torch.Tensor, ids: torch.Tensor) -> tuple[torch.Tensor, ...]:
            return self._of_one(v, _Part(_Features(x), ids))

        return self._each(one, values, features, shown, shown=shown)

    def _part(self, shown: torch.Tensor | None) -> _Part | None:
        """The items shown; those of a full batch are the same in every step, and picked once."""
        if shown is None:
            return None
        if self._last_part is None or self._last_part[0] is not shown:
            ids = send(shown, self.device)
            self._last_part = shown, _Part(self.items.subset(shown, ids), ids)
        return self._last_part[1]

    def _each(
        self, function: Callable[..., tuple[torch.Tensor, ...]], *arguments: Any, shown: torch.Tensor | None
    ) -> tuple[torch.Tensor, ...]:
        """A function of every copy at once, or of one after another, where that is faster or a module cannot be mapped."""
        if not (self.sequential or self._large(shown)):
            try:
                return torch.vmap(function, out_dims=1)(*arguments)
            except RuntimeError as error:  # a branch on numbers, an operation in place, a kernel of one's own, ...
                if not any(word in str(error) for word in ("vmap", "functorch", "storage")):
                    raise
                self.sequential = True
        own = [
            [{n: v[r] for n, v in a.items()} if isinstance(a, dict) else a[r] for a in arguments]
            for r in range(self.copies)
        ]
        return tuple(torch.stack(parts, 1) for parts in zip(*(function(*one) for one in own), strict=True))

    def _large(self, shown: torch.Tensor | None) -> bool:
        """Whether a copy's pass is so much arithmetic that copies had better be evaluated one by one."""
        if self.compiled or self.device.type != "cpu":
            return False
        return self._matrices * (self.items.n if shown is None else shown.shape[-1]) >= SEQUENTIAL_FROM

    def _of_one(self, values: dict[str, torch.Tensor], part: _Part | None) -> tuple[torch.Tensor, ...]:
        return torch.func.functional_call(self.base, values, (lambda population: self._read(population, part),))

    def _read(self, population: Population, part: _Part | None) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        components, shares = population.components(), population.component_weights()
        index, weight, utility = [], [], []
        for component, share in zip(components, shares, strict=True):
            if isinstance(component, Annotator):
                u = self._all(component.utility) if part is None else part.of(component.utility, self.items.n)
                nodes, mass = component.rule.index(u, self.items)[None], share[None]
            else:
                nodes, mass = component.nodes(self.items)
                u, mass = nodes[0], share * mass
            index.append(nodes)
            weight.append(mass)
            utility.append(u)
        return torch.cat(index), torch.cat(weight), torch.stack(utility)

    def _all(self, utility: torch.nn.Module) -> torch.Tensor:
        return as_vector(utility, utility(self.items), self.items.n)

    def _own_rule(self, rule: Rule, values: dict[str, torch.Tensor]) -> Rule | StackedRule:
        """A rule with free parameters that act on the scores: each copy's own."""
        names = self._rule_parameters.get(id(rule))
        return rule if names is None else StackedRule(rule, {own: values[name] for own, name in names.items()})

    def populations(self) -> list[Population]:
        """Trained copies of the models that were given, on the CPU."""
        with torch.no_grad():
            values = {n: v.detach().cpu() for n, v in self.constrained().items()}
        made = [m.with_parameters({n: v[r] for n, v in values.items()}) for r, m in enumerate(self.originals)]
        return [moved(m, "cpu") for m in made]


class _Features(NamedTuple):
    """What a :class:`~annosim.Network` reads of items."""

    features: torch.Tensor

    @property
    def n(self) -> int:
        return len(self.features)


class _Part(NamedTuple):
    """Some of the items, and their ids; a pad has an id of n."""

    items: Any
    ids: torch.Tensor

    def of(self, utility: torch.nn.Module, n: int) -> torch.Tensor:
        """The utility of these items, ``(n,)``, zero elsewhere."""
        value = as_vector(utility, utility(self.items), self.items.n)
        blank = torch.zeros(n + 1, dtype=value.dtype, device=value.device)
        return blank.scatter(0, self.ids, value)[:n]


def _transform(constraint: Constraint) -> Transform | None:
    """From the whole line to a constraint; ``None`` where there is nothing to do."""
    return None if constraint in (Constraint.REAL, Constraint.CENTRED) else constraint.transform


def _plain(index: torch.Tensor) -> torch.Tensor:
    """Half precision ends here: losses are float32 at least."""
    return index.float() if index.dtype in (torch.bfloat16, torch.float16) else index


def with_cached_references(model: Population, items: Items) -> Any:
    """The model with every reference of a PBDE rule evaluated once on the items (in place; pass a copy).

    Example:
        >>> import annosim as an
        >>> items = an.Items.grid(-1., 1., 3)
        >>> rule = an.PBDE.dpo(2.0, an.LogDensity(lambda x: -x[:, 0] ** 2))
        >>> made = with_cached_references(an.Annotator(an.Tabular(3), rule), items)
        >>> made.rule.g.shape
        torch.Size([3])
    """
    done: dict[int, PBDE] = {}  # types may hold one rule together
    for parent in list(model.modules()):
        for name, child in list(parent.named_children()):
            if behaves_as(child, PBDE) and (callable(child.f) or callable(child.g)):
                free = [p for p in child.parameters() if p.requires_grad]
                if not free:
                    if id(child) not in done:
                        f, g = child.coefficients(items)
                        done[id(child)] = PBDE(f.detach().cpu(), g.detach().cpu())
                    setattr(parent, name, done[id(child)])
    return model
