"""Likelihoods: each made once from model and data; value, gradient, curvature, scores and weights of one model."""
