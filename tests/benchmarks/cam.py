"""Logits and maps as a share of the pure forward pass, beside the packages grad-cam and torch-cam.

python tests/benchmarks/cam.py [NAME ...] [--batch 16] [--repeats 9] [--device cpu] [--bf16]

Networks have random weights and 1,000 classes; images are 224 x 224. The forward pass is that of
the network as it is, in channels-last memory; ours is timed as `predict` works: in channels-last
memory, batch norms folded into the convolutions. The packages are timed in the default memory
format, as their documentation calls them (--channels-last: also in channels-last). All are timed
in turn, and the medians compared. Needs the packages grad-cam and torchcam.
"""

from __future__ import annotations

import argparse
import copy
import statistics
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import torch

from fiftyone_gradcam.explain.cam import explain
from fiftyone_gradcam.model.backbones import get_backbone
from fiftyone_gradcam.model.folding import fold_and_fuse, fold_batch_norms

NAMES = (
    "resnet18 resnet50 mobilenet_v2 densenet121 efficientnet_b0 squeezenet1_1 googlenet "
    "shufflenet_v2_x1_0 mnasnet1_0 regnet_y_400mf swin_t mobilenet_v3_large convnext_tiny vgg16 "
    "alexnet vit_b_32 vit_b_16"
)
HEAD_ONLY = ("mobilenet_v3", "convnext", "maxvit", "vgg", "alexnet")


def asked(family: str) -> float:
    """The share of the forward pass that is asked for."""
    if family == "vit":
        return 0.60
    return 0.90 if family in HEAD_ONLY else 0.95


def contestants(name: str, options: argparse.Namespace) -> dict:
    """What is timed: functions of no arguments, by name."""
    backbone = get_backbone(name)
    torch.manual_seed(0)
    model = backbone.build(1000).eval().to(options.device, memory_format=torch.channels_last)
    images = torch.randn(options.batch, 3, 224, 224, device=options.device)
    images = images.contiguous(memory_format=torch.channels_last)

    def forward() -> None:
        with torch.inference_mode():
            model(images)

    # As `Network` prepares it for a CPU and for other devices.
    faster = fold_and_fuse if images.device.type == "cpu" else fold_batch_norms
    prepared = faster(model).to(memory_format=torch.channels_last)

    def ours() -> None:
        explain(prepared, backbone, images)

    found = {"forward": forward, "ours": ours}
    if backbone.family_name in ("vit", "swin") or options.bf16:
        return found  # the packages need functions of one's own for these
    theirs, pixels = model, images
    if not options.channels_last:
        theirs = copy.deepcopy(model).to(memory_format=torch.contiguous_format)
        pixels = images.contiguous()
    layer = "features" if backbone.family_name == "densenet" else backbone.family.layer

    def grad_cam_package() -> None:
        from pytorch_grad_cam import GradCAM

        with GradCAM(theirs, [theirs.get_submodule(layer)]) as package:
            package(pixels, None)

    def torch_cam_package() -> None:
        from torchcam.methods import GradCAM

        with GradCAM(theirs, target_layer=layer) as extractor:
            logits = theirs(pixels)
            extractor(logits.argmax(1).tolist(), logits)

    return {**found, "grad-cam": grad_cam_package, "torch-cam": torch_cam_package}


def median_seconds(functions: dict, options: argparse.Namespace) -> dict[str, float]:
    """Time all functions in turn; each is run twice to warm up."""
    seconds: dict[str, list[float]] = {name: [] for name in functions}
    for number in range(options.repeats + 2):
        for name, function in functions.items():
            start = time.perf_counter()
            with torch.autocast(options.device, torch.bfloat16, enabled=options.bf16):
                function()
            if options.device == "cuda":
                torch.cuda.synchronize()
            if number >= 2:
                seconds[name].append(time.perf_counter() - start)
    return {name: statistics.median(taken) for name, taken in seconds.items()}


def main() -> None:
    """Print a row for each network."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", default=NAMES.split())
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--channels-last", action="store_true")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--bf16", action="store_true")
    options = parser.parse_args()
    print(
        f"{'images/s':<20}{'forward':>9}{'ours':>8}{'/ fwd':>7}{'asked':>7}"
        f"{'x grad-cam':>12}{'x torch-cam':>12}"
    )
    for name in options.names:
        taken = median_seconds(contestants(name, options), options)
        speed = {key: options.batch / value for key, value in taken.items()}
        times = [
            f"{speed['ours'] / speed[peer]:>12.2f}" if peer in speed else f"{'-':>12}"
            for peer in ("grad-cam", "torch-cam")
        ]
        print(
            f"{name:<20}{speed['forward']:>9.1f}{speed['ours']:>8.1f}"
            f"{speed['ours'] / speed['forward']:>7.2f}"
            f"{asked(get_backbone(name).family_name):>7.2f}{''.join(times)}",
            flush=True,
        )


if __name__ == "__main__":
    main()
