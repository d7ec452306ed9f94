"""Descriptions of a prediction and its heatmap in words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from ..images.geometry import Box
from .measures import Measures

CLOSE, CLEAR = 0.2, 0.6  # margins: a decision is close below the first, and clear above the second
EVEN_BORDER = 0.36  # `Measures.border` of a uniform map
AT_BORDER = 0.5


def prediction_words(
    top: Sequence[tuple[str, float]], label: str | None, own: float | None, field: str
) -> list[str]:
    """Describe the prediction, the label, and how close the decision was.

    Args:
        top: the most probable classes with their probabilities, in descending order
        label: of the sample; None if it has none
        own: probability of the label; None if the network does not know the class
        field: the field of the label
    """
    (first, highest), *others = top
    if label is None:
        words = [f"Predicted {first!r} with {highest:.2f}. There is no label in {field!r}."]
    elif label == first:
        words = [f"Predicted {first!r} with {highest:.2f}, which is its label."]
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
    """Describe where the heatmap of a class is.

    Args:
        label: the class
        measures: of its map; None if the map is zero
    """
    if measures is None:
        return [f"There is no evidence for {label!r} in the image: its heatmap is zero."]
    words = f"{measures.focus:.0%} of the heatmap of {label!r} is in its hottest tenth of the image"
    if measures.border > AT_BORDER:
        return [
            f"{words}, and {measures.border:.0%} at the border (a uniform heatmap: "
            f"{EVEN_BORDER:.0%}). The decision may be based on the background."
        ]
    return [f"{words} (a uniform heatmap: 10%)."]


def neighbor_words(labels: Sequence[str | None], what: str) -> list[str]:
    """Describe how the most similar images are labeled.

    Args:
        labels: of each image; None if it has none
        what: what the images are, such as "training images"
    """
    if not labels:
        return []
    counts = Counter(label for label in labels if label is not None).most_common()
    if not counts:
        return []
    said = ", ".join(f"{count} {name!r}" for name, count in counts)
    return [f"Labels of the {len(labels)} most similar {what}: {said}."]


def seen_words(box: Box) -> list[str]:
    """Describe how much of the image the network saw; nothing if it saw all of it."""
    left, top, right, bottom = (min(max(side, 0.0), 1.0) for side in box)
    share = (right - left) * (bottom - top)
    if share > 0.995:
        return []
    return [f"The network saw the outlined {share:.0%} of the image. The rest had no influence."]
