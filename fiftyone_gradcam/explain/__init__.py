"""Explanations: the mathematics of class activation maps, and their pictures."""
