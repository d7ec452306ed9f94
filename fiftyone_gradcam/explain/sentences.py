"""What there is to say of a prediction and of its heatmap, in words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from ..images.geometry import Box
from .measures import Measures

CLOSE, CLEAR = 0.2, 0.6  # margins below which a decision is close, and above which it is clear
EVEN_BORDER = 0.36  # share of an even map that lies in the frame of a tenth of each side
AT_BORDER = 0.5


def prediction_words(
    top: Sequence[tuple[str, float]], label: str | None, own: float | None, field: str
) -> list[str]:
    """Prediction, label, and how close it was.

    Args:
        top: the most probable classes with their probabilities, the first first
        label: of the sample; None of one without
        own: its probability; None of a class that the network does not know
        field: that the label is in
    """
    (first, highest), *others = top
    if label is None:
        words = [f"Predicted {first!r} with {highest:.2f}. There is no label in {field!r}."]
    elif label == first:
        words = [f"Predicted {first!r} with {highest:.2f}, as it is labeled."]
    elif own is None:
        words = [f"Predicted {first!r} with {highest:.2f}. The network does not know {label!r}."]
    else:
        words = [f"Predicted {first!r} with {highest:.2f}. The label {label!r} has {own:.2f}."]
    if others:
        second, lower = others[0]
        margin = highest - lower
        how = "a close" if margin < CLOSE else "a clear" if margin > CLEAR else "not a clear"
        words.append(f"{second!r} comes next, {margin:.2f} behind: {how} decision.")
    return words


def heatmap_words(label: str, measures: Measures | None) -> list[str]:
    """Where the heatmap of a class is.

    Args:
        label: the class
        measures: of its map; None of one that is zero
    """
    if measures is None:
        return [f"Nothing in the image speaks for {label!r}: its heatmap is zero."]
    words = f"{measures.focus:.0%} of the heatmap of {label!r} is in its hottest tenth of the image"
    if measures.border > AT_BORDER:
        return [
            f"{words}, and {measures.border:.0%} at the border (of an even heatmap: "
            f"{EVEN_BORDER:.0%}). Perhaps the background decides."
        ]
    return [f"{words} (of an even heatmap: 10%)."]


def neighbor_words(labels: Sequence[str | None], what: str) -> list[str]:
    """How the most similar images are labeled.

    Args:
        labels: of each; None of one without
        what: they are, such as "training images"
    """
    if not labels:
        return []
    counts = Counter(label for label in labels if label is not None).most_common()
    if not counts:
        return []
    said = ", ".join(f"{count} {name!r}" for name, count in counts)
    return [f"Labels of the {len(labels)} most similar {what}: {said}."]


def seen_words(box: Box) -> list[str]:
    """How much of the image the network saw, where it did not see all of it."""
    left, top, right, bottom = (min(max(side, 0.0), 1.0) for side in box)
    share = (right - left) * (bottom - top)
    if share > 0.995:
        return []
    return [f"The network saw the outlined {share:.0%} of the image. The rest played no part."]
