"""The FiftyOne App. Torch is imported only where work is done, so that the App starts fast."""

from .operators import OPERATORS
from .panels import ClassifierPanel


def register(plugin) -> None:
    """Register everything the plugin offers; FiftyOne calls this when it loads the plugin."""
    for operator in OPERATORS:
        plugin.register(operator)
    plugin.register(ClassifierPanel)
