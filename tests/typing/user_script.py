"""A user's script: every verb, with the types that a checker must see. `.ci/wheel` checks it against the built wheel."""

from __future__ import annotations

from typing import assert_type

import numpy as np
import pandas as pd
from numpy.typing import NDArray

import annosim as an

# The README's ten lines.
items = an.Items.normal(6, dim=2, seed=0)
people = an.Mixture(
    [an.Annotator(an.Linear([1.0, 0.0]), an.Luce()), an.Annotator(an.Linear([-1.0, 0.5]), an.Luce())],
    weights=[0.7, 0.3],
)
design = an.Design(items, menu_size=3, feedback="choice", annotators=400, questions=2)
data = an.simulate(people, design, seed=0)
fit = an.fit(people.like(seed=1), data)
score = an.compare(fit, people, design)
report = an.identify(people, design)

assert_type(items, an.Items)
assert_type(people, an.Mixture)
assert_type(design, an.Design)
assert_type(data, an.PreferenceData)
assert_type(fit, an.Fit)
assert_type(score, an.Comparison)
assert_type(report, an.IdentifiabilityReport)

# The other verbs.
law = an.law(people, design)
best = an.project(an.Annotator(an.Linear([0.0, 0.0]), an.Luce()), people, design)
table = an.plan(people, [design], target="weights", precision=0.05)
assert_type(law, an.Law)
assert_type(best, an.Fit)
assert_type(table, an.Plan)

# Structure is kept, numbers are marked.
assert_type(people.like(seed=1), an.Mixture)
assert_type(an.Luce(an.free(1.0)), an.Luce)
assert_type(an.fixed([0.5, 0.5]), an.parameters.Fixed)

# numpy and pandas at the surface.
assert_type(law.probabilities, NDArray[np.float64])
assert_type(law.to_frame(), pd.DataFrame)
assert_type(items.to_pandas(), pd.DataFrame)
assert_type(an.Items.from_pandas(items.to_pandas()), an.Items)
assert_type(data.to_pandas(), pd.DataFrame)
assert_type(fit.converged, bool)
total: float = np.asarray(law.probabilities).sum()

# Replicates give a batch; one of them is a fit like any other.
replicates = an.simulate(people, design, seed=0, replicates=2)
fits = an.learning.fit_replicates(people.like(seed=1), replicates)
assert_type(fits, an.learning.BatchedFit)
assert_type(fits[0], an.Fit)
assert_type(an.fit([people.like(seed=1), people.like(seed=2)], replicates), an.learning.BatchedFit)

# Solvers are values.
assert_type(an.fit(people.like(seed=1), data, solver=an.EM(steps=100)), an.Fit)
assert_type(an.fit(people.like(seed=1), data, solver="newton"), an.Fit)
assert_type(an.project(people.like(seed=1), people, design, solver=an.Newton(tolerance=1e-12)), an.Fit)

# Namespaces.
tied = an.rules.RaoKupper(theta=1.2)
assert_type(tied, an.rules.RaoKupper)
assert_type(an.designs.round_robin(items), NDArray[np.int64])
objective = an.objectives.IPO(0.1)
prior = an.priors.Gaussian(1.5)
try:
    an.Luce(temperature=-1.0)
except an.errors.ArgumentError as error:
    message = str(error)
