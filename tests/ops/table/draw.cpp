#include "tests/ops/table/draw.h"

#include <algorithm>
#include <array>
#include <string>

#include "tensor/ops/elementwise.h"
#include "tensor/ops/view.h"

namespace sfumato::testing {
namespace {

// Primes, and one less, equal and more than what kernels cut memory into.
constexpr std::array<int64_t, 24> kSizes{1,  2,  3,  4,  5,  7,  8,  9,   13,  15,  16,  17,
                                         31, 32, 33, 47, 63, 64, 65, 127, 128, 129, 251, 257};
constexpr int64_t kUsualElements = 3000;
constexpr int64_t kManyElements = 80000;  // enough that every op uses two threads
constexpr int64_t kSmallElements = 24;

std::string path_of(std::string_view op, DType dtype, Sizes sizes, int64_t number) {
  return fmt::format("{}/{}/{}/{}", op, name_of(dtype), static_cast<int>(sizes), number);
}

}  // namespace

Draw::Draw(std::string_view op, DType dtype, Sizes sizes, int64_t number)
    : dtype_(dtype), sizes_(sizes), stream_(RandomStream::of("table", path_of(op, dtype, sizes, number))) {}

uint64_t Draw::next() {
  const auto words = stream_.words(0, words_drawn_++);
  return static_cast<uint64_t>(words[0]) << 32u | words[1];
}

int64_t Draw::integer(int64_t low, int64_t high) {
  return low + static_cast<int64_t>(next() % static_cast<uint64_t>(high - low + 1));
}

bool Draw::chance(double probability) { return static_cast<double>(next() >> 11u) * 0x1p-53 < probability; }

int64_t Draw::size(int64_t most) {
  if (sizes_ != Sizes::any) {
    return integer(1, std::min<int64_t>(most, 4));
  }
  const auto* end = std::upper_bound(kSizes.begin(), kSizes.end(), most);
  return kSizes[static_cast<size_t>(integer(0, end - kSizes.begin() - 1))];
}

int64_t Draw::batch(int64_t most) { return sizes_ == Sizes::empty ? 0 : size(most); }

Shape Draw::shape(int min_rank, int max_rank) {
  if (sizes_ == Sizes::scalar && min_rank == 0) {
    return {};
  }
  const int64_t rank = integer(std::max(min_rank, sizes_ == Sizes::empty ? 1 : 0), max_rank);
  Shape shape;
  for (int64_t d = 0; d < rank; ++d) {
    shape.push_back(size());
  }
  const int64_t most = sizes_ != Sizes::any ? kSmallElements : chance(0.06) ? kManyElements : kUsualElements;
  while (shape.numel() > most) {
    int largest = 0;
    for (int d = 1; d < shape.rank(); ++d) {
      largest = shape[d] > shape[largest] ? d : largest;
    }
    shape[largest] = shape[largest] <= 4 ? 1 : shape[largest] / 3;
  }
  if (sizes_ == Sizes::empty && shape.rank() > 0) {
    shape[static_cast<int>(integer(0, shape.rank() - 1))] = 0;
  }
  return shape;
}

Draw::Pair Draw::broadcast_pair() {
  const Shape full = shape();
  if (sizes_ == Sizes::scalar || chance()) {
    return {full, full};
  }
  Pair pair{full, full};
  for (int d = 0; d < full.rank(); ++d) {
    if (full[d] > 0 && chance(0.4)) {
      (chance() ? pair.a : pair.b)[d] = 1;
    }
  }
  // Leading dimensions of one of them may be missing.
  Shape& shorter = chance() ? pair.a : pair.b;
  while (shorter.rank() > 0 && (shorter[0] == 1 || chance(0.2)) && chance()) {
    shorter.erase(0);
  }
  return pair;
}

int64_t Draw::dim(const Shape& shape) { return integer(-shape.rank(), shape.rank() - 1); }

Dims Draw::dims(const Shape& shape) {
  Dims dims;
  for (int d = 0; d < shape.rank(); ++d) {
    if (chance(0.4)) {
      dims.push_back(chance() ? d : d - shape.rank());
    }
  }
  return dims;
}

Tensor Draw::rounded(const Tensor& values) const {
  if (dtype_ == DType::boolean) {
    return values;
  }
  if (!integers()) {
    return values.to(dtype_).to(DType::f64);
  }
  const Tensor whole = round(values * 10.0);
  return dtype_ == DType::u8 ? abs(whole) : whole;
}

Tensor Draw::uniform(const Shape& shape, double low, double high) {
  RandomStream stream = stream_;
  stream.draw += static_cast<uint32_t>(++tensors_drawn_);
  return rounded(affine(rand({1, shape.numel()}, stream, DType::f64), high - low, low).reshape(shape));
}

Tensor Draw::off_zero(const Shape& shape) {
  const Tensor magnitude = uniform(shape, 0.1, 1.5);
  return dtype_ == DType::u8 ? magnitude : mul(magnitude, affine(bits(shape), 2, -1));
}

Tensor Draw::distinct(const Shape& shape) {
  RandomStream stream = stream_;
  stream.draw += static_cast<uint32_t>(++tensors_drawn_);
  const int64_t count = shape.numel();
  const auto order = random_permutation(count, stream);
  std::vector<double> values(order.size());
  // Steps that bf16 keeps apart for up to 256 elements; integers are their own.
  const double step = integers() ? 1 : sizes_ == Sizes::any ? 1.0 / 1024 : 0.1;
  for (size_t i = 0; i < order.size(); ++i) {
    values[i] = step * static_cast<double>(order[i] - (dtype_ == DType::u8 ? 0 : count / 2));
  }
  return tensor_of(values, shape, DType::f64);
}

Tensor Draw::bits(const Shape& shape) {
  RandomStream stream = stream_;
  stream.draw += static_cast<uint32_t>(++tensors_drawn_);
  return randint(0, 2, {1, shape.numel()}, stream).reshape(shape).to(DType::f64);
}

Tensor Draw::indices(const Shape& shape, int64_t size) {
  RandomStream stream = stream_;
  stream.draw += static_cast<uint32_t>(++tensors_drawn_);
  return randint(0, std::max<int64_t>(size, 1), {1, shape.numel()}, stream).reshape(shape);
}

Tensor Draw::mask(const Shape& shape) { return bits(shape).to(DType::boolean); }

}  // namespace sfumato::testing
