"""A layer written as in a paper, compiled, and trained for one step. Run: python examples/hello.py"""

import lamina
import torch

layer = lamina.compile("layer swish { in x[..., C]  param b[C] = 1  out y[..., C] = x / (1 + exp(-b * x)) }")
module = layer.module(C=96)
y = module(torch.randn(4, 197, 96))
y.square().mean().backward()
print(y.shape, module.b.grad.norm())
