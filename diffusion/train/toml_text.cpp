#include "diffusion/train/toml_text.h"

#include <algorithm>
#include <cstddef>
#include <string>

namespace sfumato {
namespace {

// The end of what opens at `at`: a comment, or a string of one of the four kinds; `at` + 1 for anything else. Text that
// is no TOML may be cut elsewhere than toml++ would cut it, but only behind the first place that it complains of.
size_t end_of_piece(std::string_view text, size_t at) {
  const char first = text[at];
  if (first == '#') {
    return std::min(text.find('\n', at), text.size());
  }
  if (first != '"' && first != '\'') {
    return at + 1;
  }
  const std::string three(3, first);
  const bool many_lines = text.substr(at, 3) == three;
  size_t end = at + (many_lines ? 3 : 1);
  while (end < text.size()) {
    if (many_lines ? text.substr(end, 3) == three : text[end] == first || text[end] == '\n') {
      end += many_lines ? 3 : 1;
      // Before the three that close it there may be two more.
      for (int more = 0; many_lines && more < 2 && end < text.size() && text[end] == first; ++more) {
        ++end;
      }
      return end;
    }
    end += first == '"' && text[end] == '\\' ? 2 : 1;
  }
  return text.size();
}

}  // namespace

std::optional<TextPlace> find_stray_letter(std::string_view toml) {
  const auto is_ascii = [](char c) { return static_cast<unsigned char>(c) < 0x80; };
  for (size_t begin = 0, end = 0; begin < toml.size(); begin = end) {
    end = end_of_piece(toml, begin);
    const auto* const stop = toml.data() + end;
    const auto* const stray = std::find_if_not(toml.data() + begin, stop, is_ascii);
    if (stray == stop || toml[begin] == '#') {
      continue;
    }
    const auto at = static_cast<size_t>(stray - toml.data());
    const std::string_view before = toml.substr(0, at);
    const size_t line_start = before.rfind('\n') + 1;  // npos + 1 is 0
    const auto begins_letter = [](char c) { return (static_cast<unsigned char>(c) & 0xc0) != 0x80; };
    return TextPlace{1 + static_cast<int>(std::count(before.begin(), before.end(), '\n')),
                     1 + static_cast<int>(std::count_if(before.begin() + static_cast<std::ptrdiff_t>(line_start),
                                                        before.end(), begins_letter))};
  }
  return std::nullopt;
}

}  // namespace sfumato
