"""What is said of the progress and the end of a review."""

import pytest

from fiftyone_gradcam.dataset.review_counts import ReviewCounts

CHECKED = {"checked": True, "left": 24, "others_left": 341, "reviewed": 6, "corrected": 5}


@pytest.mark.parametrize(
    ("counts", "words", "remark"),
    [
        ({}, "", ""),
        ({"others_left": 3}, "", ""),  # nobody knows which are suspicious
        ({"others_reviewed": 1}, "1 label reviewed; 0 corrected so far", ""),
        ({"others_reviewed": 3, "corrected": 1}, "3 labels reviewed; 1 corrected so far", ""),
        (
            {**CHECKED, "expected": 27},
            "30 suspicious labels: 6 reviewed, 24 left; about 27 wrong labels expected in all, 5 "
            "corrected so far",
            "",
        ),
        (CHECKED, "30 suspicious labels: 6 reviewed, 24 left; 5 corrected so far", ""),
        (
            {**CHECKED, "left": 0, "reviewed": 30, "expected": 6},
            "30 suspicious labels: 30 reviewed, 0 left; about 6 wrong labels expected in all, 5 "
            "corrected so far",
            "No suspicious label is left; 341 other labels are not reviewed",
        ),
        (
            {**CHECKED, "expected": 1},
            "30 suspicious labels: 6 reviewed, 24 left; 5 corrected so far, where about 1 was "
            "expected",
            "",
        ),
        (
            {**CHECKED, "left": 0, "reviewed": 1, "others_reviewed": 1, "expected": 1},
            "1 suspicious label: 1 reviewed, 0 left; 1 other label reviewed; 5 corrected so far",
            "No suspicious label is left; 341 other labels are not reviewed",
        ),
        (  # as many are corrected as were expected: while some are left, and when none is
            {**CHECKED, "expected": 5},
            "30 suspicious labels: 6 reviewed, 24 left; about 5 wrong labels expected in all, 5 "
            "corrected so far",
            "",
        ),
        (
            {**CHECKED, "left": 0, "others_left": 0, "expected": 5},
            "6 suspicious labels: 6 reviewed, 0 left; 5 corrected so far",
            "",
        ),
        (
            {"checked": True, "corrected": 2, "expected": 2},
            "0 suspicious labels; about 2 wrong labels expected in all, 2 corrected so far",
            "",
        ),
        (
            {"checked": True, "left": 1, "others_reviewed": 2, "expected": 1},
            "1 suspicious label: 0 reviewed, 1 left; 2 other labels reviewed; about 1 wrong label "
            "expected in all, 0 corrected so far",
            "",
        ),
        (
            {**CHECKED, "left": 1234, "reviewed": 2000, "corrected": 1500, "expected": 1400},
            "3,234 suspicious labels: 2,000 reviewed, 1,234 left; 1,500 corrected so far, where "
            "about 1,400 were expected",
            "",
        ),
        (
            {"checked": True, "others_left": 1, "expected": 0},
            "0 suspicious labels; no wrong labels expected, 0 corrected so far",
            "No suspicious label is left; 1 other label is not reviewed",
        ),
    ],
)
def test_the_counts_in_words(counts, words, remark):
    found = ReviewCounts(**counts)
    assert (found.words, found.remark) == (words, remark)


@pytest.mark.parametrize(
    ("counts", "words"),
    [
        ({"reviewed": 3}, ""),  # these labels were never checked
        (CHECKED, ""),
        ({"checked": True, "others_reviewed": 9}, ""),  # none was suspicious
        (
            {"checked": True, "reviewed": 29, "others_left": 369, "corrected": 14},
            "All 29 suspicious labels are reviewed, 14 labels are corrected",
        ),
        (
            {"checked": True, "reviewed": 1, "corrected": 1},
            "The suspicious label is reviewed, 1 label is corrected",
        ),
        (
            {"checked": True, "reviewed": 2},
            "All 2 suspicious labels are reviewed, no label is corrected",
        ),
    ],
)
def test_the_end_of_a_review_says_what_was_done(counts, words):
    assert ReviewCounts(**counts).finished == words
