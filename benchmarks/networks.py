"""What each network costs and takes: `python -m benchmarks.networks`.

Parameters and GFLOPs are counted, deployed and as published, for one image of 512 x 1024, two per multiply-accumulate.
Milliseconds are those of this machine's GPU, else of its CPU, from such an image to the class of each of its pixels: a
batch of one, the median of 21 after 5 of warm-up. Networks have random weights, which change no time.
"""

import argparse
from collections.abc import Mapping

import torch

from platform.networks import LRASPP, Architecture, BiSeNet18, BiSeNet101, DeepLabV3, PIDNetSmall
from platform.networks.cost import SIZE, network_cost
from platform.networks.modes import evaluating
from platform.training.device.latency import latency

NETWORKS: dict[str, Architecture] = {
    "BiSeNet, ResNet-18": BiSeNet18(),
    "BiSeNet, ResNet-101": BiSeNet101(),
    "DeepLabV3, ResNet-50": DeepLabV3(backbone="ResNet-50"),
    "DeepLabV3, ResNet-101": DeepLabV3(backbone="ResNet-101"),
    "LR-ASPP, MobileNetV3": LRASPP(),
    "PIDNet-S": PIDNetSmall(),
}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.networks", description="What each network takes.")
    parser.parse_args()
    measure(NETWORKS, SIZE)


def measure(networks: Mapping[str, Architecture], size: tuple[int, int]) -> None:
    """Print a line for each network."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    machine = torch.cuda.get_device_name() if device.type == "cuda" else f"CPU, {torch.get_num_threads()} threads"
    print(f"one image of {size[0]} x {size[1]}, float32, on {machine}\n")
    print(f"{'':24}{'deployed':>12}{'published':>12}{'GFLOPs':>10}{'published':>11}{'ms':>9}")
    for name, architecture in networks.items():
        with torch.device("meta"):
            cost = network_cost(architecture.build().eval())
        network = architecture.build().to(device)
        with evaluating(network):
            milliseconds = 1000 * latency(network, size, device)
        print(
            f"{name:24}{cost.deployed_parameters:>12,}{cost.parameters:>12,}{cost.deployed_gflops:>10.2f}"
            f"{cost.gflops:>11.2f}{milliseconds:>9.1f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
