"""The CUDA toolchain and driver: from emitted CUDA C++ to cubins, their launch, their disassembly, and their execution on a CPU."""
