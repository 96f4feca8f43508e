// Adding values up at positions that only other values tell: the adjoint of a gather.
#pragma once

#include "math_base.hpp"
#include "division.hpp"
#include "storage.hpp"

namespace lamina {

// result[outer][groups][rows][inner] = sums of values[outer][groups][points][inner] at the rows that the points belong to: those of row
// r of a group are order[start[r]] .. order[start[r + 1] - 1]. A thread has one element of the result and adds up its points in their
// order, in float64; neighbouring threads have neighbouring elements.
template <class Real, class Out>
LAMINA_FUNCTION void scatter_element(const int64_t element, const divisor& groups, const int64_t points, const divisor& rows,
                                     const divisor& inner, const int64_t* __restrict__ start, const int64_t* __restrict__ order,
                                     const Real* __restrict__ values, Out* __restrict__ result) {
    const int64_t i = element % inner, row = element / inner % rows, block = element / inner / rows, group = block % groups;
    const int64_t* const own = order + group * points;
    const int64_t first = start[group * (rows.length + 1) + row], last = start[group * (rows.length + 1) + row + 1];
    const Real* const column = values + block * points * inner.length + i;
    double total = 0;
    for (int64_t k = first; k < last; ++k) total += double(convert<Real>(column[own[k] * inner.length]));
    result[element] = convert<Out>(Real(total));
}

}  // namespace lamina
