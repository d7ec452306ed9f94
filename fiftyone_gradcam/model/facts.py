"""Facts about each backbone, for forms, without PyTorch; a test compares them with torchvision."""

from __future__ import annotations

from typing import NamedTuple

# Prefixes of names by DataParallel, torch.compile, Lightning, and classes that contain a network.
PREFIXES = ("module.", "_orig_mod.", "model.", "net.", "backbone.")


class Facts(NamedTuple):
    """Facts about a backbone.

    Attributes:
        accuracy: of its ImageNet weights on ImageNet's validation images, in percent; None if it
            has none
        megabytes: size of its weights file
        last_layer: name of the layer that computes the logits
        shapes: signature of the names and shapes of its other weights; see `file_shapes`
    """

    accuracy: float | None
    megabytes: int
    last_layer: str
    shapes: int


FACTS = {
    "resnet18": Facts(69.8, 45, "fc", 1222933448),
    "resnet34": Facts(73.3, 83, "fc", 4114901918),
    "resnet50": Facts(80.9, 98, "fc", 1345596611),
    "resnet101": Facts(81.9, 171, "fc", 1953606746),
    "resnet152": Facts(82.3, 230, "fc", 577578467),
    "resnext50_32x4d": Facts(81.2, 96, "fc", 579390649),
    "resnext101_32x8d": Facts(82.8, 340, "fc", 3339110571),
    "resnext101_64x4d": Facts(83.2, 319, "fc", 673865708),
    "wide_resnet50_2": Facts(81.6, 263, "fc", 3574184612),
    "wide_resnet101_2": Facts(82.5, 485, "fc", 678337159),
    "regnet_x_400mf": Facts(74.9, 21, "fc", 1679231045),
    "regnet_x_800mf": Facts(77.5, 28, "fc", 3592773376),
    "regnet_x_1_6gf": Facts(79.7, 35, "fc", 1850840068),
    "regnet_x_3_2gf": Facts(81.2, 59, "fc", 3800738142),
    "regnet_x_8gf": Facts(81.7, 151, "fc", 3604992104),
    "regnet_x_16gf": Facts(82.7, 208, "fc", 3316064944),
    "regnet_x_32gf": Facts(83.0, 412, "fc", 196024227),
    "regnet_y_400mf": Facts(75.8, 17, "fc", 2769275874),
    "regnet_y_800mf": Facts(78.8, 25, "fc", 1797507986),
    "regnet_y_1_6gf": Facts(80.9, 43, "fc", 882371184),
    "regnet_y_3_2gf": Facts(82.0, 75, "fc", 4178925522),
    "regnet_y_8gf": Facts(82.8, 151, "fc", 2640543273),
    "regnet_y_16gf": Facts(82.9, 319, "fc", 606483539),
    "regnet_y_32gf": Facts(83.4, 554, "fc", 3509624217),
    "regnet_y_128gf": Facts(88.2, 2462, "fc", 1000289627),
    "squeezenet1_0": Facts(58.1, 5, "classifier.1", 660989139),
    "squeezenet1_1": Facts(58.2, 5, "classifier.1", 1019204901),
    "mobilenet_v2": Facts(72.2, 14, "classifier.1", 2946746597),
    "mobilenet_v3_small": Facts(67.7, 10, "classifier.3", 1533244576),
    "mobilenet_v3_large": Facts(75.3, 21, "classifier.3", 2596264383),
    "mnasnet0_5": Facts(67.7, 9, "classifier.1", 1536133341),
    "mnasnet0_75": Facts(71.2, 12, "classifier.1", 3830946511),
    "mnasnet1_0": Facts(73.5, 17, "classifier.1", 4253568104),
    "mnasnet1_3": Facts(76.5, 24, "classifier.1", 3910513398),
    "shufflenet_v2_x0_5": Facts(60.6, 5, "fc", 681415554),
    "shufflenet_v2_x1_0": Facts(69.4, 9, "fc", 3412408153),
    "shufflenet_v2_x1_5": Facts(73.0, 14, "fc", 1909129832),
    "shufflenet_v2_x2_0": Facts(76.2, 28, "fc", 1635181956),
    "efficientnet_b0": Facts(77.7, 20, "classifier.1", 2222267570),
    "efficientnet_b1": Facts(79.8, 30, "classifier.1", 3178824809),
    "efficientnet_b2": Facts(80.6, 35, "classifier.1", 2657967308),
    "efficientnet_b3": Facts(82.0, 47, "classifier.1", 325808357),
    "efficientnet_b4": Facts(83.4, 74, "classifier.1", 2880504008),
    "efficientnet_b5": Facts(83.4, 117, "classifier.1", 1317645939),
    "efficientnet_b6": Facts(84.0, 165, "classifier.1", 527178680),
    "efficientnet_b7": Facts(84.1, 255, "classifier.1", 2429368426),
    "efficientnet_v2_s": Facts(84.2, 83, "classifier.1", 193131213),
    "efficientnet_v2_m": Facts(85.1, 208, "classifier.1", 1493858753),
    "efficientnet_v2_l": Facts(85.8, 455, "classifier.1", 2006060740),
    "densenet121": Facts(74.4, 31, "classifier", 4083872043),
    "densenet161": Facts(77.1, 110, "classifier", 536619287),
    "densenet169": Facts(75.6, 55, "classifier", 3561318603),
    "densenet201": Facts(76.9, 77, "classifier", 2454920621),
    "googlenet": Facts(69.8, 50, "fc", 2599757268),
    "inception_v3": Facts(77.3, 104, "fc", 855792657),
    "convnext_tiny": Facts(82.5, 109, "classifier.2", 3493784969),
    "convnext_small": Facts(83.6, 192, "classifier.2", 2119565142),
    "convnext_base": Facts(84.1, 338, "classifier.2", 2072977192),
    "convnext_large": Facts(84.4, 755, "classifier.2", 281849929),
    "swin_t": Facts(81.5, 108, "head", 3306722666),
    "swin_s": Facts(83.2, 190, "head", 1802810308),
    "swin_b": Facts(83.6, 335, "head", 3640347372),
    "swin_v2_t": Facts(82.1, 109, "head", 1745614901),
    "swin_v2_s": Facts(83.7, 191, "head", 3621777270),
    "swin_v2_b": Facts(84.1, 336, "head", 2426003206),
    "maxvit_t": Facts(83.7, 119, "classifier.5", 3869669693),
    "vit_b_16": Facts(81.1, 330, "heads.head", 2796739564),
    "vit_b_32": Facts(75.9, 337, "heads.head", 1054615205),
    "vit_l_16": Facts(79.7, 1161, "heads.head", 3573484668),
    "vit_l_32": Facts(77.0, 1169, "heads.head", 291034067),
    "vit_h_14": Facts(88.6, 2417, "heads.head", 1697299808),
    "vgg11": Facts(69.0, 507, "classifier.6", 89841247),
    "vgg11_bn": Facts(70.4, 507, "classifier.6", 3847306468),
    "vgg13": Facts(69.9, 508, "classifier.6", 1165503345),
    "vgg13_bn": Facts(71.6, 508, "classifier.6", 1521262740),
    "vgg16": Facts(71.6, 528, "classifier.6", 2502322797),
    "vgg16_bn": Facts(73.4, 528, "classifier.6", 3620917435),
    "vgg19": Facts(72.4, 548, "classifier.6", 3041688780),
    "vgg19_bn": Facts(74.2, 548, "classifier.6", 3331720739),
    "alexnet": Facts(56.5, 233, "classifier.6", 3766334844),
    "small_cnn": Facts(None, 2, "classifier.1", 1787540749),
}
