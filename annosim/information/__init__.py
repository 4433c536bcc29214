r"""How the law of the answers moves with the parameters: its Jacobian, distances between laws, Fisher information.

Given the type, answers are independent, so the law of a block of ``q`` questions is a weighted sum of tensor powers,
``L = sum_c w_c f_c^{(x)q}`` with ``f_c(menu, answer) = sqrt(P(menu)) P_c(answer | menu)``. All of it happens inside the
span of the vectors ``f_c`` and of their derivatives: a QR of these few columns turns a law of billions of outcomes into
a small symmetric tensor with the same singular values (never a Gram difference, which only reaches 1e-8).

Lengths are in the norm ``|L|^2 = E_menus sum_answers P(answers | menus)^2``: it does not grow with the number of menus.
"""

from annosim.information.fisher import Information, enumerable, fisher_information
from annosim.information.frames import LIMIT, Frame, double, exchangeable, merge_settings, prepare
from annosim.information.jacobian import (
    common_frame,
    compress,
    factors,
    forward_jacobian,
    law_distance,
    law_jacobian,
    listed_law,
    symmetric_index,
    symmetric_law,
    symmetric_size,
    symmetric_tangent,
    tangents,
    vectors,
)
from annosim.information.threads import few_threads

__all__ = [
    "LIMIT",
    "Frame",
    "Information",
    "common_frame",
    "compress",
    "double",
    "enumerable",
    "exchangeable",
    "factors",
    "few_threads",
    "fisher_information",
    "forward_jacobian",
    "law_distance",
    "law_jacobian",
    "listed_law",
    "merge_settings",
    "prepare",
    "symmetric_index",
    "symmetric_law",
    "symmetric_size",
    "symmetric_tangent",
    "tangents",
    "vectors",
]
