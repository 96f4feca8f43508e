// The scalar runtime of generated kernels: everything in namespace lamina. Nothing here allocates, locks or keeps state.
#pragma once

#include "math_base.hpp"
#include "math_double.hpp"
#include "math_float.hpp"
#include "math_special.hpp"
#include "storage.hpp"
#include "streaming.hpp"
