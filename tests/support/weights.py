"""Pretrained weights as torch hub finds them, and networks whose batch norm is no identity."""

import pickle
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import torch
from torch import nn

Module = TypeVar("Module", bound=nn.Module)


def randomise(network: Module) -> Module:
    """Give batch norm statistics and scales that are not those of initialisation, so that nothing is an identity."""
    generator = torch.Generator().manual_seed(7)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            assert module.running_var is not None
            assert module.running_mean is not None
            for tensor in (module.running_var, module.weight.data):
                tensor.copy_(torch.rand(tensor.shape, generator=generator) + 0.5)
            for tensor in (module.running_mean, module.bias.data):
                tensor.copy_(torch.rand(tensor.shape, generator=generator) - 0.5)
    return network


@contextmanager
def no_downloads() -> Iterator[None]:
    """Downloads go through a proxy that nobody listens on, whether this machine has a network or not."""
    closed = urllib.request.ProxyHandler({"http": "http://127.0.0.1:9", "https": "http://127.0.0.1:9"})
    urllib.request.install_opener(urllib.request.build_opener(closed))
    try:
        yield
    finally:
        urllib.request.install_opener(None)


def no_weights(other: nn.Module) -> dict[str, Callable[[Path], object]]:
    """What a file may hold in the place of weights, by name; `other` is a module that has other classes."""
    return {
        "empty": lambda path: path.write_bytes(b""),
        "page": lambda path: path.write_bytes(b"<html>not found</html>"),
        "other weights": lambda path: torch.save({"conv1.weight": torch.zeros(1)}, path),
        "whole module": lambda path: torch.save(other, path),
        "pickled function": lambda path: path.write_bytes(pickle.dumps(print, protocol=2)),
    }
