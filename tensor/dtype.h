// Element types and the one mechanism that turns a run-time DType into a compile-time type.
//
//   dispatch<kReals>("exp", x.dtype(), [&]<class T>() { kernel<T>(x, out); });
//
// The set in angle brackets is what the op declares; any other dtype throws, naming the op, the dtype and the set.
#pragma once

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>

#include "tensor/check.h"

namespace sfumato {

// f32 is the default everywhere. bf16 is a format of storage: its arithmetic is done in f32 and rounded once per op.
enum class DType : uint8_t { f32, f64, bf16, i64, i32, u8, boolean };

// The upper half of an f32, rounded to nearest even.
struct BFloat16 {
  uint16_t bits = 0;
  BFloat16() = default;
  explicit BFloat16(float value) {
    const uint32_t word = __builtin_bit_cast(uint32_t, value);
    const bool is_nan = (word & 0x7fffffffu) > 0x7f800000u;
    bits = is_nan ? static_cast<uint16_t>((word >> 16) | 0x40u)
                  : static_cast<uint16_t>((word + 0x7fffu + ((word >> 16) & 1u)) >> 16);
  }
  explicit operator float() const { return __builtin_bit_cast(float, static_cast<uint32_t>(bits) << 16); }
};

constexpr size_t size_of(DType dtype) {
  switch (dtype) {
    case DType::f64:
    case DType::i64: return 8;
    case DType::f32:
    case DType::i32: return 4;
    case DType::bf16: return 2;
    case DType::u8:
    case DType::boolean: return 1;
  }
  return 0;
}

constexpr std::string_view name_of(DType dtype) {
  switch (dtype) {
    case DType::f32: return "f32";
    case DType::f64: return "f64";
    case DType::bf16: return "bf16";
    case DType::i64: return "i64";
    case DType::i32: return "i32";
    case DType::u8: return "u8";
    case DType::boolean: return "bool";
  }
  return "?";
}

inline std::string to_string(DType dtype) { return std::string(name_of(dtype)); }

constexpr bool is_floating(DType dtype) { return dtype == DType::f32 || dtype == DType::f64 || dtype == DType::bf16; }

template <class T>
struct DTypeOf;
template <>
struct DTypeOf<float> {
  static constexpr DType value = DType::f32;
};
template <>
struct DTypeOf<double> {
  static constexpr DType value = DType::f64;
};
template <>
struct DTypeOf<BFloat16> {
  static constexpr DType value = DType::bf16;
};
template <>
struct DTypeOf<int64_t> {
  static constexpr DType value = DType::i64;
};
template <>
struct DTypeOf<int32_t> {
  static constexpr DType value = DType::i32;
};
template <>
struct DTypeOf<uint8_t> {
  static constexpr DType value = DType::u8;
};
template <>
struct DTypeOf<bool> {
  static constexpr DType value = DType::boolean;
};
template <class T>
inline constexpr DType dtype_of = DTypeOf<T>::value;

// ---- what an op declares ----

// A set of dtypes, usable as a template argument.
struct DTypeSet {
  uint8_t bits = 0;
  constexpr DTypeSet() = default;
  constexpr DTypeSet(std::initializer_list<DType> dtypes) {
    for (const DType dtype : dtypes) {
      bits = static_cast<uint8_t>(bits | 1u << static_cast<unsigned>(dtype));
    }
  }
  constexpr bool contains(DType dtype) const { return (bits >> static_cast<unsigned>(dtype) & 1u) != 0; }
  friend constexpr DTypeSet operator|(DTypeSet a, DTypeSet b) {
    DTypeSet both;
    both.bits = static_cast<uint8_t>(a.bits | b.bits);
    return both;
  }
  friend constexpr bool operator==(DTypeSet, DTypeSet) = default;
};

inline constexpr DTypeSet kReals{DType::f32, DType::f64};  // in which kernels compute
inline constexpr DTypeSet kFloats = kReals | DTypeSet{DType::bf16};
inline constexpr DTypeSet kIntegers{DType::i64, DType::i32, DType::u8};
inline constexpr DTypeSet kNumbers = kFloats | kIntegers;
inline constexpr DTypeSet kIndices{DType::i64, DType::i32};
inline constexpr DTypeSet kAllDTypes = kNumbers | DTypeSet{DType::boolean};

inline constexpr DType kEveryDType[] = {DType::f32, DType::f64, DType::bf16,   DType::i64,
                                        DType::i32, DType::u8,  DType::boolean};

// "f32, f64 and bf16".
inline std::string to_string(DTypeSet set) {
  std::string text;
  int left = __builtin_popcount(set.bits);
  for (const DType dtype : kEveryDType) {
    if (set.contains(dtype)) {
      text += name_of(dtype);
      --left;
      text += left > 1 ? ", " : left == 1 ? " and " : "";
    }
  }
  return text;
}

// Throws unless `declared` has the dtype.
inline void check_dtype(std::string_view op, DTypeSet declared, DType dtype) {
  check(declared.contains(dtype), op, ": not defined for dtype ", dtype, " (", declared,
        __builtin_popcount(declared.bits) == 1 ? " is)" : " are)");
}

// The dtype that tensors of two dtypes meet in: the later one of bool < u8 < i32 < i64 < bf16 < f32 < f64. So a float
// wins over any integer, and within a kind the wider one wins, as in PyTorch. Tensors of rank 0 count like any other;
// numbers (`x * 2.0`) never change a tensor's dtype.
constexpr int promotion_rank(DType dtype) {
  switch (dtype) {
    case DType::boolean: return 0;
    case DType::u8: return 1;
    case DType::i32: return 2;
    case DType::i64: return 3;
    case DType::bf16: return 4;
    case DType::f32: return 5;
    case DType::f64: return 6;
  }
  return 0;
}
constexpr DType promote_types(DType a, DType b) { return promotion_rank(a) < promotion_rank(b) ? b : a; }

// Calls f with the C++ type of `dtype`; the types that `Declared` leaves out are never instantiated, and throw.
template <DTypeSet Declared, class F>
decltype(auto) dispatch(std::string_view op, DType dtype, F&& f) {
  switch (dtype) {
    case DType::f32:
      if constexpr (Declared.contains(DType::f32)) {
        return f.template operator()<float>();
      }
      break;
    case DType::f64:
      if constexpr (Declared.contains(DType::f64)) {
        return f.template operator()<double>();
      }
      break;
    case DType::bf16:
      if constexpr (Declared.contains(DType::bf16)) {
        return f.template operator()<BFloat16>();
      }
      break;
    case DType::i64:
      if constexpr (Declared.contains(DType::i64)) {
        return f.template operator()<int64_t>();
      }
      break;
    case DType::i32:
      if constexpr (Declared.contains(DType::i32)) {
        return f.template operator()<int32_t>();
      }
      break;
    case DType::u8:
      if constexpr (Declared.contains(DType::u8)) {
        return f.template operator()<uint8_t>();
      }
      break;
    case DType::boolean:
      if constexpr (Declared.contains(DType::boolean)) {
        return f.template operator()<bool>();
      }
      break;
  }
  check_dtype(op, Declared, dtype);
  detail::fail_internal(op, ": unknown dtype");
}

// The type in which a value of T is computed with: f32 for bf16, else T itself.
template <class T>
struct ComputeOf {
  using type = T;
};
template <>
struct ComputeOf<BFloat16> {
  using type = float;
};
template <class T>
using Compute = typename ComputeOf<T>::type;

}  // namespace sfumato
