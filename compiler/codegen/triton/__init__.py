"""The Triton target: a schedule as one Python module of kernels, and the launches that run them."""
