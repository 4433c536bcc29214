"""Population optima of objectives other than the likelihood, each with a proof."""
