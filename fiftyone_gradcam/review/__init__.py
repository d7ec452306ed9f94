"""Review: which labels and predictions to look at first. Pure functions on arrays."""
