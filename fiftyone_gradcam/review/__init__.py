"""Review: which labels and predictions to check first. Pure functions on arrays."""
