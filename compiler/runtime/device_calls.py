"""What libraries compute within a program for a device: functions of tensors and integers, by the name that launches use.

In: the launch's tensors, its integers, the texts of the program's checks. Out: nothing; results are written to tensors. Holds: no
call waits for the device, except on the CPU, where nothing runs beside it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from ..errors import ArgumentError
from ..ir.outside import outside_message

DeviceCall = Callable[[Sequence[Tensor], Sequence[int], Sequence[str]], None]


def check_indices(tensors: Sequence[Tensor], integers: Sequence[int], texts: Sequence[str]) -> None:
    """Ends the call where an index leaves its dimension. `integers`: how many indices there are, the length, the check's number;
    `tensors`: the least and the largest index; none where only an empty dimension has no place for it.

    Errors: ArgumentError on the CPU; on a device an assertion that it reports when it is next waited for.
    """
    points, length, number = integers
    if points < 1:
        return
    low, high = (tensors[0], tensors[1]) if tensors else (None, None)
    if low is not None and high is not None and low.is_cuda:
        message = f"{texts[number - 1]} must be in 0..{length - 1}"
        torch._assert_async(((low >= 0) & (high < length)).reshape(()), message)
        return
    least, largest = (int(low), int(high)) if low is not None and high is not None else (0, 0)
    if least < 0 or largest >= length:
        raise ArgumentError(outside_message(texts[number - 1], least, largest, length))


def sort_keys(tensors: Sequence[Tensor], integers: Sequence[int], texts: Sequence[str]) -> None:
    """start[groups, rows + 1], order[groups, points] from keys[groups, points]: the points of each group sorted by their keys,
    those of row r at start[r]..start[r + 1]-1; a key outside 0..rows-1 comes behind them all."""
    groups, points, rows = integers
    keys, start, order = tensors[0].view(groups, points), tensors[1].view(groups, rows + 1), tensors[2].view(groups, points)
    inside = torch.where((keys >= 0) & (keys < rows), keys, rows)
    found, places = torch.sort(inside, dim=1, stable=True)
    order.copy_(places)
    bounds = torch.arange(rows + 1, device=keys.device, dtype=keys.dtype).expand(groups, rows + 1).contiguous()
    start.copy_(torch.searchsorted(found, bounds))


def _transform(function: str) -> DeviceCall:
    def call(tensors: Sequence[Tensor], integers: Sequence[int], texts: Sequence[str]) -> None:
        operands, outer, source, target, inner, n = integers
        shape = (outer, source, inner)
        given = [tensor.reshape(-1).view(shape) for tensor in tensors[:operands]]
        results = [tensor.view(-1).view(outer, target, inner) for tensor in tensors[operands:]]
        if outer * inner == 0 or target == 0:
            return
        if n < 1 or source < 1:
            raise ArgumentError(f"{function}: expected at least one point, found length {min(n, source)}")
        parts = _of_points(function, given, n)
        kept = min(target, parts[0].shape[1])
        for result, part in zip(results, parts, strict=True):
            result[:, :kept] = part[:, :kept]
            result[:, kept:] = 0

    return call


def _of_points(function: str, given: Sequence[Tensor], n: int) -> list[Tensor]:
    """The transform of n points along dimension 1, real and imaginary part."""
    if function == "irfft":
        real, imaginary = given[0], given[1].clone() if len(given) > 1 else torch.zeros_like(given[0])
        imaginary[:, 0] = 0  # what would not be there in the spectrum of real points is not read
        if n % 2 == 0 and n // 2 < imaginary.shape[1]:
            imaginary[:, n // 2] = 0
        return [torch.fft.irfft(torch.complex(real, imaginary), n=n, dim=1)]
    if function == "rfft":
        found = torch.fft.rfft(given[0], n=n, dim=1)
        return [found.real, found.imag]
    if function in ("fft", "ifft"):
        value = torch.complex(given[0], given[1]) if len(given) > 1 else given[0]
        found = getattr(torch.fft, function)(value, n=n, dim=1)
        return [found.real, found.imag]
    value = torch.nn.functional.pad(given[0], (0, 0, 0, max(n - given[0].shape[1], 0)))[:, :n]
    return [_dct(value, n) if function == "dct" else _idct(value, n)]


def _quarters(n: int, like: Tensor) -> Tensor:
    """exp(-i pi k / 2n)."""
    angle = torch.arange(n, dtype=torch.float64, device=like.device) * (-math.pi / (2 * n))
    roots = torch.polar(torch.ones_like(angle), angle)
    return roots.to(torch.complex128 if like.dtype == torch.float64 else torch.complex64)[:, None]


def _dct(value: Tensor, n: int) -> Tensor:
    """DCT-II by a transform of as many points, even ones first (Makhoul, IEEE Trans. ASSP 28(1), 1980)."""
    ordered = torch.cat([value[:, ::2], value[:, 1::2].flip(1)], dim=1)
    return 2 * (torch.fft.fft(ordered, dim=1) * _quarters(n, value)).real


def _idct(value: Tensor, n: int) -> Tensor:
    mirrored = torch.cat([torch.zeros_like(value[:, :1]), value[:, 1:].flip(1)], dim=1)
    spectrum = torch.complex(value, -mirrored) * _quarters(n, value).conj() / 2
    ordered = torch.fft.ifft(spectrum, dim=1).real
    result = torch.empty_like(ordered)
    half = (n + 1) // 2
    result[:, ::2] = ordered[:, :half]
    result[:, 1::2] = ordered[:, half:].flip(1)
    return result


CALLS: dict[str, DeviceCall] = {
    "check_indices": check_indices,
    "sort_keys": sort_keys,
    **{name: _transform(name) for name in ("fft", "ifft", "rfft", "irfft", "dct", "idct")},
}
