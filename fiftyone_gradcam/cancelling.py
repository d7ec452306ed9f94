"""How long work is ended in good order, from outside."""


class CancelledError(Exception):
    """Raised by a function that is passed as `progress`, to end the work; the verb that was
    called raises it on, with what it keeps as its words."""
