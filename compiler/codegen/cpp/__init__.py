"""The C++ target: a schedule as one C++17 translation unit with OpenMP threads."""
