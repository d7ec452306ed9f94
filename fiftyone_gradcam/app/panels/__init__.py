"""The panel "Grad-CAM classifier", with a module for each tab."""

from .classifier import ClassifierPanel

__all__ = ["ClassifierPanel"]
