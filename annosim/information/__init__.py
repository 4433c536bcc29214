"""How the law of the answers moves with the parameters: its Jacobian, distances between laws, Fisher information.

Given the type, answers are independent, so the law of a block of ``q`` questions is a weighted sum of tensor powers,
``L = sum_c w_c f_c^{(x)q}`` with ``f_c(menu, answer) = sqrt(P(menu)) P_c(answer | menu)``. All of it happens inside the
span of the vectors ``f_c`` and of their derivatives: a QR of these few columns turns a law of billions of outcomes into
a small symmetric tensor with the same singular values (never a Gram difference, which only reaches 1e-8).

Lengths are in the norm ``|L|^2 = E_menus sum_answers P(answers | menus)^2``: it does not grow with the number of menus.
"""

from __future__ import annotations

from annosim.namespaces import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
