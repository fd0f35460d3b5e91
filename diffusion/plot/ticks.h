// Round numbers on an axis.
//
//   for (const Tick& tick : nice_ticks(0, 1000, 5)) ...   // 0, 200, ..., 1000
#pragma once

#include <string>
#include <vector>

namespace sfumato::plot {

struct Tick {
  double value = 0;
  std::string label;  // empty: a mark without a number
};

// Multiples of 1, 2 or 5 times a power of ten inside [low, high], about `count` of them; labels have the decimals that
// their distance needs. Empty unless low < high and both are finite.
std::vector<Tick> nice_ticks(double low, double high, int count = 5);

// A number as it stands in a picture: "0.5", "−2", "3e+06".
std::string format_number(double value, int decimals);

}  // namespace sfumato::plot
