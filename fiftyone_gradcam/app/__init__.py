"""The plugin for the FiftyOne App. PyTorch is imported only when it is needed, so that the App
starts fast."""

from .operators import OPERATORS
from .panels import ClassifierPanel


def register(plugin) -> None:
    """Register the operators and the panel; FiftyOne calls this when it loads the plugin."""
    for operator in OPERATORS:
        plugin.register(operator)
    plugin.register(ClassifierPanel)
