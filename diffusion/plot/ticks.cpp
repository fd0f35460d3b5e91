#include "diffusion/plot/ticks.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace sfumato::plot {

std::string format_number(double value, int decimals) {
  const double rounded = std::round(value * std::pow(10.0, decimals));
  const bool plain = std::abs(value) < 1e6 && decimals <= 5;
  std::string text = rounded == 0 ? "0" : plain ? fmt::format("{:.{}f}", value, decimals) : fmt::format("{:g}", value);
  const size_t minus = text.find('-');
  if (minus == 0) {
    text.replace(0, 1, "−");
  }
  return text;
}

std::vector<Tick> nice_ticks(double low, double high, int count) {
  std::vector<Tick> ticks;
  if (!(low < high) || !std::isfinite(low) || !std::isfinite(high) || !std::isfinite(high - low)) {
    return ticks;
  }
  const double rough = (high - low) / std::max(count, 1);
  const double power = std::floor(std::log10(rough));
  const double unit = std::pow(10.0, power);
  const double ratio = rough / unit;
  const int factor = ratio < 1.5 ? 1 : ratio < 3.5 ? 2 : ratio < 7.5 ? 5 : 10;
  const double step = factor * unit;
  const int decimals = std::max(0, -static_cast<int>(power) - (factor == 10 ? 1 : 0));
  const double first = std::ceil(low / step - 1e-9), last = std::floor(high / step + 1e-9);
  // A range that is tiny beside its distance from 0 has no steps that its numbers can tell apart.
  for (double i = first; i <= last && last - first < 1000; ++i) {
    ticks.push_back({i * step, format_number(i * step, decimals)});
  }
  return ticks;
}

}  // namespace sfumato::plot
