"""Inverting the law: ``fit`` from finite data, ``project`` from infinite data.

The verbs, and what all solvers share, lie here: the problem and the table of solvers (``problem``), objectives, priors,
normalisations, results. The rooms:

* ``likelihoods``: one class for each structure of a model; value, gradient, curvature, scores, weights
* ``solvers``: the maximiser that all likelihoods share; convex and linear programs for other objectives
* ``training``: networks, by Adam or by EM over networks
* ``existence``: whether the estimate exists at all
* ``inference``: standard errors, bootstraps, profiles, draws
"""

from __future__ import annotations

from annosim.namespaces import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
