"""Inverting the law: ``fit`` from finite data, ``project`` from infinite data.

The verbs, and what all solvers share, lie here: the problem and the table of solvers (``problem``), objectives, priors,
gauges, results. The solvers and what belongs to them:

* ``one_type``: one type under Luce's rule (Bradley-Terry, Plackett-Luce, conditional logit), Newton on statistics
* ``mixtures``: hidden types, random tastes, and how many types there are
* ``training``: networks, by Adam or by EM over networks
* ``exact``: population optima of objectives other than the likelihood (IPO, SLiC, margins)
* ``exists``: whether the estimate exists at all
* ``inference``: standard errors, bootstraps, profiles, draws
* ``generic``: everything else, by automatic differentiation
"""

from __future__ import annotations

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
