// Lines are sorted as pairs (key, index): keys are unsigned integers in the order of the values, and the index makes
// every pair different. So any sorting algorithm is stable here, and its result unique.
#include "tensor/ops/sort.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <type_traits>
#include <vector>

#include "tensor/ops/lines.h"
#include "tensor/ops/view.h"

namespace sfumato {
namespace {

constexpr int64_t kGrain = 1 << 12;  // elements below which a second thread does not pay

struct Entry {
  uint64_t key;
  int64_t index;
  friend bool operator<(const Entry& a, const Entry& b) {
    return a.key < b.key || (a.key == b.key && a.index < b.index);
  }
};

constexpr uint64_t kNanKey = ~uint64_t{0};

// IEEE numbers compare like their bits when those of negative ones are flipped; -0 equals 0, and every NaN is last.
template <class T>
uint64_t key_of(T value) {
  constexpr uint64_t kSign = uint64_t{1} << 63u;
  if constexpr (std::is_integral_v<T>) {
    return static_cast<uint64_t>(static_cast<int64_t>(value)) ^ kSign;
  } else {
    const auto v = static_cast<double>(static_cast<Compute<T>>(value));
    if (v != v) {
      return kNanKey;
    }
    const auto bits = __builtin_bit_cast(uint64_t, v == 0 ? 0.0 : v);
    return bits >= kSign ? ~bits : bits ^ kSign;
  }
}

// Orders every line by `arrange`, which puts the wanted entries to the front, and returns the first `kept`.
template <class Arrange>
IndexedResult ordered(const char* op, const Tensor& x, int d, bool descending, int64_t kept, const Arrange& arrange) {
  const Tensor rows = to_rows(x, d);
  const int64_t n = rows.size(-1);
  Shape shape = rows.shape();
  shape[shape.rank() - 1] = kept;
  Tensor values = Tensor::empty(shape, x.dtype());
  Tensor indices = Tensor::empty(shape, DType::i64);
  dispatch<kAllDTypes>(op, x.dtype(), [&]<class T>() {
    const T* from = rows.data<T>();
    T* to = values.mutable_data<T>();
    int64_t* places = indices.mutable_data<int64_t>();
    const int64_t count = n > 0 ? rows.numel() / n : 0;
    parallel_for(count, std::max<int64_t>(1, kGrain / std::max<int64_t>(n, 1)), [&](int64_t begin, int64_t end) {
      std::vector<Entry> line(static_cast<size_t>(n));
      for (int64_t row = begin; row < end; ++row) {
        for (int64_t i = 0; i < n; ++i) {
          const uint64_t key = key_of(from[row * n + i]);
          line[static_cast<size_t>(i)] = {descending ? ~key : key, i};
        }
        arrange(line);
        for (int64_t i = 0; i < kept; ++i) {
          const int64_t index = line[static_cast<size_t>(i)].index;
          to[row * kept + i] = from[row * n + index];
          places[row * kept + i] = index;
        }
      }
    });
  });
  return {from_rows(values, d, x.dim()), from_rows(indices, d, x.dim())};
}

int64_t line_length(const Tensor& x, int d) { return x.dim() == 0 ? 1 : x.shape()[d]; }

// The result with `dim` of size 1 taken out unless it is to be kept.
IndexedResult without_dim(const IndexedResult& r, int d, bool keepdim) {
  return keepdim || r.values.dim() == 0 ? r : IndexedResult{squeeze(r.values, d), squeeze(r.indices, d)};
}

}  // namespace

IndexedResult sort(const Tensor& x, int64_t dim, bool descending) {
  const int d = normalize_dim("sort", dim, x.dim());
  return ordered("sort", x, d, descending, line_length(x, d),
                 [](std::vector<Entry>& line) { std::sort(line.begin(), line.end()); });
}

Tensor argsort(const Tensor& x, int64_t dim, bool descending) {
  normalize_dim("argsort", dim, x.dim());
  return sort(x, dim, descending).indices;
}

IndexedResult topk(const Tensor& x, int64_t k, int64_t dim, const TopkOptions& options) {
  const int d = normalize_dim("topk", dim, x.dim());
  check(x.dim() > 0 || k == 1, "topk: of a tensor of rank 0 k must be 1, got ", k);
  check(k >= 0 && k <= line_length(x, d), "topk: k must be 0 to ", line_length(x, d), ", the size of dimension ", d,
        " of ", x.shape(), ", got ", k);
  return ordered("topk", x, d, options.largest, k, [&](std::vector<Entry>& line) {
    const auto end = line.begin() + k;
    if (k < static_cast<int64_t>(line.size())) {
      std::nth_element(line.begin(), end, line.end());
    }
    if (options.sorted) {
      std::sort(line.begin(), end);
    }
  });
}

IndexedResult kthvalue(const Tensor& x, int64_t k, int64_t dim, bool keepdim) {
  const int d = normalize_dim("kthvalue", dim, x.dim());
  check(k >= 1 && k <= line_length(x, d), "kthvalue: k must be 1 to ", line_length(x, d), ", the size of dimension ", d,
        " of ", x.shape(), ", got ", k);
  const IndexedResult r = ordered("kthvalue", x, d, false, 1, [&](std::vector<Entry>& line) {
    std::nth_element(line.begin(), line.begin() + (k - 1), line.end());
    line.front() = line[static_cast<size_t>(k - 1)];
  });
  return without_dim(r, d, keepdim);
}

IndexedResult median(const Tensor& x, int64_t dim, bool keepdim) {
  const int d = normalize_dim("median", dim, x.dim());
  check(line_length(x, d) > 0, "median: dimension ", d, " of shape ", x.shape(), " is empty and has no median");
  const bool may_be_nan = is_floating(x.dtype());
  const IndexedResult r = ordered("median", x, d, false, 1, [&](std::vector<Entry>& line) {
    const auto middle = line.begin() + (static_cast<int64_t>(line.size()) - 1) / 2;
    std::nth_element(line.begin(), middle, line.end());
    Entry chosen = *middle;
    // The first NaN, if there is one: it is the largest entry, so it does not stand before the middle.
    for (auto entry = middle; may_be_nan && entry != line.end(); ++entry) {
      if (entry->key == kNanKey && (chosen.key != kNanKey || entry->index < chosen.index)) {
        chosen = *entry;
      }
    }
    line.front() = chosen;
  });
  return without_dim(r, d, keepdim);
}

Tensor median(const Tensor& x) {
  if (x.numel() == 0) {
    check_dtype("median", kFloats, x.dtype());
    return scalar(std::numeric_limits<double>::quiet_NaN(), x.dtype());
  }
  return median(x.reshape({x.numel()}), 0).values;
}

namespace {

Tensor places_in(const char* op, const Tensor& sorted, const Tensor& values, bool right) {
  const DType common = promote_types(sorted.dtype(), values.dtype());
  const Tensor list = sorted.to(common).contiguous();
  const Tensor wanted = values.to(common).contiguous();
  const int64_t n = list.size(-1);
  // With one list for all, every value is in row 0.
  const int64_t per_list = list.dim() == 1 ? std::max<int64_t>(wanted.numel(), 1) : wanted.size(-1);
  Tensor out = Tensor::empty(values.shape(), DType::i64);
  dispatch<kAllDTypes>(op, common, [&]<class T>() {
    const T* from = list.data<T>();
    const T* value = wanted.data<T>();
    int64_t* to = out.mutable_data<int64_t>();
    parallel_for(wanted.numel(), kGrain / 4, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        const T* first = from + i / per_list * n;
        const uint64_t key = key_of(value[i]);
        const auto goes_before = [&](T entry) { return right ? key_of(entry) <= key : key_of(entry) < key; };
        to[i] = std::partition_point(first, first + n, goes_before) - first;
      }
    });
  });
  return out;
}

}  // namespace

Tensor searchsorted(const Tensor& sorted, const Tensor& values, bool right) {
  bool fits = sorted.dim() == 1 || sorted.dim() == values.dim();
  for (int d = 0; sorted.dim() > 1 && fits && d + 1 < sorted.dim(); ++d) {
    fits = sorted.shape()[d] == values.shape()[d];
  }
  check(fits && sorted.dim() >= 1, "searchsorted: the sorted tensor must have rank 1 or the leading dimensions of ",
        values.shape(), ", got ", sorted.shape());
  return places_in("searchsorted", sorted, values, right);
}

Tensor bucketize(const Tensor& values, const Tensor& boundaries, bool right) {
  check(boundaries.dim() == 1, "bucketize: boundaries must have rank 1, got ", boundaries.shape());
  return places_in("bucketize", boundaries, values, right);
}

Tensor histc(const Tensor& x, int64_t bins, double min, double max) {
  check_dtype("histc", kReals, x.dtype());
  check(bins >= 1, "histc: at least one bin, got ", bins);
  if (min == max && x.numel() > 0) {
    min = amin(x).item();
    max = amax(x).item();
  }
  if (min == max) {  // all data equal, or none
    min -= 1;
    max += 1;
  }
  check(std::isfinite(min) && std::isfinite(max) && min < max, "histc: the range must be finite with min <= max, got ",
        min, " to ", max);
  Tensor out = zeros({bins}, x.dtype());
  const Tensor dense = x.contiguous();
  dispatch<kReals>("histc", x.dtype(), [&]<class T>() {
    std::vector<int64_t> counts(static_cast<size_t>(bins));
    const T* from = dense.data<T>();
    for (int64_t i = 0; i < x.numel(); ++i) {
      const auto v = static_cast<double>(from[i]);
      if (v >= min && v <= max) {
        const auto bin = static_cast<int64_t>((v - min) / (max - min) * static_cast<double>(bins));
        ++counts[static_cast<size_t>(std::min(bin, bins - 1))];
      }
    }
    std::copy(counts.begin(), counts.end(), out.mutable_data<T>());
  });
  return out;
}

}  // namespace sfumato
