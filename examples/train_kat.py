"""Trains a small vision transformer with group-rational (GR-KAN) layers on the 8 x 8 digits bundled with scikit-learn.

The multilayer perceptron of each block is, as in the Kolmogorov-Arnold Transformer (arXiv:2409.10594): a group-rational
activation that starts as the identity, a linear map, one that starts as swish, a linear map. The same model is trained twice from
the same initial values and the same order of batches: once with the activation compiled by Lamina, once in eager PyTorch
operations. Prints test accuracy and time of both. Run: python examples/train_kat.py [--epochs N] [--quick]
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Callable

import lamina
import numpy
import torch
from lamina.ops.eager_rational import group_rational_b
from lamina.ops.presets import Preset, preset, rational
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import Tensor, nn
from torch.nn import functional

GROUPS = 8
# Overlapping patches of 4 x 4 pixels, 2 apart: 9 tokens an image.
IMAGE, PATCH, STRIDE = 8, 4, 2
PEAK_RATE = 6e-3
# The formula of the paper; a and b start from coefficients fitted for this form.
FORM = "B"
ENTRY = "group_rational_b"

Activation = Callable[[int], nn.Module]


class EagerRational(nn.Module):
    """The group-rational activation in eager PyTorch operations; x (..., channels)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        assert channels % GROUPS == 0
        self.a = nn.Parameter(torch.empty(GROUPS, 6))
        self.b = nn.Parameter(torch.empty(GROUPS, 4))

    def forward(self, x: Tensor) -> Tensor:
        return group_rational_b(x, self.a, self.b)


def lamina_activation() -> Activation:
    """The group-rational activation compiled by Lamina."""
    layer = lamina.compile(ENTRY, sizes={"G": GROUPS})
    return lambda channels: layer.module(C=channels // GROUPS)


def start_from(activation: nn.Module, coefficients: Preset) -> None:
    """Set an activation's coefficients a (groups, 6) and b (groups, 4) to a preset, the same in every group."""
    with torch.no_grad():
        activation.get_parameter("a").copy_(torch.tensor(coefficients.numerator).expand(GROUPS, -1))
        activation.get_parameter("b").copy_(torch.tensor(coefficients.denominator).expand(GROUPS, -1))


def gain(coefficients: Preset) -> float:
    """1 / E[f(z)^2] for a standard normal z, by Gauss-Hermite quadrature: the variance a linear map after f has to restore."""
    nodes, weights = numpy.polynomial.hermite_e.hermegauss(64)
    values = rational(coefficients.form, coefficients.numerator, coefficients.denominator, nodes)
    return float(math.sqrt(2 * math.pi) / (weights @ values**2))


class Block(nn.Module):
    """Pre-normalised attention, then activation, linear, activation, linear; x (batch, tokens, width)."""

    def __init__(self, width: int, hidden: int, heads: int, activation: Activation) -> None:
        super().__init__()
        self.heads = heads
        self.norm1 = nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * width)
        self.project = nn.Linear(width, width)
        self.norm2 = nn.LayerNorm(width)
        self.act1 = activation(width)
        self.fc1 = nn.Linear(width, hidden)
        self.act2 = activation(hidden)
        self.fc2 = nn.Linear(hidden, width)

    def initialise(self) -> None:
        """Variance-preserving: the weights after an activation f have variance gain(f) / fan_in. Nothing may overwrite it."""
        identity, swish = preset("identity", FORM), preset("swish", FORM)
        for activation, linear, coefficients in ((self.act1, self.fc1, identity), (self.act2, self.fc2, swish)):
            start_from(activation, coefficients)
            nn.init.normal_(linear.weight, std=math.sqrt(gain(coefficients) / linear.in_features))
            nn.init.zeros_(linear.bias)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.qkv(self.norm1(x)).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        attended = functional.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
        x = x + self.project(attended)
        return x + self.fc2(self.act2(self.fc1(self.act1(self.norm2(x)))))


class VisionTransformer(nn.Module):
    """images (batch, 8, 8) -> logits (batch, 10)."""

    def __init__(self, activation: Activation, width: int = 64, depth: int = 2, heads: int = 4) -> None:
        super().__init__()
        self.embed = nn.Linear(PATCH * PATCH, width)
        tokens = ((IMAGE - PATCH) // STRIDE + 1) ** 2
        self.position = nn.Parameter(torch.randn(tokens, width) * 0.02)
        self.blocks = nn.ModuleList(Block(width, 4 * width, heads, activation) for _ in range(depth))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, 10)
        for block in self.blocks:
            assert isinstance(block, Block)
            block.initialise()

    def forward(self, images: Tensor) -> Tensor:
        patches = images.unfold(1, PATCH, STRIDE).unfold(2, PATCH, STRIDE).flatten(3).flatten(1, 2)
        x = self.embed(patches) + self.position
        for block in self.blocks:
            x = block(x)
        return self.head(self.norm(x).mean(1))


def digits() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Training images and labels, test images and labels; pixels scaled to [-1, 1], a stratified fifth held out."""
    data = load_digits()
    images, labels = (data.images / 8 - 1).astype("float32"), data.target
    split = train_test_split(images, labels, test_size=0.2, stratify=labels, random_state=0)
    train_images, test_images, train_labels, test_labels = (torch.from_numpy(part) for part in split)
    return train_images, train_labels, test_images, test_labels


def train(model: nn.Module, epochs: int, batch: int = 64, seed: int = 0) -> tuple[float, float, float]:
    """Test accuracy, seconds of the first step (compilation included) and seconds of the rest of the training."""
    train_images, train_labels, test_images, test_labels = digits()
    steps = epochs * math.ceil(len(train_images) / batch)
    optimiser = torch.optim.AdamW(model.parameters(), lr=PEAK_RATE, weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, max_lr=PEAK_RATE, total_steps=steps, pct_start=0.2)
    order = torch.Generator().manual_seed(seed)
    begin = time.perf_counter()
    first = 0.0
    model.train()
    for _ in range(epochs):
        for chosen in torch.randperm(len(train_images), generator=order).split(batch):
            loss = functional.cross_entropy(model(train_images[chosen]), train_labels[chosen], label_smoothing=0.1)
            optimiser.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimiser.step()
            schedule.step()
            first = first or time.perf_counter() - begin
    seconds = time.perf_counter() - begin
    model.eval()
    with torch.no_grad():
        accuracy = (model(test_images).argmax(-1) == test_labels).float().mean().item()
    return accuracy, first, seconds - first


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--quick", action="store_true", help="two epochs, to see that it runs")
    options = parser.parse_args()
    epochs = 2 if options.quick else options.epochs

    torch.manual_seed(0)
    eager = VisionTransformer(EagerRational)
    compiled = VisionTransformer(lamina_activation())
    compiled.load_state_dict(eager.state_dict())
    print(f"{sum(parameter.numel() for parameter in eager.parameters())} parameters, {epochs} epochs")
    print(f"{'':14}{'test accuracy':>14}{'first step':>12}{'the rest':>12}")
    for name, model in (("Lamina", compiled), ("eager PyTorch", eager)):
        accuracy, first, rest = train(model, epochs)
        print(f"{name:14}{accuracy:>13.1%}{first:>10.2f} s{rest:>10.1f} s")


if __name__ == "__main__":
    main()
