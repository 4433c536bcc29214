"""Solvers: one safeguarded maximiser, the accelerated fixed point, stacked tables, convex and linear programs."""
