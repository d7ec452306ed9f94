"""The panel "Grad-CAM classifier": a room for each of its tabs."""

from .classifier import ClassifierPanel

__all__ = ["ClassifierPanel"]
