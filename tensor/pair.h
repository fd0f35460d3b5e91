// Pair2d: one number for both dimensions of an image, or one for each. Options of images are made of them.
//
//   Conv2dOptions{.stride = 2, .padding = {0, 1}};     // stride 2 both ways, padding on the left and right only
#pragma once

#include <cstdint>
#include <string>

#include "tensor/check.h"

namespace sfumato {

struct Pair2d {
  int64_t height = 0, width = 0;
  Pair2d(int64_t both) : height(both), width(both) {}  // NOLINT(google-explicit-constructor): `.stride = 2`
  Pair2d(int64_t h, int64_t w) : height(h), width(w) {}
  friend bool operator==(const Pair2d&, const Pair2d&) = default;
};

// "2" or "(2, 1)".
inline std::string to_string(const Pair2d& p) {
  return p.height == p.width ? fmt::format("{}", p.height) : fmt::format("({}, {})", p.height, p.width);
}

// Throws unless both numbers are `least` or more: "conv2d: stride must be at least 1, got (0, 1)".
inline void check_at_least(const char* op, const char* name, int64_t least, const Pair2d& p) {
  check(p.height >= least && p.width >= least, op, ": ", name, " must be at least ", least, ", got ", p);
}

}  // namespace sfumato
