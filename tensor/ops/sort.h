// Sorting and what follows from order: the k largest, medians, places in a sorted list, histograms.
//
//   auto [values, indices] = topk(logits, 5, /*dim=*/-1);
//   Tensor bin = bucketize(t, boundaries);
//
// NaN counts as larger than every number, and equal elements keep their order, as in PyTorch (which promises the second
// for stable sorts only). Declared for every dtype unless a line says otherwise. A tensor of rank 0 is a line of one.
#pragma once

#include <optional>

#include "tensor/ops/reduce.h"

namespace sfumato {

IndexedResult sort(const Tensor& x, int64_t dim = -1, bool descending = false);
Tensor argsort(const Tensor& x, int64_t dim = -1, bool descending = false);

struct TopkOptions {
  bool largest = true;
  bool sorted = true;  // otherwise in whatever order, which is still the same in every run
};
// The k largest (or smallest) elements along `dim`. Throws when there are fewer.
IndexedResult topk(const Tensor& x, int64_t k, int64_t dim = -1, const TopkOptions& options = {});
// The k-th smallest element along `dim`, k counted from 1.
IndexedResult kthvalue(const Tensor& x, int64_t k, int64_t dim = -1, bool keepdim = false);
// The middle element, the lower one of two; NaN where there is a NaN. Throws when `dim` is empty; of an empty tensor
// the median is NaN. Without `dim` that of all elements, of rank 0.
IndexedResult median(const Tensor& x, int64_t dim, bool keepdim = false);
Tensor median(const Tensor& x);

// How many entries of `sorted` are less than each value (right: at most as large): the index (i64) where it would be
// inserted. `sorted` has rank 1, or the leading dimensions of `values`; the two meet in promote_types().
Tensor searchsorted(const Tensor& sorted, const Tensor& values, bool right = false);
// The same with the arguments exchanged and boundaries of rank 1.
Tensor bucketize(const Tensor& values, const Tensor& boundaries, bool right = false);

// How many elements fall into each of `bins` equal parts of [min, max], the last one closed; others are left out. f32
// and f64, counted in x's dtype. min == max means the range of the data.
Tensor histc(const Tensor& x, int64_t bins = 100, double min = 0, double max = 0);

}  // namespace sfumato
