"""What libraries compute within a program for a device: each a function of tensors and integers, by the name that launches use."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from torch import Tensor

DeviceCall = Callable[[Sequence[Tensor], Sequence[int], Sequence[str]], None]
CALLS: dict[str, DeviceCall] = {}
