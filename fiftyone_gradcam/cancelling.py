"""How long work is ended in good order, from outside."""


class CancelledError(Exception):
    """Raised by a function that is passed as `progress`, to end the work.

    The verb that was called raises it on; `fine_tune` and `predict` say in it what they keep.
    """
