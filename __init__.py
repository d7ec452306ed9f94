"""The plugin as FiftyOne loads it."""

from .fiftyone_gradcam.app import register

__all__ = ["register"]
