// Changes that know a little of what they change: bytes as numbers and runs, text as tokens.
//
//   mutate_bytes(input, random);                        // a flipped bit, a number on the edge, a piece lost or doubled
//   mutate_text(input, {"shape", "F32"}, random);       // a token replaced, moved, nested, repeated
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "tests/fuzz/random.h"

namespace sfumato::fuzz {

// One change. What the bytes mean is unknown.
void mutate_bytes(std::string& bytes, Random& random);

// One change of JSON or TOML text; `words` are tokens of the format, quotes included where they are strings. About one
// in 2,000 makes the text huge (up to `most` bytes) or deep.
void mutate_text(std::string& text, std::span<const std::string_view> words, size_t most, Random& random);

// A number where parsers err: 0, 1, powers of two and their neighbours.
uint64_t edge_number(Random& random);

// Numbers as files hold them.
std::string big_endian(uint64_t value, int bytes);
std::string little_endian(uint64_t value, int bytes);
uint32_t read_big_endian(std::string_view bytes, size_t at, int count);

}  // namespace sfumato::fuzz
