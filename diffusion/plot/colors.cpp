#include <algorithm>
#include <array>
#include <cmath>

#include "diffusion/plot/figure.h"

namespace sfumato::plot {
namespace {

// Linear between the colours, which are evenly spaced.
template <size_t N>
Color between(const std::array<uint32_t, N>& colors, double u) {
  const double at = std::isnan(u) ? 0.0 : std::clamp(u, 0.0, 1.0) * (N - 1);
  const size_t i = std::min(static_cast<size_t>(at), N - 2);
  const Color a = hex(colors[i]), b = hex(colors[i + 1]);
  const auto mix = [&](uint8_t from, uint8_t to) {
    return static_cast<uint8_t>(std::lround(from + (at - static_cast<double>(i)) * (to - from)));
  };
  return {mix(a.red, b.red), mix(a.green, b.green), mix(a.blue, b.blue)};
}

}  // namespace

Color palette(size_t index) {
  constexpr std::array<uint32_t, 6> kColors{0x2f6690, 0xc8553d, 0x3a8577, 0xd9a441, 0x7a5c93, 0x6b7280};
  return hex(kColors[index % kColors.size()]);
}

Color sequential_color(double u) {
  return between(std::array<uint32_t, 6>{0xffffff, 0xd9e6ee, 0x9dc0d6, 0x5b93b8, 0x2f6690, 0x12304a}, u);
}

Color ordered_color(double u) {
  return between(std::array<uint32_t, 5>{0x1f3a68, 0x4f5597, 0x96588f, 0xcf6a63, 0xe0a03c}, u);
}

}  // namespace sfumato::plot
