"""The operations that add up in a fixed order on CUDA, which are the ones that a training step may take."""

import re
from collections.abc import Iterable

import torch

from platform.methods.composition import Composition

FIXED_ORDER = frozenset(
    f"aten::{name}"
    for group in (
        # Memory, and other views of it.
        "alias as_strided as_strided_ clone copy_ detach empty empty_like expand lift_fresh new_zeros permute select "
        "slice slice_backward split squeeze t transpose unbind unsqueeze view view_as_complex view_as_real _to_copy "
        "_unsafe_view arange cat fill_ flip full full_like ones_like roll scalar_tensor stack zeros",
        # One number for one, or for several.
        "_conj abs add add_ addcmul bitwise_and bitwise_not clamp clamp_ div eq exp exp_ floor floor_divide ge gt le "
        "lerp log lt minimum mul mul_ ne neg pow reciprocal remainder_ round rsub sgn sqrt sub sub_ where "
        "__lshift__ __rshift__ leaky_relu_ leaky_relu_backward relu relu_ sigmoid sigmoid_backward "
        "softplus softplus_backward threshold_backward hardsigmoid hardsigmoid_backward "
        "hardswish_ hardswish_backward div_",
        # Drawn from a seed that each step sets, a number for each place.
        "bernoulli_ native_dropout native_dropout_backward randint",
        # Of many tensors at a time.
        "_foreach_add_ _foreach_lerp_ _fused_adam_ _fused_sgd_",
        # Sums and the like, by a tree of threads that the sizes decide.
        "all amax amin any max mean std sum var_mean "
        "_log_softmax _log_softmax_backward_data _softmax _softmax_backward_data "
        "native_batch_norm native_batch_norm_backward",
        # cuBLAS, with CUBLAS_WORKSPACE_CONFIG as `make_deterministic` has it.
        "baddbmm mm",
        # Each input gathers the gradients of the windows whose largest it is (DilatedMaxPool2d.cu).
        "max_pool2d_with_indices max_pool2d_with_indices_backward affine_grid_generator",
        # Each input gathers the gradients of the windows that it is in (AveragePool2d.cu).
        "avg_pool2d avg_pool2d_backward",
    )
    for name in group.split()
)
WITH_REASON = {
    "aten::bmm": "PyTorch's warning is of sparse matrices; dense ones are cuBLAS's, as `mm`",
    "aten::convolution": "`make_deterministic` has cuDNN take algorithms of a fixed order",
    "aten::convolution_backward": "`make_deterministic` has cuDNN take algorithms of a fixed order",
    "aten::cumsum": "of integers, whose sum no order changes: DACS counts classes, matching and rounds pixels",
    "aten::gather": "without a gradient, which would be a `scatter_add`",
    "aten::grid_sampler_2d": "without a gradient: images and labels are cropped",
    "aten::reflection_pad2d": "without a gradient: images are blurred",
    "aten::scatter_add_": "each pixel adds to its own class alone, or integers are counted, whose sum no order changes",
}
"""Operations that PyTorch's documentation names among those without a fixed order, and why ours have one."""
OTHER_NAMES = {"conv": "convolution", "interpolate": "upsample", "getitem": "index"}


def check_fixed_order(methods: Composition, operations: Iterable[str]) -> None:
    """Raise AssertionError for an operation of a step that is not known to add up in a fixed order."""
    taken = {name for name in operations if name.startswith("aten::")}
    unknown = sorted(taken - FIXED_ORDER - WITH_REASON.keys())
    assert not unknown, (
        f"a step of {methods.name} takes {', '.join(unknown)}, of which nobody knows a fixed order on CUDA; take "
        "another, or write in tests/support/fixed_order.py why its order is fixed"
    )


def named_by_pytorch() -> set[str]:
    """The operations that may lack a fixed order by PyTorch's documentation, in small letters alone: `maxpool3d`."""
    documentation = torch.use_deterministic_algorithms.__doc__ or ""
    names = re.findall(r":(?:func|class):`torch\.(?:nn\.functional\.|nn\.|Tensor\.)?(\w+)`", documentation)
    small = {name.replace("_", "").lower() for name in names if name != "set_deterministic_debug_mode"}
    return small | {
        OTHER_NAMES[root] for name in small if (root := re.sub(r"(transpose)?\dd$", "", name)) in OTHER_NAMES
    }


def is_named_by_pytorch(operation: str) -> bool:
    """Whether an operation, as `aten::scatter_add_`, or what it is the gradient of, is among them."""
    small = operation.removeprefix("aten::").replace("_", "")
    return any(small.startswith(name) for name in named_by_pytorch())
