// JSON from files that nobody vouches for: checked as text first, so that building a tree of it is safe.
//
//   check_json(text, "classes.json");                       // throws FormatError, or
//   nlohmann::json json = parse_json(text, "classes.json");
//
// What is refused, each with its message: bad syntax and text that is no UTF-8; equal keys in one object (the parser
// would keep the last); nesting deeper than kMaxJsonDepth (copying and printing a tree recurse); and more values than
// its size allows (a tree of "[],[],[]" takes thirty times the text's memory): what is built never takes more than the
// text's size and a few MiB.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

#include "tensor/io/file.h"

namespace sfumato {

inline constexpr int kMaxJsonDepth = 64;

// Text from a file as it may stand in a message: short, and nothing that a terminal would obey.
std::string printable(std::string_view text);

// Throw FormatError, its message beginning with `origin`.
void check_json(std::string_view text, std::string_view origin);
nlohmann::json parse_json(std::string_view text, std::string_view origin);

}  // namespace sfumato
