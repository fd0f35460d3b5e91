#include "bench/roofline.h"

#include <unistd.h>
#include <xmmintrin.h>

#include <chrono>
#include <cstdint>
#include <vector>

#include "tensor/allocator.h"
#include "tensor/parallel.h"
#include "tensor/tensor.h"

namespace sfumato::bench {
namespace {

// This file is compiled with contraction, so that a * b + c is one instruction where the target has it.
template <int lanes>
struct Vector {
  typedef float type __attribute__((vector_size(lanes * sizeof(float)), aligned(4), may_alias));
};

// Ten chains hide the latency of a multiply-add on every x86 so far (at most five cycles times two units).
constexpr int kChains = 10;

template <int lanes>
[[gnu::always_inline]] inline float multiply_add(int64_t rounds) {
  using V = typename Vector<lanes>::type;
  V sums[kChains];
  for (int i = 0; i < kChains; ++i) {
    sums[i] = V{} + static_cast<float>(i);
  }
  V factor = V{} + 0.5f;
  V addend = V{} + 1.0f;
  for (int64_t round = 0; round < rounds; ++round) {
    asm("" : "+x"(factor), "+x"(addend));  // so that nothing is known about them
#pragma GCC unroll 10
    for (int i = 0; i < kChains; ++i) {
      sums[i] = sums[i] * factor + addend;
    }
  }
  V total{};
  for (const V& sum : sums) {
    total += sum;
  }
  return total[0];
}

template <int lanes>
[[gnu::always_inline]] inline void triad(float* a, const float* b, const float* c, float s, int64_t n) {
  using V = typename Vector<lanes>::type;
  for (int64_t i = 0; i < n; i += lanes) {
    *reinterpret_cast<V*>(a + i) = *reinterpret_cast<const V*>(b + i) + s * *reinterpret_cast<const V*>(c + i);
  }
}

// Past the caches: no line of `a` is read before it is written. Sixteen bytes at a time fill a line as well as more do.
void streaming_triad(float* a, const float* b, const float* c, float s, int64_t n) {
  const __m128 factor = _mm_set1_ps(s);
  for (int64_t i = 0; i < n; i += 4) {
    _mm_stream_ps(a + i, _mm_add_ps(_mm_load_ps(b + i), _mm_mul_ps(factor, _mm_load_ps(c + i))));
  }
  _mm_sfence();
}

using MultiplyAdd = float (*)(int64_t rounds);
using Triad = void (*)(float* a, const float* b, const float* c, float s, int64_t n);

[[gnu::target("avx512f,fma")]] float multiply_add_avx512(int64_t rounds) { return multiply_add<16>(rounds); }
[[gnu::target("avx2,fma")]] float multiply_add_avx2(int64_t rounds) { return multiply_add<8>(rounds); }
float multiply_add_baseline(int64_t rounds) { return multiply_add<4>(rounds); }

[[gnu::target("avx512f,fma")]] void triad_avx512(float* a, const float* b, const float* c, float s, int64_t n) {
  triad<16>(a, b, c, s, n);
}
[[gnu::target("avx2,fma")]] void triad_avx2(float* a, const float* b, const float* c, float s, int64_t n) {
  triad<8>(a, b, c, s, n);
}
void triad_baseline(float* a, const float* b, const float* c, float s, int64_t n) { triad<4>(a, b, c, s, n); }

struct Kernels {
  int lanes;
  MultiplyAdd multiply_add;
  Triad triad;
};

Kernels kernels_of_this_cpu() {
  __builtin_cpu_init();
  if (__builtin_cpu_supports("avx512f")) {
    return {16, multiply_add_avx512, triad_avx512};
  }
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) {
    return {8, multiply_add_avx2, triad_avx2};
  }
  return {4, multiply_add_baseline, triad_baseline};
}

double seconds_since(std::chrono::steady_clock::time_point begin) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

// The shortest of several runs: whatever else the machine does only ever takes time away.
template <class F>
double best_seconds(int runs, F&& run) {
  double best = 1e9;
  for (int i = 0; i < runs; ++i) {
    const auto begin = std::chrono::steady_clock::now();
    run();
    best = std::min(best, seconds_since(begin));
  }
  return best;
}

// The rates of all threads, which run at the same time. Each is that of its median burst: bursts are much shorter than
// the scheduler's slices, so that on a busy machine most of them run undisturbed.
double measure_flops(const Kernels& kernels) {
  constexpr int64_t kRounds = 40'000;  // a tenth of a millisecond
  constexpr int kBursts = 501;
  double total = 0;
#pragma omp parallel num_threads(num_threads()) reduction(+ : total)
  {
    std::vector<double> seconds(kBursts);
    for (double& burst : seconds) {
      const auto begin = std::chrono::steady_clock::now();
      volatile float sink = kernels.multiply_add(kRounds);
      static_cast<void>(sink);
      burst = seconds_since(begin);
    }
    std::nth_element(seconds.begin(), seconds.begin() + kBursts / 2, seconds.end());
    total += 2.0 * kRounds * kChains * kernels.lanes / seconds[kBursts / 2];
  }
  return total;
}

// Bytes per second of triads on arrays of n elements each, a multiple of 16 times the number of threads.
double measure_triad(int64_t n, int runs, int passes, std::initializer_list<Triad> variants) {
  const int threads = num_threads();
  const int64_t part = n / threads;
  Tensor a = Tensor::empty({n}), b = Tensor::empty({n}), c = Tensor::empty({n});
  float* pointers[] = {a.mutable_data<float>(), b.mutable_data<float>(), c.mutable_data<float>()};
  // Each thread touches first what it will work on.
#pragma omp parallel for num_threads(threads) schedule(static, 1)
  for (int t = 0; t < threads; ++t) {
    for (float* pointer : pointers) {
      std::fill_n(pointer + t * part, part, 1.0f);
    }
  }
  double best = 1e9;
  for (const Triad variant : variants) {
    best = std::min(best, best_seconds(runs, [&] {
#pragma omp parallel for num_threads(threads) schedule(static, 1)
                      for (int t = 0; t < threads; ++t) {
                        for (int pass = 0; pass < passes; ++pass) {
                          variant(pointers[0] + t * part, pointers[1] + t * part, pointers[2] + t * part, 0.5f, part);
                        }
                      }
                    }));
  }
  return 3.0 * sizeof(float) * static_cast<double>(n) * passes / best;
}

// Of the last cache; 32 MiB where the system does not say.
int64_t last_cache_bytes() {
  const int64_t level3 = sysconf(_SC_LEVEL3_CACHE_SIZE);
  return level3 > 0 ? level3 : int64_t{32} << 20;
}

Roofline measure() {
  const Kernels kernels = kernels_of_this_cpu();
  const auto elements = [](int64_t bytes) {
    const int64_t step = int64_t{16} * num_threads();
    return std::max<int64_t>(bytes / static_cast<int64_t>(sizeof(float)) / step, 1) * step;
  };
  const int64_t cache = last_cache_bytes();
  Roofline roof;
  roof.flops_per_second = measure_flops(kernels);
  // Three arrays: six times the cache together (and not more than 1.5 GB), or half of it.
  const int64_t large = std::clamp<int64_t>(2 * cache, int64_t{64} << 20, int64_t{512} << 20);
  roof.bytes_per_second = measure_triad(elements(large), 10, 1, {kernels.triad, streaming_triad});
  roof.cache_bytes_per_second = measure_triad(elements(std::min<int64_t>(cache / 6, 16 << 20)), 64, 4, {kernels.triad});
  trim();  // the arrays are not the library's memory
  return roof;
}

}  // namespace

const Roofline& roofline() {
  static const Roofline measured = measure();
  return measured;
}

}  // namespace sfumato::bench
