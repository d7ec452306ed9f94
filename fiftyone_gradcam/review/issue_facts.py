"""Derive the issues of all images from a verdict on labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from .kernel import directions, plain_directions
from .kinds import Facts, Issue, find_issues, with_issues
from .neighbors import distances_to_others, nearest, outliers
from .verdict import Verdict


def issues_of(
    labels: Sequence[str],
    readable: Sequence[str | None],
    classes: Sequence[str],
    places: np.ndarray,
    verdict: Verdict,
    features: np.ndarray,
    twins: Mapping[int, Mapping[int, str]],
    group: np.ndarray,
    poor: Sequence[tuple[str, str] | None],
) -> dict[int, Issue]:
    """Return the issue of each image that has one, with its most similar images.

    Args:
        labels: of N images
        readable: the same; None if the image cannot be read
        classes: the classes that are judged
        places: (n,) positions of the images that are judged
        verdict: on these images
        features: (N, C); (N, 0) if there are none, which disables outliers and neighbors
        twins, group: see `twins.twins_of`
        poor: see `pictures.poor_pictures`

    Returns:
        issues by position, for images that can be read
    """
    strange, distances = np.zeros(len(places), bool), np.zeros(len(places))
    vectors = None
    if features.shape[1]:
        distances = distances_to_others(plain_directions(features[places]), group[places])
        strange = outliers(distances)
        vectors = directions(features[places])
    rows = {place: row for row, place in enumerate(places.tolist())}
    facts = Facts(
        labels,
        classes,
        rows,
        verdict.probabilities,
        verdict.wrong,
        verdict.estimate.chances,
        strange,
        distances,
        twins,
        poor,
    )
    neighbors = {}
    wanted = with_issues(facts)
    if vectors is not None and wanted:
        chosen = np.array([rows[place] for place in wanted])
        found, _ = nearest(vectors, chosen, group[places])
        for place, row in zip(wanted, found, strict=True):
            neighbors[place] = tuple(places[row[row >= 0]].tolist())
    issues = find_issues(facts, neighbors)
    return {place: issue for place, issue in issues.items() if readable[place] is not None}
