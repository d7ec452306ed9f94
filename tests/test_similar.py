"""Names that are almost right: each error says which one was meant."""

import pytest

import fiftyone_gradcam as fg
from fiftyone_gradcam.model.backbones import BACKBONES, get_backbone
from fiftyone_gradcam.similar import did_you_mean
from fiftyone_gradcam.training.recipes import make_recipe


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("ResNet18", "resnet18"),
        ("resnt18", "resnet18"),
        ("RESNET-18", "resnet18"),
        ("EfficientNet-B0", "efficientnet_b0"),
        ("MobileNet V2", "mobilenet_v2"),
        ("vit-b-16", "vit_b_16"),
        ("ConvNeXt_Tiny", "convnext_tiny"),
        ("squeezenet1.1", "squeezenet1_1"),
        ("Small_CNN", "small_cnn"),
    ],
)
def test_a_backbone_that_is_meant_is_named(name, meant):
    for refused in (
        lambda: get_backbone(name),
        lambda: fg.describe(name),
        lambda: fg.Recipe(name),
        lambda: make_recipe(backbone=name, weights="auto"),
    ):
        with pytest.raises(ValueError, match=f"{name!r}. Did you mean '{meant}'\\? Choose one of"):
            refused()


def test_nothing_is_guessed_of_a_name_like_none():
    assert did_you_mean("gone", BACKBONES) == ""  # nor is it googlenet
    assert did_you_mean(3, BACKBONES) == ""
    assert did_you_mean("x", []) == ""
    with pytest.raises(ValueError, match=r"Unknown backbone \['resnet18'\]"):
        get_backbone(["resnet18"])
    assert did_you_mean("b", ["B", "b"]) == "Did you mean 'B'? "
    # The most similar one, and it as it is written.
    known = ["Ground Truth", "ground", "prediction"]
    assert did_you_mean("ground-truth", known) == "Did you mean 'Ground Truth'? "


MEANT = [
    (lambda ds: fg.fine_tune(ds, "new", label_field="ground_thruth", backbone="small_cnn",
                             weights="none"), "'ground_thruth'", "ground_truth"),
    (lambda ds: fg.predict(ds, "Quick"), "no training run 'Quick'", "quick"),
    (lambda ds: fg.predict(ds, "ResNet18"), "no training run 'ResNet18'", "resnet18"),
    (lambda ds: fg.predict(ds, "quick", label_field="Ground_Truth"), "'Ground_Truth'",
     "ground_truth"),
    (lambda ds: fg.predict(ds, "quick", methd="gradcam"), "no option 'methd'", "method"),
    (lambda ds: fg.predict(ds, "quick", method="GradCAM"), "method 'GradCAM'", "gradcam"),
    (lambda ds: fg.predict(ds, "quick", heatmap_classes="Digit 1"), "no class 'Digit 1'",
     "digit 1"),
    (lambda ds: fg.load_run(ds, "quik"), "no training run 'quik'", "quick"),
    (lambda ds: fg.delete_run(ds, "quik"), "no training run 'quik'", "quick"),
    (lambda ds: fg.rename_run(ds, "Quick", "other"), "no training run 'Quick'", "quick"),
    (lambda ds: fg.lowest_scores(ds, prediction_field="predictions"), "'predictions'",
     "prediction"),
    (lambda ds: fg.lowest_scores(ds, label="Digit 2"), "'Digit 2'", "digit 2"),
    (lambda ds: fg.mistakes(ds, "Prediction"), "'Prediction'", "prediction"),
    (lambda ds: fg.mean_heatmaps(ds, "grad_cam"), "'grad_cam'", "gradcam"),
    (lambda ds: fg.split(ds, groups="file_path"), "'file_path'", "filepath"),
    (lambda ds: fg.split(ds, "matlab_food"), "'matlab_food'", "matlab-food"),
    (lambda ds: fg.find_label_issues(ds, label_field="groundtruth"), "'groundtruth'",
     "ground_truth"),
    (lambda ds: fg.find_label_issues(ds, backbone="ResNet50"), "'ResNet50'", "resnet50"),
]  # fmt: skip


@pytest.mark.parametrize(("call", "wrong", "meant"), MEANT)
def test_a_name_of_the_dataset_that_is_meant_is_named(trained, call, wrong, meant):
    with pytest.raises(ValueError, match=f"{wrong}.*Did you mean '{meant}'"):
        call(trained)
