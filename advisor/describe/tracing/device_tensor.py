"""Tensors that take part in a step as a GPU's would, but hold no data: shapes, formats and lifetimes only.

A :class:`DeviceTensor` is a meta tensor with the dispatch keys of a CUDA tensor, so that autograd and the recorder's
own autocast see a GPU, and every kernel is run on the meta device. Unlike torch's fake CUDA tensors it needs no CUDA.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.utils import _pytree as pytree
from torch.utils._python_dispatch import TorchDispatchMode

META = torch.device("meta")
BLOCK_BYTES = 512
"""Granularity of the caching allocator of PyTorch (c10/cuda/CUDACachingAllocator.cpp, kMinBlockSize)."""

_DATA_DEPENDENT = (torch.Tag.data_dependent_output, torch.Tag.dynamic_output_shape)
_INDEX = torch.ops.aten.index.Tensor
"""Has a fixed size unless an index is a mask, which fails on the meta device by itself."""


class DeviceTensor(torch.Tensor):
    """A tensor on the simulated GPU."""

    @staticmethod
    def __new__(cls, meta: torch.Tensor) -> DeviceTensor:
        """Return a tensor of the simulated GPU with the storage of a meta tensor."""
        made: DeviceTensor = torch.Tensor._make_subclass(
            cls, meta, False, device_for_backend_keys=torch.device("cuda:0")
        )
        return made

    __torch_function__ = torch._C._disabled_torch_function_impl  # type: ignore[assignment]

    @classmethod
    def __torch_dispatch__(  # type: ignore[override]
        cls, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        return _on_meta(func, args, kwargs or {})


class UntraceableError(Exception):
    """A module cannot be traced: what it runs depends on data, or a kernel has no meta implementation."""

    def __init__(self, operator: str, reason: str) -> None:
        super().__init__(f"{operator}: {reason}")
        self.operator = operator
        self.reason = reason


def _on_meta(function: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    with torch._C._DisableTorchDispatch(), torch._C._PreserveDispatchKeyGuard():
        torch._C._set_meta_in_tls_dispatch_include(True)
        return function(*args, **kwargs)


def device_tensors(tree: Any) -> Iterator[DeviceTensor]:
    """Yield the tensors of the simulated GPU in nested arguments."""
    return (leaf for leaf in pytree.tree_leaves(tree) if isinstance(leaf, DeviceTensor))


class Memory:
    """Bytes that live storages occupy, as the caching allocator counts them, and their peak."""

    def __init__(self) -> None:
        self.live = 0
        self.peak = 0
        self.counting = False
        self._sizes: dict[int, int] = {}
        self._ignored: set[int] = set()

    def ignore(self, tensors: Iterable[torch.Tensor]) -> None:
        """Never count the storages of tensors that outlive the step, nor views of them: parameters and buffers."""
        self._ignored.update(tensor.untyped_storage()._cdata for tensor in tensors)

    def hold(self, tensor: torch.Tensor) -> None:
        """Count the storage of a tensor until nothing refers to it any more."""
        storage = tensor.untyped_storage()
        key = storage._cdata
        size = storage.nbytes()
        if not self.counting or size == 0 or key in self._sizes or key in self._ignored:
            return
        self._sizes[key] = -(-size // BLOCK_BYTES) * BLOCK_BYTES
        self.live += self._sizes[key]
        weakref.finalize(storage, self.release, key)
        self.peak = max(self.peak, self.live)

    def release(self, key: int) -> None:
        """Stop counting a storage."""
        self.live -= self._sizes.pop(key, 0)

    def exclude(self, tensor: torch.Tensor) -> None:
        """Stop counting a tensor that is accounted for elsewhere (a parameter's gradient)."""
        self.release(tensor.untyped_storage()._cdata)


Observer = Callable[[Any, Any, dict[str, Any], Any], None]
"""Called after each kernel with the operator, its arguments and its result."""


class Simulation(TorchDispatchMode):
    """Runs every operator on the meta device and reports those that start a kernel.

    Tensors on the CPU stay real as long as they do not meet a tensor of the simulated GPU, so that sizes and anchors
    that a model computes in advance are what they are.
    """

    def __init__(self, memory: Memory, observer: Observer) -> None:
        super().__init__()
        self.memory = memory
        self.observer = observer
        self.paused = False

    def __torch_dispatch__(
        self, function: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = dict(kwargs or {})
        present = any(True for _ in device_tensors((args, kwargs)))
        asked = kwargs.get("device")
        moves = asked is not None and torch.device(asked).type in ("cuda", "meta")
        if not present and not moves:
            return function(*args, **kwargs)
        if asked is not None:
            kwargs["device"] = META
        if present and function is not _INDEX and any(tag in function.tags for tag in _DATA_DEPENDENT):
            raise UntraceableError(str(function), "its result depends on the values of a tensor")
        args, kwargs = pytree.tree_map_only(torch.Tensor, _moved, (args, kwargs))
        try:
            result = _on_meta(function, args, kwargs)
        except NotImplementedError as error:
            raise UntraceableError(str(function), "it has no implementation without data") from error
        result = pytree.tree_map_only(torch.Tensor, _moved, result)
        for tensor in device_tensors(result):
            self.memory.hold(tensor)
        if not self.paused:
            self.observer(function, args, kwargs, result)
        return result

    @contextmanager
    def silent(self) -> Iterator[None]:
        """Let kernels run without reporting them; their results count as memory all the same."""
        before, self.paused = self.paused, True
        try:
            yield
        finally:
            self.paused = before


def _moved(tensor: torch.Tensor) -> torch.Tensor:
    """Return a tensor as one on the simulated GPU."""
    if isinstance(tensor, DeviceTensor):
        return tensor
    if tensor.device != META:
        tensor = torch.empty_strided(tensor.shape, tensor.stride(), dtype=tensor.dtype, device=META)
    return DeviceTensor(tensor)
