"""Standard errors, bootstraps, profiles and draws of a fit."""
