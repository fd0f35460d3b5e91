// Random numbers that depend on what they are for, not on when or where they are drawn.
//
// Philox4x32-10 (Salmon et al. 2011) is a function of a key and a counter. The key is hash(seed, purpose), the counter
// (element block within the sample, global sample index, step, draw id), so noise, dropout and shuffles are the same
// for every batch layout, number of threads and ranks, and when a step is computed again.
//
//   RandomScope scope({.seed = 42, .step = 7, .first_sample = 128});   // set by the training loop
//   Tensor noise = randn({16, 3, 32, 32}, "noise");                    // row n belongs to global sample 128 + n
//
// Without a scope, seed 0, step 0 and first sample 0 are in force.
#pragma once

#include <array>
#include <string_view>

#include "tensor/tensor.h"

namespace sfumato {

struct RandomState {
  uint64_t seed = 0;
  int64_t step = 0;
  int64_t first_sample = 0;  // the global index of row 0
};

// Puts a RandomState in force for this thread while it lives.
class RandomScope {
 public:
  explicit RandomScope(const RandomState& state);
  ~RandomScope();
  RandomScope(const RandomScope&) = delete;
  RandomScope& operator=(const RandomScope&) = delete;
  static const RandomState& current();

 private:
  RandomState previous_;
};

// A resolved stream: what is left to choose is the row and the element. Copy it to draw the same numbers again.
struct RandomStream {
  uint64_t key = 0;
  int64_t first_sample = 0;
  uint32_t step = 0;
  uint32_t draw = 0;

  // The stream of `purpose` under the scope in force. `path` distinguishes draws of one purpose, as a module's path
  // does.
  static RandomStream of(std::string_view purpose, std::string_view path = {});
  // The four 32-bit words of one block of one sample (row counts from first_sample).
  std::array<uint32_t, 4> words(int64_t row, uint32_t block) const;
};

// A well-mixed 64-bit hash of a seed and a text (XXH3).
uint64_t hash_seed(uint64_t seed, std::string_view text);

// Dimension 0 counts samples (rank 0 is one sample); the elements of a row are numbered in row-major order and a row
// starts with a block of its own. An f32 takes one word (4 elements per block), an f64 or i64 two (2 per block).
// rand: uniform in [0, 1) with 24 bits (f64: 53). randn: standard normal by Box-Muller, so at most sqrt(2 * 24 * ln 2)
// = 5.8 in f32 and 8.6 in f64. randint: uniform in [low, high), i64, from 64 bits by multiply-shift: the bias of any
// value is at most (high - low) / 2^64. Throws when the range is empty.
Tensor rand(const Shape& shape, const RandomStream& stream, DType dtype = DType::f32);
Tensor randn(const Shape& shape, const RandomStream& stream, DType dtype = DType::f32);
Tensor randint(int64_t low, int64_t high, const Shape& shape, const RandomStream& stream);
Tensor rand(const Shape& shape, std::string_view purpose, DType dtype = DType::f32);
Tensor randn(const Shape& shape, std::string_view purpose, DType dtype = DType::f32);
Tensor randint(int64_t low, int64_t high, const Shape& shape, std::string_view purpose);
// A permutation of 0..n-1: Fisher-Yates on the words of the stream's row 0.
std::vector<int64_t> random_permutation(int64_t n, const RandomStream& stream);

// Zeroes each element with probability p (one 32-bit word each) and scales the rest by 1/(1-p). Linear in x for a given
// stream, so its gradient is the same call on the gradient. Throws unless 0 <= p < 1.
Tensor dropout_with(const Tensor& x, double p, const RandomStream& stream);

}  // namespace sfumato
