"""Explanations: computing and drawing class activation maps."""
