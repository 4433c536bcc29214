"""Hidden types and random tastes: EM, Newton, simulated likelihood, and how many types there are."""
