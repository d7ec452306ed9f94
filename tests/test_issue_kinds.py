"""What kind of issue an image has, by hand-worked cases."""

import warnings

import numpy as np
import pytest
import torch

from fiftyone_gradcam.review import neighbors
from fiftyone_gradcam.review.kinds import EQUAL, Facts, Issue, find_issues, with_issues
from fiftyone_gradcam.review.neighbors import distances_to_others, nearest, outliers
from fiftyone_gradcam.review.pictures import _quantile, picture_measures, poor_pictures


def test_kinds_and_evidence_by_hand():
    labels = ["cat"] * 6 + ["dog"] * 6 + ["owl"] * 2
    probabilities = np.array(
        [[0.9, 0.1], [0.03, 0.97], [0.55, 0.45], [0.9, 0.1], [0.9, 0.1], [0.9, 0.1]]
        + [[0.1, 0.9]] * 3
        + [[0.75, 0.25], [0.1, 0.9], [0.1, 0.9]]
    )
    wrong = np.arange(12) == 1
    facts = Facts(
        labels=labels,
        classes=["cat", "dog"],
        rows={i: i for i in range(12)},
        probabilities=probabilities,
        wrong=wrong,
        chances=np.where(wrong, 0.94, 0.01),
        strange=np.arange(12) == 3,
        distances=np.where(np.arange(12) == 3, 0.9, 0.3),
        twins={4: {6: "near"}, 6: {4: "near"}, 7: {8: "equal"}, 8: {7: "equal"}},
        poor=[None] * 5 + [("dark", "99% of it is darker than 0.10 of white")] + [None] * 8,
    )
    found = find_issues(facts, {1: (6, 7, 8, 0)})
    kinds = {place: issue.kind for place, issue in found.items()}
    assert kinds == {
        1: "wrong label",
        2: "ambiguous",
        3: "outlier",
        4: "near duplicates, two labels",
        5: "dark",
        6: "near duplicates, two labels",
        9: "possibly wrong",
        12: "too few to judge",
        13: "too few to judge",
    }  # 7 and 8 are equal files with one label: no issue
    assert found[1].evidence == (
        "a model trained without this image predicts dog 97.0%, cat 3.0%; 3 of 4 most similar "
        "images are labeled 'dog'"
    )
    assert found[1].confidence == pytest.approx(0.94)
    assert found[1].neighbors == (6, 7, 8, 0)
    assert found[2].evidence == "a model trained without this image predicts cat 55.0%, dog 45.0%"
    assert found[2].confidence == pytest.approx(0.9)  # twice the second probability
    assert found[3].evidence.startswith("far from all classes: 3.0 times as far")
    assert found[3].confidence == pytest.approx(1 - 0.3 / 0.9)
    assert found[4].confidence == 0.9
    assert found[4].evidence.startswith(
        "nearly the same image is labeled 'dog'; a model trained without this "
        "image predicts cat 90.0%"
    )
    assert found[5].evidence.startswith(
        "dark: 99% of it is darker than 0.10 of white; a model trained without this "
        "image predicts cat 90.0%"
    )
    assert found[9].evidence == "a model trained without this image predicts cat 75.0%, dog 25.0%"
    assert found[9].confidence == pytest.approx(0.01)
    assert [place for place, issue in found.items() if issue.sure] == [1]
    assert found[12].evidence == "2 images of 'owl': 5 different ones are needed"


@pytest.mark.parametrize(
    ("neighbors", "words"),
    [
        ((1, 2, 3), "; 2 of 3 most similar images are labeled 'dog'"),
        ((1, 4, 5), ", but 2 of 3 most similar images are labeled 'cat'"),
        ((4, 1), "; 1 of 2 most similar images are labeled 'dog'"),  # as many as of the other
        ((), ""),
    ],
)
def test_evidence_that_contradicts_the_model_says_but(neighbors, words):
    facts = Facts(
        labels=["cat", "dog", "dog", "cat", "cat", "cat"],
        classes=["cat", "dog"],
        rows={0: 0},
        probabilities=np.array([[0.258, 0.742]]),
        wrong=np.array([False]),
        chances=np.array([0.7]),
        strange=np.array([False]),
        distances=np.array([0.1]),
        twins={},
        poor=[None] * 6,
    )
    issue = find_issues(facts, {0: neighbors})[0]
    said = "a model trained without this image predicts dog 74.2%, cat 25.8%"
    assert (issue.kind, issue.evidence) == ("possibly wrong", said + words)


def test_the_given_class_is_named_though_it_is_the_least_probable():
    facts = Facts(
        labels=["cat"],
        classes=["cat", "dog", "owl"],
        rows={0: 0},
        probabilities=np.array([[0.1, 0.3, 0.6]]),
        wrong=np.array([True]),
        chances=np.array([0.9]),
        strange=np.array([False]),
        distances=np.array([0.1]),
        twins={},
        poor=[None],
    )
    words = "a model trained without this image predicts owl 60.0%, cat 10.0%"
    assert find_issues(facts, {})[0].evidence == words


def test_of_several_issues_the_first_names_the_image_and_all_are_said():
    labels = ["cat", "dog", "owl", *["cat"] * 5, "dog"]
    judged = [0, 3, 4, 5, 7]
    facts = Facts(
        labels=labels,
        classes=["cat", "dog"],
        rows={place: row for row, place in enumerate(judged)},
        probabilities=np.array([[0.9, 0.1], [0.2, 0.8], [0.9, 0.1], [0.7, 0.3], [0.5, 0.5]]),
        wrong=np.array([False, True, False, False, False]),
        chances=np.array([0.0, 0.75, 0.0, 0.0, 0.0]),
        strange=np.array([False, True, True, False, False]),
        distances=np.array([0.25, 0.5, 0.5, 0.25, 0.25]),
        twins={0: {1: "equal", 2: "near"}, 1: {0: "equal"}},
        poor=[
            None,
            None,
            ("dark", "d"),
            ("light", "x"),
            ("light", "y"),
            *[None] * 3,
            ("dark", "z"),
        ],
    )
    judgment = "a model trained without this image predicts "
    cat, far = f"{judgment}cat 90.0%, dog 10.0%", "far from all classes: 2.0 times as far from the"
    far += " most similar images as usual"
    few = "2 images of 'dog': 5 different ones are needed"
    expected = {
        0: (EQUAL, 1.0, f"the same file is labeled 'dog' and 'owl'; {cat}", False),
        1: (EQUAL, 1.0, f"the same file is labeled 'cat'; {few}", False),
        2: ("dark", 1.0, "dark: d; 1 image of 'owl': 5 different ones are needed", False),
        3: ("wrong label", 0.75, f"{judgment}dog 80.0%, cat 20.0%; {far}; light: x", True),
        4: ("outlier", 0.5, f"{far}; light: y; {cat}", False),
        5: ("ambiguous", 0.6, f"{judgment}cat 70.0%, dog 30.0%", False),  # just enough
        6: ("too few to judge", 1.0, "6 images of 'cat': 5 different ones are needed", False),
        7: ("ambiguous", 1.0, f"{judgment}cat 50.0%, dog 50.0%", False),
        8: ("dark", 1.0, f"dark: z; {few}", False),
    }
    found = find_issues(facts, {})
    assert {
        place: (issue.kind, issue.confidence, issue.evidence, issue.sure)
        for place, issue in found.items()
    } == expected
    assert with_issues(facts) == judged  # those that are judged, whose neighbors are asked for


def test_without_a_class_that_can_be_judged_no_image_is_judged():
    nothing = np.zeros(0)
    facts = Facts(["cat"], [], {}, np.zeros((0, 0)), nothing, nothing, nothing, nothing, {}, [None])
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # nor is a median of nothing taken
        found = find_issues(facts, {})
    assert found == {
        0: Issue("too few to judge", 1.0, "1 image of 'cat': 5 different ones are needed")
    }
    assert with_issues(facts) == []


def test_neighbors_by_hand_leave_twins_out():
    angles = np.radians([0, 1, 10, 30, 90])
    vectors = np.stack([np.cos(angles), np.sin(angles)], 1).astype(np.float32)
    group = np.array([0, 0, 2, 3, 4])
    found, cosines = nearest(vectors, np.array([0, 3]), group, 3)
    assert found.tolist() == [[2, 3, 4], [2, 1, 0]]
    assert cosines[0] == pytest.approx(np.cos(np.radians([10, 30, 90])), abs=1e-6)
    found, _ = nearest(vectors, np.array([0]), group, 4)
    assert found.tolist() == [[2, 3, 4, -1]]
    found, _ = nearest(vectors, np.array([0]), group, 3, among=np.array([4, 3, 1]))
    assert found.tolist() == [[3, 4, -1]]


def test_an_image_like_no_other_is_an_outlier():
    random = np.random.default_rng(0)
    vectors = np.concatenate([random.normal(5, 1, (200, 30)), random.normal(-5, 1, (1, 30))])
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    distances = distances_to_others(vectors, np.arange(201))
    assert np.flatnonzero(outliers(distances)).tolist() == [200]


def test_distances_are_to_five_others_among_a_part_of_all(monkeypatch):
    angles = np.radians([0, 10, 20, 40, 90])
    vectors = np.stack([np.cos(angles), np.sin(angles)], 1)
    group = np.arange(5)
    other = 1 - np.cos(np.radians([[10, 20, 40, 90], [10, 10, 30, 80], [20, 10, 20, 70],
                                   [40, 30, 20, 50], [90, 80, 70, 50]]))  # fmt: skip
    assert distances_to_others(vectors, group) == pytest.approx(other.mean(1))
    monkeypatch.setattr(neighbors, "MOST_ASKED", 3)  # the first, third and last one
    part = 1 - np.cos(np.radians([[20, 90, 90], [10, 10, 80], [20, 70, 70]]))
    expected = [part[0, :2].mean(), part[1].mean(), part[2, :2].mean()]
    assert distances_to_others(vectors, group)[:3] == pytest.approx(expected)
    with np.errstate(all="raise"):  # all are near duplicates
        assert np.isnan(distances_to_others(vectors, np.zeros(5))).all()


def pictures():
    """Uint8 images (40, 3, 64, 64) of random blocks, some of which are poor."""
    random = np.random.default_rng(0)
    blocks = random.integers(0, 256, (40, 3, 16, 16))
    images = np.kron(blocks, np.ones((1, 1, 4, 4), int))
    images[3] = images[3] // 10  # darker than a tenth of white
    images[5] = 255 - images[5] // 20
    images[8] = 130
    ramp = np.linspace(100, 150, 64)[None, :, None]
    images[9] = np.broadcast_to(ramp + np.linspace(0, 10, 64), (3, 64, 64))
    return torch.from_numpy(images.astype(np.uint8))


def test_poor_pictures_by_their_names():
    measures = picture_measures(pictures()).numpy()
    widths, heights = np.full(40, 300.0), np.full(40, 200.0)
    widths[11], heights[12], widths[13] = 900, 30, np.nan
    widths[20], heights[20] = 3000, 2000
    found = poor_pictures(measures, widths, heights)
    kinds = {i: fault[0] for i, fault in enumerate(found) if fault is not None}
    assert kinds == {
        3: "dark",
        5: "light",
        8: "low information",
        9: "blurry",
        11: "odd aspect ratio",
        12: "odd aspect ratio",
        20: "odd size",
    }
    assert measures[3, 0] == pytest.approx(25 / 255, abs=0.01)
    assert measures[8, 3] == pytest.approx(np.log2(3) / 10, abs=1e-4)  # three bands of one value
    assert found[20][1] == "3000 x 2000 pixels, where the usual side is 245"


@pytest.mark.parametrize(("step", "counts"), [(30, False), (50, True)])
def test_the_sharpness_of_two_halves_by_hand(step, counts):
    """An edge and, if there is enough of it, contrast: the standard deviation is half a step."""
    images = torch.zeros((1, 3, 16, 16), dtype=torch.uint8)
    images[..., 8:] = step
    edge = 3 * step * np.sqrt(1 / 14 * 13 / 14)  # in one of 14 columns
    expected = 1 - np.exp(-0.01 * edge) + counts * (1 - np.exp(-0.01 * step / 2))
    assert float(picture_measures(images)[0, 2]) == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize(
    ("column", "limit", "kind", "words"),
    [
        (0, 0.32, "dark", "99% of it is darker than 0.32 of white"),
        (1, 0.05, "light", "95% of it is brighter than 0.95 of white"),
        (2, 0.29, "blurry", "sharpness 0.29, usually 0.50"),
        (3, 0.3, "low information", "nearly one color: information 0.30, usually 0.50"),
    ],
)
def test_only_what_is_below_its_limit_is_poor(column, limit, kind, words):
    measures, sides = np.full((20, 4), 0.5), np.full(20, 100.0)
    measures[3:5, column] = limit, np.nextafter(limit, 0)
    found = poor_pictures(measures, sides, sides)
    assert [(i, x) for i, x in enumerate(found) if x] == [(4, (kind, words))]
    measures[5:7, column] = 0.0  # of 20 images, three share it
    assert poor_pictures(measures, sides, sides) == [None] * 20


def test_pictures_of_odd_shape_and_of_unknown_size():
    widths, heights = np.full(40, 200.0), np.full(40, 200.0)
    for place, width, height in ((1, 112, 320), (3, 112, 321), (5, 320, 112)):  # twice .35
        widths[place], heights[place] = width, height
    found = poor_pictures(np.zeros((40, 0)), widths, heights)
    assert [(i, x) for i, x in enumerate(found) if x] == [
        (3, ("odd aspect ratio", "112 x 321 pixels"))
    ]
    nothing = np.full(3, np.nan)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert poor_pictures(np.zeros((3, 0)), nothing, nothing) == [None] * 3


def test_large_pictures_are_as_sharp_as_at_64_pixels():
    small = pictures()[:3]
    large = small.repeat_interleave(2, 2).repeat_interleave(2, 3)
    measured = [picture_measures(x)[:, 2] for x in (small, large)]
    assert measured[0].tolist() == pytest.approx(measured[1].tolist(), abs=1e-6)
    ordered = torch.tensor([[0.0, 1.0, 4.0, 9.0, 100.0]])
    found = [float(_quantile(ordered, share)) for share in (0, 0.375, 0.5, 1)]
    assert found == [0.0, 2.5, 4.0, 100.0]


def test_what_most_images_share_is_no_issue():
    dark = pictures() // 10
    found = poor_pictures(picture_measures(dark).numpy(), np.full(40, 300.0), np.full(40, 200.0))
    assert not any(fault and fault[0] == "dark" for fault in found)


@pytest.mark.parametrize(
    ("side", "is_odd"), [(84.9, True), (85.1, False), (114.9, False), (115.1, True), (0.1, True)]
)
def test_a_size_is_odd_if_it_is_far_from_the_usual_ones(side, is_odd):
    """Sides of 100 have a range of at least 5, and three of these are usual on either side."""
    sides = np.full(41, 100.0)
    sides[7] = side
    found = poor_pictures(np.zeros((41, 0)), sides, sides)
    assert [i for i, fault in enumerate(found) if fault] == ([7] if is_odd else [])


@pytest.mark.parametrize(("side", "is_odd"), [(284, False), (285, True)])
def test_sizes_that_differ_have_a_wider_range(side, is_odd):
    sides = np.array([*np.linspace(100, 180, 41), side])  # quartiles of 120.5 and 161.5
    found = poor_pictures(np.zeros((42, 0)), sides, sides)
    assert [i for i, fault in enumerate(found) if fault] == ([41] if is_odd else [])
