"""The CUDA C++ target: kernels from grid plans, and the list of their launches."""
