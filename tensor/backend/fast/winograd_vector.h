// One vector of kLanes floats for the Winograd kernels, at the width of the instruction set being compiled for.
//
// GCC's vector extension supplies + - * at every width; this header adds what it lacks: fused multiply-add, masked
// loads and stores, and the square transpose that turns "channel rows of pixels" (NCHW) into "pixel rows of channels".
//
//     Vec rows[kLanes];
//     load_transposed(x, /*stride=*/height * width, channels, pixels, rows);   // rows[p][c] = x[c * stride + p]
//     rows[0] = fma(broadcast(2.0f), rows[1], rows[0]);
#pragma once

#include <immintrin.h>

#include <cstddef>
#include <cstdint>

#include "tensor/backend/fast/isa.h"

namespace sfumato::fast::SFUMATO_ISA {
namespace {

typedef float Vec __attribute__((vector_size(4 * kLanes), may_alias));
typedef float UnalignedVec __attribute__((vector_size(4 * kLanes), may_alias, aligned(4)));

constexpr int kCacheLineFloats = 16;

inline Vec load(const float* p) { return *reinterpret_cast<const Vec*>(p); }
inline void store(float* p, Vec v) { *reinterpret_cast<Vec*>(p) = v; }
inline Vec load_unaligned(const float* p) { return *reinterpret_cast<const UnalignedVec*>(p); }
inline void store_unaligned(float* p, Vec v) { *reinterpret_cast<UnalignedVec*>(p) = v; }

// x - 0 keeps the sign of zero, so the compiler reduces this to a broadcast.
inline Vec broadcast(float x) { return x - Vec{}; }

// The first `count` lanes; the others are zero (load) or left alone (store). 0 <= count <= kLanes.
#if defined(__AVX512F__)

inline Vec fma(Vec a, Vec b, Vec c) { return (Vec)_mm512_fmadd_ps((__m512)a, (__m512)b, (__m512)c); }
inline __mmask16 first_lanes(int count) { return static_cast<__mmask16>((1u << count) - 1); }
inline Vec load_first(const float* p, int count) { return (Vec)_mm512_maskz_loadu_ps(first_lanes(count), p); }
inline void store_first(float* p, int count, Vec v) { _mm512_mask_storeu_ps(p, first_lanes(count), (__m512)v); }

#elif defined(__AVX2__)

inline Vec fma(Vec a, Vec b, Vec c) { return (Vec)_mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)c); }
inline __m256i first_lanes(int count) {
  return _mm256_cmpgt_epi32(_mm256_set1_epi32(count), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}
inline Vec load_first(const float* p, int count) { return (Vec)_mm256_maskload_ps(p, first_lanes(count)); }
inline void store_first(float* p, int count, Vec v) { _mm256_maskstore_ps(p, first_lanes(count), (__m256)v); }

#else

inline Vec fma(Vec a, Vec b, Vec c) { return a * b + c; }
inline Vec load_first(const float* p, int count) {
  Vec v = {};
  for (int i = 0; i < count; ++i) v[i] = p[i];
  return v;
}
inline void store_first(float* p, int count, Vec v) {
  for (int i = 0; i < count; ++i) p[i] = v[i];
}

#endif

// (a0 b0 a1 b1 ...) of the lower and of the upper halves.
#if defined(__AVX512F__)
inline Vec interleave_low(Vec a, Vec b) {
  return __builtin_shufflevector(a, b, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
}
inline Vec interleave_high(Vec a, Vec b) {
  return __builtin_shufflevector(a, b, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
}
#elif defined(__AVX2__)
inline Vec interleave_low(Vec a, Vec b) { return __builtin_shufflevector(a, b, 0, 8, 1, 9, 2, 10, 3, 11); }
inline Vec interleave_high(Vec a, Vec b) { return __builtin_shufflevector(a, b, 4, 12, 5, 13, 6, 14, 7, 15); }
#else
inline Vec interleave_low(Vec a, Vec b) { return __builtin_shufflevector(a, b, 0, 4, 1, 5); }
inline Vec interleave_high(Vec a, Vec b) { return __builtin_shufflevector(a, b, 2, 6, 3, 7); }
#endif

// Transposes kLanes x kLanes floats by log2(kLanes) perfect shuffles: each rotates the bits of (row, lane) by one.
inline void transpose(Vec (&rows)[kLanes]) {
  constexpr int kHalf = kLanes / 2;
#pragma GCC unroll 4
  for (int stage = 1; stage < kLanes; stage *= 2) {
    Vec shuffled[kLanes];
#pragma GCC unroll 8
    for (int i = 0; i < kHalf; ++i) {
      shuffled[2 * i] = interleave_low(rows[i], rows[i + kHalf]);
      shuffled[2 * i + 1] = interleave_high(rows[i], rows[i + kHalf]);
    }
#pragma GCC unroll 16
    for (int i = 0; i < kLanes; ++i) rows[i] = shuffled[i];
  }
}

// columns[p][c] = src[c * stride + p] for c < rows, p < count; zero elsewhere.
inline void load_transposed(const float* src, int64_t stride, int rows, int count, Vec (&columns)[kLanes]) {
  if (rows == kLanes && count == kLanes) {
#pragma GCC unroll 16
    for (int i = 0; i < kLanes; ++i) columns[i] = load_unaligned(src + i * stride);
  } else if (rows == kLanes) {
#pragma GCC unroll 16
    for (int i = 0; i < kLanes; ++i) columns[i] = load_first(src + i * stride, count);
  } else {
#pragma GCC unroll 16
    for (int i = 0; i < kLanes; ++i) columns[i] = i < rows ? load_first(src + i * stride, count) : Vec{};
  }
  transpose(columns);
}

// dst[c * stride + p] = columns[p][c] for c < rows, p < count; leaves the rest of dst alone.
inline void store_transposed(Vec (&columns)[kLanes], float* dst, int64_t stride, int rows, int count) {
  transpose(columns);
  if (rows == kLanes && count == kLanes) {
#pragma GCC unroll 16
    for (int i = 0; i < kLanes; ++i) store_unaligned(dst + i * stride, columns[i]);
  } else {
#pragma GCC unroll 16
    for (int i = 0; i < kLanes; ++i)
      if (i < rows) store_first(dst + i * stride, count, columns[i]);
  }
}

template <typename T>
constexpr T smaller(T a, T b) {
  return a < b ? a : b;
}
template <typename T>
constexpr T larger(T a, T b) {
  return a < b ? b : a;
}
template <typename T>
constexpr T ceil_div(T a, T b) {
  return (a + b - 1) / b;
}

}  // namespace
}  // namespace sfumato::fast::SFUMATO_ISA
