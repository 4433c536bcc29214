"""Can it be known? ``identify(population, design)`` and what stands behind it."""
