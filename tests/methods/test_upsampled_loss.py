"""The cross-entropy in strips and at once, against PyTorch's own on upsampled logits."""

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from platform.methods import upsampled_loss
from platform.methods.upsampled_loss import cross_entropy
from platform.shifts.labels import VOID

CASES = {
    "at an eighth": (2, (4, 8), (32, 64)),
    "at odd ratios": (3, (5, 7), (33, 50)),
    "at the labels' size": (2, (6, 10), (6, 10)),
    "larger than the labels": (1, (9, 12), (4, 5)),
    "one pixel": (2, (1, 1), (7, 3)),
}


def drawn(images: int, small: tuple[int, int], big: tuple[int, int]) -> tuple[Tensor, Tensor, Tensor]:
    """Logits, labels of which some are void, and weights."""
    random = torch.Generator().manual_seed(0)
    logits = 3 * torch.randn(images, 19, *small, generator=random, dtype=torch.float64)
    labels = torch.randint(0, 21, (images, *big), generator=random)
    return logits, torch.where(labels > 18, VOID, labels), torch.rand(images, *big, generator=random)


def by_torch(logits: Tensor, labels: Tensor, weights: Tensor | None) -> Tensor:
    upsampled = functional.interpolate(logits, labels.shape[-2:], mode="bilinear", align_corners=False)
    pixels = functional.cross_entropy(upsampled, labels, ignore_index=VOID, reduction="none")
    return (pixels if weights is None else weights * pixels).sum() / (labels != VOID).sum().clamp(min=1)


@pytest.fixture(
    params=[1, 40, 300, 10**6, None],
    ids=lambda pixels: f"strips of {pixels} pixels" if pixels else "at once, as on a GPU",
)
def strips(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param is None:
        monkeypatch.setattr(upsampled_loss, "in_strips", lambda device: False)
    else:
        monkeypatch.setattr(upsampled_loss, "STRIP", request.param)


@pytest.mark.usefixtures("strips")
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_it_is_that_of_upsampled_logits_and_so_is_its_gradient(
    case: tuple[int, tuple[int, int], tuple[int, int]], weighted: bool
) -> None:
    logits, labels, weights = drawn(*case)
    given = weights if weighted else None
    exact = logits.clone().requires_grad_()
    expected = by_torch(exact, labels, None if given is None else given.double())
    (wanted,) = torch.autograd.grad(3 * expected, exact)
    for dtype, tolerance in ((torch.float64, 1e-10), (torch.float32, 3e-6)):
        for memory_format in (torch.contiguous_format, torch.channels_last):
            x = logits.to(dtype).to(memory_format=memory_format).requires_grad_()
            loss = cross_entropy(x, labels, given)
            (found,) = torch.autograd.grad(3 * loss, x)
            assert (loss.dtype, found.dtype) == (dtype, dtype)
            torch.testing.assert_close(loss.double(), expected, atol=0, rtol=10 * tolerance)
            torch.testing.assert_close(found.double(), wanted, atol=tolerance, rtol=tolerance)


def test_strips_are_no_part_of_the_gradient(monkeypatch: pytest.MonkeyPatch) -> None:
    logits, labels, _ = drawn(2, (8, 16), (64, 128))
    gradients: list[Tensor] = []
    for pixels in (128 * 8, 10**6):
        monkeypatch.setattr(upsampled_loss, "STRIP", pixels)
        x = logits.float().requires_grad_()
        gradients += torch.autograd.grad(cross_entropy(x, labels), x)
    torch.testing.assert_close(*gradients, atol=1e-8, rtol=1e-5)


def test_the_same_again_is_the_same_to_the_bit() -> None:
    logits, labels, weights = drawn(2, (8, 16), (64, 128))
    again = []
    for _ in range(3):
        x = logits.float().requires_grad_()
        loss = cross_entropy(x, labels, weights)
        again.append((loss, *torch.autograd.grad(loss, x)))
    assert all(torch.equal(*pair) for other in again[1:] for pair in zip(again[0], other, strict=True))


def test_void_everywhere_is_a_loss_of_0_without_a_slope() -> None:
    x = torch.randn(2, 19, 4, 8).requires_grad_()
    loss = cross_entropy(x, torch.full((2, 32, 64), VOID))
    (gradient,) = torch.autograd.grad(loss, x)
    assert loss.item() == 0
    assert not gradient.any()


@pytest.mark.parametrize("half", [torch.float16, torch.bfloat16])
def test_half_precision_is_summed_in_single_precision(half: torch.dtype) -> None:
    logits, labels, _ = drawn(2, (8, 16), (64, 128))
    x = logits.to(half).requires_grad_()
    loss = cross_entropy(x, labels)
    (gradient,) = torch.autograd.grad(loss, x)
    assert loss.dtype == torch.float32
    assert gradient.dtype == half
    torch.testing.assert_close(loss.double(), by_torch(x.detach().double(), labels, None), atol=0, rtol=1e-5)


def test_logits_of_any_height_do_not_overflow() -> None:
    x = torch.tensor([[3e4, -3e4], [0.0, 1.0]]).view(1, 2, 1, 2).repeat(1, 1, 2, 1).requires_grad_()
    loss = cross_entropy(x, torch.tensor([[[1, 0], [1, 0]]]))
    (gradient,) = torch.autograd.grad(loss, x)
    assert loss.isfinite()
    assert gradient.isfinite().all()


def test_no_gradient_is_taken_of_a_gradient_or_of_weights() -> None:
    logits, labels, weights = drawn(1, (2, 2), (4, 4))
    x, w = logits.requires_grad_(), weights.double().requires_grad_()
    loss = cross_entropy(x, labels, w)
    with pytest.raises(ValueError, match="cross_entropy has no gradient of its gradient, which create_graph=True asks"):
        torch.autograd.grad(loss, x, create_graph=True)
    assert torch.autograd.grad(cross_entropy(x, labels, w) + 0 * w.sum(), w)[0].eq(0).all()
