// A look at TOML text before toml++ (3.3) sees it: where a value should be, letters outside ASCII lead it into
// undefined behaviour, and it looks ahead into what follows a value. Keys and values of ours are ASCII, so such letters
// may stand in comments alone.
//
//   if (const auto stray = find_stray_letter("lr = ä")) ...    // line 1, column 6
#pragma once

#include <optional>
#include <string_view>

namespace sfumato {

struct TextPlace {
  int line, column;  // both from 1; columns count letters, not bytes
};

std::optional<TextPlace> find_stray_letter(std::string_view toml);

}  // namespace sfumato
