// What the reader and the writer of safetensors must agree on: limits and dtype names. Not for users of the library.
//
//   std::string_view code = safetensors_name(DType::f32);   // "F32"
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "tensor/dtype.h"

namespace sfumato::detail {

static_assert(std::endian::native == std::endian::little, "safetensors: elements are stored and read as they are");

inline constexpr size_t kLengthPrefix = 8;
inline constexpr uint64_t kMaxHeaderBytes = 100'000'000;  // the format's own limit
// Limits of ours, far above any model: what a hostile header can make us allocate.
inline constexpr size_t kMaxNameBytes = 4096;
inline constexpr size_t kMaxTensors = 1'000'000;
inline constexpr std::string_view kMetadataName = "__metadata__";

struct SafetensorsDType {
  std::string_view name;
  DType dtype;
};

// In the order in which the format's own library lays tensors out, so that each begins aligned: widest first.
inline constexpr SafetensorsDType kSafetensorsDTypes[] = {
    {"I64", DType::i64},   {"F64", DType::f64}, {"F32", DType::f32},      {"I32", DType::i32},
    {"BF16", DType::bf16}, {"U8", DType::u8},   {"BOOL", DType::boolean},
};

// Read as f32, never written: there is no dtype of ours for it.
inline constexpr std::string_view kHalf = "F16";

// Legal in the format, but without a dtype of ours.
inline constexpr std::string_view kUnsupportedDTypes[] = {"I8",      "U16",     "I16",     "U32",     "U64", "F8_E4M3",
                                                          "F8_E5M2", "F8_E8M0", "F6_E2M3", "F6_E3M2", "F4",  "C64"};

// The place of a dtype in kSafetensorsDTypes.
constexpr size_t safetensors_rank(DType dtype) {
  size_t rank = 0;
  while (kSafetensorsDTypes[rank].dtype != dtype) {
    ++rank;
  }
  return rank;
}

constexpr std::string_view safetensors_name(DType dtype) { return kSafetensorsDTypes[safetensors_rank(dtype)].name; }

}  // namespace sfumato::detail
