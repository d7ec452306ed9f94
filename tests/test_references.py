"""Which files of heatmaps a sample of any dataset refers to."""

import fiftyone as fo
import pytest

from fiftyone_gradcam.dataset import references
from fiftyone_gradcam.dataset.prediction_fields import HEATMAP_ATTRIBUTES
from fiftyone_gradcam.dataset.storing import Declared, declare

OWN = "0123456789abcdef01234567"


@pytest.fixture
def dataset(name):
    """Samples with heatmaps in files, in the database, and none; of the user's own field one."""
    made = fo.Dataset(name)
    declare(made, "cam", Declared("heatmap", "", {}, HEATMAP_ATTRIBUTES))
    paths = [f"/x/{OWN}/heatmaps/cam/{number}.png" for number in range(4)]
    for number, path in enumerate([*paths, None, None]):
        sample = fo.Sample(f"/{number}.png")
        sample["cam"] = fo.Heatmap(map_path=path) if number < 5 else None
        sample["mine"] = (
            fo.Heatmap(map_path=f"/x/{OWN}/heatmaps/cam/mine.png") if not number else None
        )
        made.add_sample(sample)
    return made


def test_files_in_use_are_found_in_parts_and_in_all_folders(dataset, monkeypatch):
    home = f"/x/{OWN}/heatmaps"
    asked = [f"{home}/cam/{n}.png" for n in (0, 2, 3, 9)]
    asked += [f"{home}/cam/mine.png", f"{home}2/cam/1.png", "/y/cam/0.png"]
    used = {f"{home}/cam/{name}.png" for name in ("0", "2", "3", "mine")}
    for chunk in (1, 2, 1000):
        monkeypatch.setattr(references, "CHUNK", chunk)
        assert references.heatmaps_in_use(iter(asked)) == used
    assert references.heatmaps_in_use([]) == set()
    tails = {f"{OWN}/heatmaps/cam/{name}.png" for name in ("0", "1", "2", "3", "mine")}
    assert references.heatmap_tails(OWN) == tails
    assert references.heatmap_tails("f" * 24) == set()
    assert tails <= references.all_tails()


def test_large_datasets_get_an_index_of_the_paths_of_this_plugin_once(dataset, monkeypatch):
    index = "cam.map_path_1"
    monkeypatch.setattr(references, "_indexed", set())

    def indexes() -> set[str]:
        references.heatmaps_in_use([f"/x/{OWN}/heatmaps/cam/0.png"])
        return {x for x in dataset._sample_collection.index_information() if "map_path" in x}

    assert indexes() == set()
    monkeypatch.setattr(references, "MANY", 5)
    assert indexes() == set()  # it has been looked at
    references._indexed.clear()
    monkeypatch.setattr(references, "MANY", 6)
    assert indexes() == set()
    references._indexed.clear()
    monkeypatch.setattr(references, "MANY", 5)
    references.heatmap_tails(OWN)  # reads every sample, and needs none
    assert references._indexed == set()
    assert indexes() == {index}
