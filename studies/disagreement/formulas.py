"""What margins do to one pair, exactly: the closed forms beside the library's projection."""

from __future__ import annotations

import numpy as np

import annosim as an


def logit(p):
    return float(np.log(p) - np.log1p(-p))


def unsigned_optimum(p, m):
    """Where ``-p log s(d - m) - (1 - p) log s(-d - m)`` is least:
    ``e^d = [(2p-1) + sqrt((2p-1)^2 + 4p(1-p)k^2)] / [2(1-p)k]``, ``k = e^-m``."""
    k = np.exp(-m)
    return float(np.log(((2 * p - 1) + np.sqrt((2 * p - 1) ** 2 + 4 * p * (1 - p) * k * k)) / (2 * (1 - p) * k)))


def one_pair(p, m):
    """The optimum of every objective on one pair that a share p prefers, with judges who say q = p.

    ``m`` is the size of the unsigned margin, ``alpha |2q - 1|``.
    """
    alpha = m / abs(2 * p - 1)
    items = an.Items(n=2)
    truth = an.Annotator(an.Tabular([logit(p), 0.0]), an.Luce())
    design = an.Design(items)
    objectives = {
        "none": an.objectives.NLL(),
        "M1 unsigned": an.objectives.Margin("unsigned", alpha=alpha),
        "M2 signed": an.objectives.Margin("signed", alpha=alpha),
        "M3 inside": an.objectives.Margin("inside", alpha=alpha),
        "constant": an.objectives.Margin("constant", alpha=m),
        "soft label": an.objectives.SoftLabels(),
    }
    expected = {
        "none": logit(p),
        "M1 unsigned": unsigned_optimum(p, m),
        "M2 signed": logit(p) + alpha * (2 * p - 1),
        "M3 inside": unsigned_optimum(p, -m),
        "constant": unsigned_optimum(p, m),
        "soft label": logit(p),
    }
    rows = []
    for name, objective in objectives.items():
        found = an.project(an.Annotator(an.Tabular(2), an.Luce()), truth, design, objective=objective)
        values = found.population.utility.values.detach()
        rows.append({"objective": name, "gap": float(values[0] - values[1]), "closed_form": expected[name]})
    return rows
