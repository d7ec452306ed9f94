"""Labels judged by probabilities of the user's own: what is judged, kept and printed."""

import fiftyone as fo
import numpy as np
import pytest
from made_runs import some_digits

import fiftyone_gradcam as fg
from fiftyone_gradcam.workflow import reviewing

QUIET = {"progress": False}


def test_each_row_belongs_to_its_sample_and_each_column_to_its_class(tmp_path, name, capsys):
    for dataset in some_digits(tmp_path / "d", name, per_class=7):
        rows = np.random.default_rng(0).dirichlet(np.ones(3), 21)
        ids, labels = dataset.values(["id", "ground_truth.label"])
        labels[:3] = [None] * 3  # four are left, which are too few to judge
        dataset.set_values("ground_truth", [x and fo.Classification(label=x) for x in labels])
        fg.review(dataset.select(ids[7]), "exclude")
        fg.review(dataset.select(ids[20]), "unclear")
        capsys.readouterr()
        view = fg.find_label_issues(dataset, probabilities=rows, **QUIET)
        printed = capsys.readouterr().out.splitlines()
        assert printed[:2] == [
            "Left out by reviews: 1 excluded, 1 unclear",
            "Too few different images to judge: digit 0 (4)",
        ]
        judged = [*range(8, 20)]
        shares = rows[:, 1:] / rows[:, 1:].sum(1, keepdims=True)  # of the two classes
        own = [shares[i, int(labels[i][-1]) - 1] for i in judged]
        found = dict(zip(ids, dataset.values("label_quality"), strict=True))
        assert [found[ids[i]] for i in judged] == pytest.approx(own)
        assert [found[ids[i]] for i in (*range(8), 20)] == [None] * 9
        assert view.values("id") == [ids[judged[i]] for i in np.argsort(own, kind="stable")]
        few = dataset.skip(3).limit(4)
        assert few.values("issue.label") == ["too few to judge"] * 4
        facts = dataset.info["label_issues"]
        assert (facts["method"], facts["judged"]) == ("probabilities", 12)
        assert facts["fields"] == ["label_quality", "suggested_label", "issue"]
        # In a field of another name, and of a part: the others keep what they have.
        part = dataset.select(ids[9:19])
        options = {"quality_field": "mine", "suggestion_field": "other", "issue_field": "why"}
        fg.find_label_issues(part, probabilities=shares[9:19], **options, **QUIET)
        assert dataset.info["label_issues"]["fields"] == ["mine", "other", "why"]
        assert dataset.count("mine") == 10
        assert dataset.count("label_quality") == 12


def test_classes_without_five_different_images_are_not_judged():
    labels = ["a"] * 6 + ["b"] * 5 + ["c"] * 5 + [None]
    own = np.arange(17)
    assert reviewing._check_classes(labels, own) == (["a", "b", "c"], {})
    twins = np.where(own == 12, 11, own)  # two of "c" are near duplicates
    assert reviewing._check_classes(labels, twins) == (["a", "b"], {"c": 5})
    words = "Label issues need at least two classes with five different images each; there are: "
    with pytest.raises(ValueError, match=rf"{words}'a' \(4\), 'b' \(5\)$"):
        reviewing._check_classes(labels[2:11], own[2:11])
    with pytest.raises(ValueError, match=f"{words}none$"):
        reviewing._check_classes([None], own[:1])


def test_the_estimate_is_printed_with_its_pairs_and_kinds(name, capsys):
    dataset = fo.Dataset(name)
    dataset.add_samples([fo.Sample("/1.png", label_quality=0.5), fo.Sample("/2.png")])
    found = {"estimate": 2, "judged": 9, "low": 1, "high": 3}
    plain = "About 2 of 9 labels are wrong (95% interval: 1 to 3)"
    nothing = found | {"too_few": [], "pairs": [], "kinds": {}}
    reviewing._report(nothing, {}, dataset.skip(1), "label_quality")
    assert capsys.readouterr().out.splitlines() == [plain]
    pairs = [{"class": "a", "label": str(n), "count": n / 2} for n in range(7, -1, -1)]
    noted = found | {
        "too_few": [{"class": "c", "count": 4}, {"class": "d", "count": 1}],
        "pairs": pairs,
        "kinds": {"wrong label": 2, "dark": 1},
    }
    reviewing._report(noted, {"exclude": ["1"]}, dataset.view(), "label_quality")
    assert capsys.readouterr().out.splitlines() == [
        "Left out by reviews: 1 excluded",
        "1 image whose file cannot be read now keeps its earlier 'label_quality'",
        "Too few different images to judge: c (4), d (1)",
        plain,
        "  about 4 of 'a' labeled '7'",
        "  about 3 of 'a' labeled '6'",
        "  about 2 of 'a' labeled '5'",
        "  about 2 of 'a' labeled '4'",
        "  about 2 of 'a' labeled '3'",
        "Issues: 2 wrong label, 1 dark",
    ]
    few = [pair | {"count": count} for pair, count in zip(pairs, (0.6, 0.5), strict=False)]
    reviewing._report(nothing | {"pairs": few}, {}, dataset.skip(1), "label_quality")
    assert capsys.readouterr().out.splitlines() == [plain, "  about 1 of 'a' labeled '7'"]
