"""The verbs: the whole loop from folders to suspicious labels, as plain functions."""
