"""Named recipes: well-known trainings that work as they are and can be customized.

This module imports nothing heavy, so forms can list the recipes without torch.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from ..similar import did_you_mean


@dataclass(frozen=True)
class NamedRecipe:
    """A named recipe and where it comes from.

    Attributes:
        title: shown in lists
        source: where the recipe comes from, and what was changed
        choices: the fields that differ from the defaults of `Recipe`
        fractions: the split that the recipe is meant for
    """

    title: str
    source: str
    choices: dict = field(default_factory=dict)
    fractions: dict[str, float] = field(
        default_factory=lambda: {"train": 0.6, "val": 0.2, "test": 0.2}
    )


RECIPES = {
    "default": NamedRecipe(
        "Recommended: new layers first, then all layers",
        "The new layers are trained first, because random layers would distort the features of the "
        "backbone (Kumar et al., arXiv 2202.10054), then all layers with AdamW and a cosine "
        "schedule. An average of the weights is kept, which varies less from batch to batch "
        "(Izmailov et al., arXiv 1803.05407). Small datasets are trained for more epochs, with "
        "slight augmentation.",
        {
            "head_epochs": 20,
            "ema": 0.98,
            "epochs": None,
            "scale": 0.2,
            "rotation": 10.0,
            "brightness": 0.2,
            "contrast": 0.2,
        },
    ),
    "linear-probe": NamedRecipe(
        "Fast: only the new layers, on fixed features",
        "A linear classifier on the unchanged features of a pretrained network (Kornblith et al., "
        "arXiv 1805.08974), which are computed once. Good for images that are similar to "
        "ImageNet's photographs.",
        {"freeze": "backbone", "epochs": 30, "horizontal_flip": False, "translation": 0},
    ),
    "matlab-cracks": NamedRecipe(
        "Cracks in concrete: SqueezeNet, Adam, large batches",
        "The crack classification of MATLAB's Deep Learning and Visual Inspection examples: "
        "SqueezeNet, Adam, 5 epochs, batch 100, flips and shifts of 30 pixels, a tenth each for "
        "training, validation and test, validated every 30 iterations; weight decay and the "
        "tenfold rate of the last layer are those of its transfer learning.",
        {
            "backbone": "squeezenet1_1",
            "weights": "auto",
            "image_size": 227,
            "optimizer": "adam",
            "learning_rate": 2e-4,
            "schedule": "constant",
            "warmup": 0.0,
            "weight_decay": 1e-4,
            "batch_size": 100,
            "epochs": 5,
            "translation": 30,
            "validate_every": 30,
            "resize": "squash",
        },
        {"train": 0.1, "val": 0.1, "test": 0.1},
    ),
    "matlab-food": NamedRecipe(
        "Food: GoogLeNet, SGD with momentum, small batches",
        "The food classification of MATLAB's examples on labeling and visualization: GoogLeNet, "
        "SGDM at 3e-4, batch 10, 4 epochs, the last layer ten times faster, flips, shifts of 30 "
        "pixels, a tenth of scale.",
        {
            "backbone": "googlenet",
            "weights": "auto",
            "optimizer": "sgd",
            "momentum": 0.9,
            "learning_rate": 3e-4,
            "head_lr_factor": 10.0,
            "schedule": "constant",
            "warmup": 0.0,
            "weight_decay": 1e-4,
            "batch_size": 10,
            "epochs": 4,
            "translation": 30,
            "scale": 0.1,
            "resize": "squash",
        },
    ),
    "road-cracks-vgg16": NamedRecipe(
        "Road cracks: VGG-16, four layers frozen, two hidden layers",
        "From a question about a VGG-16 with its first four layers frozen and two hidden layers of "
        "256, trained with Adam, that learned nothing: its learning rate of 1e-6 hardly changes "
        "new layers in a few epochs, and its loss did not match its outputs. Changed here: the "
        "learning rate is 1e-5, and 1e-4 for the new layers, and the loss is the cross-entropy of "
        "one logit for each class. The hidden layers come after VGG's own two, which are "
        "pretrained.",
        {
            "backbone": "vgg16",
            "weights": "auto",
            "freeze": 4,
            "hidden": (256, 256),
            "optimizer": "adam",
            "learning_rate": 1e-5,
            "head_lr_factor": 10.0,
            "weight_decay": 0.0,
            "schedule": "constant",
            "warmup": 0.0,
            "epochs": 10,
            "resize": "squash",
        },
    ),
    "cifar-cnn": NamedRecipe(
        "Small images from scratch: three double convolutions",
        "The convolutional network of many CIFAR-10 tutorials: double convolutions of 32, 64 and "
        "128 with batch norm and max pooling, dropout 0.2, a dense layer of 1,024, shifts of a "
        "tenth and flips, Adam, 50 epochs. Changed here: no pooling after the third pair, whose "
        "map of 8 x 8 is averaged instead of flattened, so that heatmaps have 64 cells instead of "
        "16.",
        {
            "backbone": "small_cnn",
            "weights": "none",
            "hidden": (1024,),
            "dropout": 0.2,
            "optimizer": "adam",
            "learning_rate": 1e-3,
            "schedule": "constant",
            "warmup": 0.0,
            "weight_decay": 0.0,
            "batch_size": 64,
            "epochs": 50,
            "translation": 3,
        },
    ),
    "sommelier": NamedRecipe(
        "Labels of bottles: ResNet-50, SGD, strong augmentation",
        "Recognition of wine labels: ResNet-50 (or a MobileNet: pass backbone), dropout 0.5, SGD "
        "at 1e-3, batch 32, 30 epochs, brightness, salt-and-pepper noise, cutout and elastic "
        "distortion; no flips, because labels contain text. 60% for training, 40% for validation.",
        {
            "backbone": "resnet50",
            "weights": "auto",
            "dropout": 0.5,
            "optimizer": "sgd",
            "momentum": 0.9,
            "learning_rate": 1e-3,
            "head_lr_factor": 1.0,
            "schedule": "constant",
            "warmup": 0.0,
            "weight_decay": 1e-4,
            "batch_size": 32,
            "epochs": 30,
            "horizontal_flip": False,
            "brightness": 0.3,
            "noise": 0.02,
            "cutout": 0.25,
            "elastic": 8.0,
            "translation": 0,
            "resize": "squash",
        },
        {"train": 0.6, "val": 0.4},
    ),
}


def find_recipe(name: str) -> NamedRecipe:
    """Return the recipe with a given name.

    Raises:
        ValueError: if there is no such recipe; the message lists the recipes that exist
    """
    if name not in RECIPES:
        raise ValueError(
            f"There is no recipe {name!r}. {did_you_mean(name, RECIPES)}"
            f"Recipes: {', '.join(RECIPES)}"
        )
    return RECIPES[name]
