"""What fits on which nodes, against every way to place it."""

import itertools
import random

import pytest

from platform.design.budget import GIB, Resources, Slot
from platform.running.placement import Offer, at_a_time, fit, refusal

LAPTOP: Resources = {"CPU": 8.0, "memory": 16.0 * GIB, "object_store_memory": 1e9}
GPU_NODE: Resources = {"CPU": 16.0, "GPU": 4.0, "memory": 64.0 * GIB}
HALF = Slot(cpus=1, gpus=0.5, memory=0.0)


def fits_somehow(wanted: list[Resources], nodes: list[Resources]) -> bool:
    """Try every assignment of trials to nodes."""
    for places in itertools.product(range(len(nodes)), repeat=len(wanted)):
        if all(
            sum(amounts.get(name, 0) for amounts, place in zip(wanted, places, strict=True) if place == number)
            <= node.get(name, 0) + 1e-9
            for number, node in enumerate(nodes)
            for name in ("CPU", "GPU")
        ):
            return True
    return False


@pytest.mark.parametrize("seed", range(60))
def test_what_fits_by_first_fit_fits(seed: int) -> None:
    draw = random.Random(seed)
    nodes: list[Resources] = [{"CPU": draw.randint(1, 4), "GPU": draw.randint(0, 2)} for _ in range(draw.randint(1, 3))]
    wanted: list[Resources] = [
        {"CPU": draw.randint(1, 2), "GPU": draw.choice([0.1, 0.25, 0.5, 1.0])} for _ in range(draw.randint(1, 5))
    ]
    if fit(wanted, nodes):
        assert fits_somehow(wanted, nodes)
    if len(wanted) == 1 or len({tuple(sorted(amounts.items())) for amounts in wanted}) == 1:
        assert fit(wanted, nodes) == fits_somehow(wanted, nodes)


def test_ten_tenths_fit_a_gpu_and_eleven_do_not() -> None:
    tenth = {"CPU": 1.0, "GPU": 0.1}
    node = {"CPU": 16.0, "GPU": 1.0}
    assert fit([tenth] * 10, [node])
    assert not fit([tenth] * 11, [node])
    assert at_a_time(tenth, [node]) == 10


def test_nothing_is_shared_between_nodes() -> None:
    two = [{"CPU": 1.0}, {"CPU": 1.0}]
    assert fit([{"CPU": 1.0}] * 2, two)
    assert not fit([{"CPU": 2.0}], two)
    assert at_a_time({"CPU": 2.0}, two) == 0


def test_nodes_are_left_as_they_were() -> None:
    node = {"CPU": 2.0}
    assert fit([{"CPU": 2.0}], [node])
    assert node == {"CPU": 2.0}


def test_a_slot_as_ray_counts_it() -> None:
    slot = Slot(cpus=2, gpus=0.5, memory=3.0)
    assert slot.resources(on_gpu=True) == {"CPU": 2.0, "GPU": 0.5, "memory": 3.0 * GIB}
    assert slot.resources(on_gpu=False) == {"CPU": 2.0, "memory": 3.0 * GIB}
    assert HALF.resources(on_gpu=True) == {"CPU": 1.0, "GPU": 0.5}
    assert str(slot) == "0.5 GPU, 2 CPU, 3 GiB of memory"


def test_without_gpus_everything_trains_on_cpus() -> None:
    offer = Offer((LAPTOP,))
    assert not offer.has_gpus
    assert refusal("FDA", HALF.resources(offer.has_gpus), offer) is None


def test_gpus_that_are_still_to_be_started_count() -> None:
    offer = Offer((LAPTOP,), to_come=(GPU_NODE,))
    assert offer.has_gpus
    assert refusal("FDA", HALF.resources(offer.has_gpus), offer) is None
    assert at_a_time(HALF.resources(on_gpu=True), offer.ever) == 8


def test_what_no_node_holds_is_refused_with_the_numbers() -> None:
    offer = Offer((LAPTOP,), to_come=(GPU_NODE, GPU_NODE))
    reason = refusal("wide", Slot(cpus=1, gpus=8, memory=100).resources(on_gpu=True), offer)
    assert reason is not None
    assert reason.startswith(
        "a trial of 'wide' needs 1 CPU, 8 GPUs, 100 GiB of memory on one node, and no node has that: at most 4 GPUs "
        "and at most 64 GiB of memory; lower "
    )


def test_what_no_node_holds_together_is_refused() -> None:
    offer = Offer(({"CPU": 32.0}, GPU_NODE))
    reason = refusal("wide", Slot(cpus=32, gpus=1, memory=0).resources(on_gpu=True), offer)
    assert reason is not None
    assert "no node has all of it, though one by one there is enough" in reason


def test_nothing_is_refused_while_machines_are_expected() -> None:
    assert refusal("wide", {"CPU": 1000.0}, Offer((LAPTOP,), unknown=1)) is None


def test_an_offer_in_words() -> None:
    offer = Offer((LAPTOP, GPU_NODE), to_come=(GPU_NODE,), unknown=2)
    assert str(offer) == (
        "2 nodes with 24 CPUs and 4 GPUs; up to 1 node with 16 CPUs and 4 GPUs to be started; 2 more expected"
    )
