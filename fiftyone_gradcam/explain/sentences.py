"""Descriptions of a prediction and its heatmap in words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from ..images.geometry import Box
from .measures import Measures

CLOSE, CONFIDENT = 0.2, 0.6  # margins: close below the first, confident above the second
EVEN_BORDER = 0.36  # `Measures.border` of a uniform map
AT_BORDER = 0.5
SHARP = 0.3  # `Measures.focus` of a map that is not spread out; 0.1 is a uniform map


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
    said = f"The network predicts {first!r} with a probability of {highest:.1%}"
    if label is None:
        words = [f"{said}. There is no label in {field!r}."]
    elif label == first:
        words = [f"{said}, which is the label."]
    elif own is None:
        words = [f"{said}. It does not know the label {label!r}."]
    else:
        words = [f"{said}. The label {label!r} gets {own:.1%}."]
    if others:
        second, lower = others[0]
        margin = highest - lower
        then = "" if second == label else f": {second!r} gets {lower:.1%}"
        if margin < CLOSE:
            words.append(f"The decision between {first!r} and {second!r} was close{then}.")
        else:
            how = "confident" if margin > CONFIDENT else "fairly confident"
            words.append(f"It is {how} that this is {first!r} rather than {second!r}{then}.")
    return words


def split_words(tags: Sequence[str]) -> list[str]:
    """Describe whether a network that was trained on the dataset learns from an image.

    Args:
        tags: the tags of the sample
    """
    if "train" in tags:
        return ["This image is in the split 'train', from which the network learns."]
    others = [tag for tag in ("val", "test") if tag in tags]
    return [f"This image is in the split {tag!r}: the network learns nothing from it."
            for tag in others[:1]]  # fmt: skip


def heatmap_words(label: str, measures: Measures | None) -> list[str]:
    """Describe where the heatmap of a class is.

    Args:
        label: the class
        measures: of its map; None if the map is zero
    """
    if measures is None:
        return [f"There is no evidence for {label!r} in this image: its heatmap is empty."]
    where = "concentrated" if measures.focus >= SHARP else "spread out"
    words = [
        f"The evidence for {label!r} is {where}: {measures.focus:.0%} of it lies in a tenth of the "
        f"image."
    ]
    if measures.border > AT_BORDER:
        words.append(
            f"{measures.border:.0%} of the evidence for {label!r} lies near the border, which "
            f"covers {EVEN_BORDER:.0%} of the image. The network may judge by the background."
        )
    return words


def neighbor_words(labels: Sequence[str | None], what: str, predicted: str) -> list[str]:
    """Describe how the most similar images are labeled, and whether this contradicts the network.

    Args:
        labels: of each image; None if it has none
        what: what the images are, such as "training images"
        predicted: the class that the network predicts
    """
    if not labels:
        return []
    counts = Counter(label for label in labels if label is not None).most_common()
    if not counts:
        return []
    said = ", ".join(f"{count} {name!r}" for name, count in counts)
    name, count = counts[0]
    if name != predicted and 2 * count > len(labels):
        they = f"most of the {len(labels)} most similar {what}"
        return [f"But {they} have another label than {predicted!r}: {said}."]
    return [f"Labels of the {len(labels)} most similar {what}: {said}."]


def seen_words(box: Box) -> list[str]:
    """Describe how much of the image the network saw; nothing if it saw all of it."""
    left, top, right, bottom = (min(max(side, 0.0), 1.0) for side in box)
    share = (right - left) * (bottom - top)
    if share > 0.995:
        return []
    return [f"The network saw the outlined {share:.0%} of the image. The rest had no influence."]
