"""What answers can tell of a population: its identifiable coordinates, their rank, distances, and the naming of types.

This is the one definition. ``fit`` counts parameters by it, ``align`` and ``compare`` name types and measure distances
by it, ``identify`` and ``plan`` take ranks in it.

Of each type, answers tell

* its **index** on the items, centred within each prompt; where raising all of them alike changes the answers (ratings,
  an outside option) only over all items, and the level then shows in the behaviour;
* where tastes vary, the distribution of the index: mean and covariance where it is normal, means of smooth functions
  otherwise. Neither depends on a rotation of the hidden coordinates or on the naming of nodes;
* the **behaviour** of its rule: what it answers to standard questions at standard scores. This holds every number that
  the index does not: lapse rates, cuts, tie and position parameters, skills;

and of the population the **shares** of the types, for everybody or, under :class:`annosim.Gated`, by covariates.
Nested mixtures count as the mixture of their components. Everything else is a normalisation, and never an error.
"""

from __future__ import annotations

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
