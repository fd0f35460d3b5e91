#include "tensor/random.h"

#include <Random123/philox.h>
#include <xxhash.h>

#include <algorithm>
#include <cmath>
#include <numbers>
#include <numeric>

#include "tensor/backend/backend.h"
#include "tensor/cost.h"
#include "tensor/dry_run.h"
#include "tensor/parallel.h"
#ifdef SFUMATO_FAST
#include "tensor/backend/fast/random.h"
#endif

namespace sfumato {
namespace {

constexpr int64_t kGrainBlocks = 2048;  // below this a second thread does not pay
constexpr int64_t kBatchBlocks = 64;    // blocks whose words are made at a time (1 KiB)

RandomState& state_in_force() {
  thread_local RandomState state;
  return state;
}

bool vectorised() {
#ifdef SFUMATO_FAST
  return backend() == Backend::fast;
#else
  return false;
#endif
}

// The words of blocks first .. first + blocks - 1 of one row.
void fill_words(const RandomStream& stream, int64_t row, int64_t first, int64_t blocks, uint32_t* out) {
#ifdef SFUMATO_FAST
  if (vectorised()) {
    fast::philox_words({stream.key, static_cast<uint32_t>(stream.first_sample + row), stream.step, stream.draw},
                       static_cast<uint32_t>(first), blocks, out);
    return;
  }
#endif
  for (int64_t b = 0; b < blocks; ++b) {
    const auto words = stream.words(row, static_cast<uint32_t>(first + b));
    std::copy(words.begin(), words.end(), out + 4 * b);
  }
}

// How a shape's elements are shared out: rows of `length` elements, each numbered from 0 and cut into whole blocks.
struct Rows {
  int64_t count;
  int64_t length;
  int64_t per_block;  // elements that one block of four words makes
  int64_t blocks() const { return (length + per_block - 1) / per_block; }
};

Rows rows_of(std::string_view op, const Shape& shape, int64_t per_block) {
  const int64_t numel = checked_numel(op, shape);
  const int64_t count = numel == 0 ? 0 : shape.rank() > 0 ? shape[0] : 1;
  const Rows rows{count, count > 0 ? numel / count : 0, per_block};
  check(rows.blocks() <= int64_t{1} << 32, op, ": a sample of ", rows.length, " elements has too many for one stream");
  return rows;
}

// Calls f(row, first_block, blocks, offset of the first element, elements) for pieces of rows, in parallel. The pieces
// depend on the threads, what belongs to an element does not.
template <class F>
void for_each_piece(const Rows& rows, int64_t max_blocks, F&& f) {
  const int64_t per_row = rows.blocks();
  parallel_for(rows.count * per_row, kGrainBlocks, [&](int64_t begin, int64_t end) {
    for (int64_t at = begin; at < end;) {
      const int64_t row = at / per_row;
      const int64_t first = at % per_row;
      const int64_t blocks = std::min({per_row - first, end - at, max_blocks});
      const int64_t element = first * rows.per_block;
      f(row, first, blocks, row * rows.length + element, std::min(blocks * rows.per_block, rows.length - element));
      at += blocks;
    }
  });
}

// Fills `out` with make(words of a block, values): per_block values from four words.
template <class T, int kPerBlock, class Make>
Tensor draw(std::string_view op, const Shape& shape, const RandomStream& stream, Make&& make) {
  Tensor out = Tensor::empty(shape, dtype_of<T>);
  report_cost("random", {&out});
  T* to = out.mutable_data<T>();
  const Rows rows = rows_of(op, shape, kPerBlock);
  if (std::is_integral_v<T> && dry_run()) {
    std::fill_n(to, out.numel(), T{});  // indices must be in range even when nothing is computed
  }
  for_each_piece(rows, kBatchBlocks, [&](int64_t row, int64_t first, int64_t blocks, int64_t offset, int64_t elements) {
    uint32_t words[4 * kBatchBlocks];
    T values[kPerBlock * kBatchBlocks];
    fill_words(stream, row, first, blocks, words);
    for (int64_t b = 0; b < blocks; ++b) {
      make(words + 4 * b, values + kPerBlock * b);
    }
    std::copy_n(values, elements, to + offset);
  });
  return out;
}

uint64_t join_words(const uint32_t* w) { return static_cast<uint64_t>(w[0]) << 32 | w[1]; }

// Uniform in [0, 1) with every bit that the type holds: 24 from one word, 53 from two.
float uniform_f32(uint32_t word) { return static_cast<float>(word >> 8) * 0x1p-24f; }
double uniform_f64(const uint32_t* w) { return static_cast<double>(join_words(w) >> 11) * 0x1p-53; }

// Box & Muller (1958): two independent normals from u1 in (0, 1] and u2 in [0, 1).
template <class T>
void box_muller(T u1, T u2, T* out) {
  const T radius = std::sqrt(T(-2) * std::log(u1));
  const T angle = T(2) * std::numbers::pi_v<T> * u2;
  out[0] = radius * std::cos(angle);
  out[1] = radius * std::sin(angle);
}

// floor(bits * range / 2^64) is uniform in [0, range) but for a bias of at most range / 2^64 (Lemire 2019).
uint64_t scale_to_range(uint64_t bits, uint64_t range) {
  return static_cast<uint64_t>(static_cast<unsigned __int128>(bits) * range >> 64);
}

}  // namespace

RandomScope::RandomScope(const RandomState& state) : previous_(state_in_force()) { state_in_force() = state; }
RandomScope::~RandomScope() { state_in_force() = previous_; }
const RandomState& RandomScope::current() { return state_in_force(); }

uint64_t hash_seed(uint64_t seed, std::string_view text) {
  return XXH3_64bits_withSeed(text.data(), text.size(), seed);
}

RandomStream RandomStream::of(std::string_view purpose, std::string_view path) {
  const RandomState& state = RandomScope::current();
  const auto draw = static_cast<uint32_t>(path.empty() ? 0 : XXH3_64bits(path.data(), path.size()));
  return {hash_seed(state.seed, purpose), state.first_sample, static_cast<uint32_t>(state.step), draw};
}

std::array<uint32_t, 4> RandomStream::words(int64_t row, uint32_t block) const {
  const r123::Philox4x32::ctr_type counter = {{block, static_cast<uint32_t>(first_sample + row), step, draw}};
  const r123::Philox4x32::key_type keys = {{static_cast<uint32_t>(key), static_cast<uint32_t>(key >> 32)}};
  const auto words = r123::Philox4x32()(counter, keys);  // ten rounds is Random123's default
  return {words[0], words[1], words[2], words[3]};
}

Tensor rand(const Shape& shape, const RandomStream& stream, DType dtype) {
  return dispatch<kReals>("rand", dtype, [&]<class T>() {
    if constexpr (std::is_same_v<T, float>) {
      return draw<float, 4>("rand", shape, stream, [](const uint32_t* w, float* out) {
        for (int i = 0; i < 4; ++i) {
          out[i] = uniform_f32(w[i]);
        }
      });
    } else {
      return draw<double, 2>("rand", shape, stream, [](const uint32_t* w, double* out) {
        out[0] = uniform_f64(w);
        out[1] = uniform_f64(w + 2);
      });
    }
  });
}

Tensor randn(const Shape& shape, const RandomStream& stream, DType dtype) {
  return dispatch<kReals>("randn", dtype, [&]<class T>() {
    if constexpr (std::is_same_v<T, float>) {
      return draw<float, 4>("randn", shape, stream, [](const uint32_t* w, float* out) {
        box_muller(uniform_f32(w[0]) + 0x1p-24f, uniform_f32(w[1]), out);
        box_muller(uniform_f32(w[2]) + 0x1p-24f, uniform_f32(w[3]), out + 2);
      });
    } else {
      return draw<double, 2>("randn", shape, stream, [](const uint32_t* w, double* out) {
        box_muller(uniform_f64(w) + 0x1p-53, uniform_f64(w + 2), out);
      });
    }
  });
}

Tensor randint(int64_t low, int64_t high, const Shape& shape, const RandomStream& stream) {
  check(low < high, "randint: the range [", low, ", ", high, ") is empty");
  const uint64_t range = static_cast<uint64_t>(high) - static_cast<uint64_t>(low);
  return draw<int64_t, 2>("randint", shape, stream, [low, range](const uint32_t* w, int64_t* out) {
    out[0] = static_cast<int64_t>(static_cast<uint64_t>(low) + scale_to_range(join_words(w), range));
    out[1] = static_cast<int64_t>(static_cast<uint64_t>(low) + scale_to_range(join_words(w + 2), range));
  });
}

Tensor rand(const Shape& shape, std::string_view purpose, DType dtype) {
  return rand(shape, RandomStream::of(purpose), dtype);
}
Tensor randn(const Shape& shape, std::string_view purpose, DType dtype) {
  return randn(shape, RandomStream::of(purpose), dtype);
}
Tensor randint(int64_t low, int64_t high, const Shape& shape, std::string_view purpose) {
  return randint(low, high, shape, RandomStream::of(purpose));
}

std::vector<int64_t> random_permutation(int64_t n, const RandomStream& stream) {
  check(n >= 0 && n < int64_t{1} << 33, "random_permutation: n must be in [0, 2^33), got ", n);
  std::vector<int64_t> order(static_cast<size_t>(n));
  std::iota(order.begin(), order.end(), int64_t{0});
  uint32_t words[4 * kBatchBlocks];
  // Step k exchanges the last of the n - k entries that are left with one of them, by the k-th pair of words.
  for (int64_t k = 0; k + 1 < n; ++k) {
    const int64_t at = k % (2 * kBatchBlocks);
    if (at == 0) {
      fill_words(stream, 0, k / 2, kBatchBlocks, words);
    }
    const auto chosen = scale_to_range(join_words(words + 2 * at), static_cast<uint64_t>(n - k));
    std::swap(order[chosen], order[static_cast<size_t>(n - 1 - k)]);
  }
  return order;
}

Tensor dropout_with(const Tensor& x, double p, const RandomStream& stream) {
  check(p >= 0 && p < 1, "dropout: p must be in [0, 1), got ", p);
  if (x.dtype() == DType::bf16) {
    return dropout_with(x.to(DType::f32), p, stream).to(DType::bf16);
  }
  const auto threshold = static_cast<uint32_t>(p * 0x1p32);  // below 2^32, because p is at most 1 - 2^-53
  const Tensor dense = x.contiguous();
  Tensor out = Tensor::empty(x.shape(), x.dtype());
  const Rows rows = rows_of("dropout", x.shape(), 4);
  report_cost("dropout", {&dense, &out});
  dispatch<kReals>("dropout", x.dtype(), [&]<class T>() {
    const T scale = static_cast<T>(1.0 / (1.0 - p));
    const T* from = dense.data<T>();
    T* to = out.mutable_data<T>();
#ifdef SFUMATO_FAST
    if constexpr (std::is_same_v<T, float>) {
      if (vectorised()) {
        for_each_piece(rows, rows.blocks(), [&](int64_t row, int64_t first, int64_t, int64_t offset, int64_t elements) {
          fast::philox_dropout({stream.key, static_cast<uint32_t>(stream.first_sample + row), stream.step, stream.draw},
                               static_cast<uint32_t>(first), elements, threshold, scale, from + offset, to + offset);
        });
        return;
      }
    }
#endif
    for_each_piece(rows, kBatchBlocks, [&](int64_t row, int64_t first, int64_t blocks, int64_t at, int64_t elements) {
      uint32_t words[4 * kBatchBlocks];
      fill_words(stream, row, first, blocks, words);
      for (int64_t i = 0; i < elements; ++i) {
        to[at + i] = words[i] < threshold ? T(0) : from[at + i] * scale;
      }
    });
  });
  return out;
}

}  // namespace sfumato
