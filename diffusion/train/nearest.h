// The name that somebody who mistyped another probably meant.
//
//   nearest("gmm3d", {"gaussian", "gmm2d"});       // "gmm2d"
#pragma once

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

namespace sfumato {

// Levenshtein's distance: how many letters are put in, left out or replaced.
inline size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (size_t i = 0; i < a.size(); ++i) {
    size_t diagonal = row[0];
    row[0] = i + 1;
    for (size_t j = 0; j < b.size(); ++j) {
      const size_t replaced = diagonal + (a[i] == b[j] ? 0 : 1);
      diagonal = row[j + 1];
      row[j + 1] = std::min({replaced, row[j] + 1, row[j + 1] + 1});
    }
  }
  return row.back();
}

// The first of those that are nearest; `names` must not be empty.
inline std::string nearest(std::string_view name, const std::vector<std::string>& names) {
  return *std::min_element(names.begin(), names.end(), [&](const std::string& a, const std::string& b) {
    return edit_distance(name, a) < edit_distance(name, b);
  });
}

}  // namespace sfumato
