#include "tests/fuzz/mutate.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <deque>
#include <vector>

namespace sfumato::fuzz {
namespace {

using Tokens = std::vector<std::string_view>;

bool is_word(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_' || c == '-' || c == '+' || c == '.';
}

// Strings with their quotes, words and numbers, runs of blanks, and single characters.
Tokens tokens_of(std::string_view text) {
  Tokens tokens;
  for (size_t at = 0; at < text.size();) {
    size_t end = at + 1;
    if (text[at] == '"') {
      while (end < text.size() && text[end] != '"') end += text[end] == '\\' ? 2 : 1;
      end = std::min(end + 1, text.size());
    } else if (is_word(text[at])) {
      while (end < text.size() && is_word(text[end])) ++end;
    } else if (text[at] == ' ') {
      while (end < text.size() && text[end] == ' ') ++end;
    }
    tokens.push_back(text.substr(at, end - at));
    at = end;
  }
  return tokens;
}

constexpr std::array<std::string_view, 40> kTokens{"0",
                                                   "-0",
                                                   "1",
                                                   "-1",
                                                   "2",
                                                   "8",
                                                   "255",
                                                   "65536",
                                                   "4294967296",
                                                   "9223372036854775807",
                                                   "9223372036854775808",
                                                   "18446744073709551615",
                                                   "18446744073709551616",
                                                   "-9223372036854775808",
                                                   "1e3",
                                                   "2.0",
                                                   "1e999",
                                                   "-1e-999",
                                                   "0x10",
                                                   "01",
                                                   "NaN",
                                                   "Infinity",
                                                   "nan",
                                                   "null",
                                                   "true",
                                                   "false",
                                                   "\"\"",
                                                   "\"a\"",
                                                   "\"\\u0000\"",
                                                   "\"\\ud800\"",
                                                   "\"\xff\"",
                                                   "\"\xc3\xa4\"",
                                                   "\"\\n\"",
                                                   "[]",
                                                   "{}",
                                                   "[[]]",
                                                   ",",
                                                   ":",
                                                   "\n",
                                                   "="};

bool is_value(std::string_view token) { return token.front() == '"' || is_word(token.front()); }

// Places that a change of tokens may need storage for.
using Store = std::deque<std::string>;

std::string_view tweaked_number(std::string_view token, Random& random, Store& store) {
  int64_t value = 0;
  std::from_chars(token.data(), token.data() + token.size(), value);
  const auto bits = static_cast<uint64_t>(value);
  const std::array<uint64_t, 6> results{bits + 1, bits - 1, bits * 2, bits / 2, ~bits + 1, edge_number(random)};
  return store.emplace_back(std::to_string(static_cast<int64_t>(random.pick(results))));
}

void nest(Tokens& tokens, size_t at, Random& random, Store& store) {
  const size_t depth = random.chance(1, 4) ? 1 + random.below(100'000) : 1 + random.below(100);
  const bool lists = random.chance(1, 2);
  std::string open, close;
  for (size_t i = 0; i < depth; ++i) open += lists ? "[" : "{\"k\":";
  close.assign(random.chance(1, 2) ? depth : 0, lists ? ']' : '}');
  tokens.insert(tokens.begin() + static_cast<std::ptrdiff_t>(at), store.emplace_back(std::move(open)));
  tokens.insert(tokens.begin() + static_cast<std::ptrdiff_t>(std::min(at + 2, tokens.size())),
                store.emplace_back(std::move(close)));
}

// A piece again and again: many small values, one enormous one.
void repeat(Tokens& tokens, size_t at, size_t count, size_t most, Random& random, Store& store) {
  std::string piece, all;
  for (size_t i = at; i < at + count; ++i) piece += tokens[i];
  const size_t bytes = random.below(most);
  for (size_t number = 0; !piece.empty() && all.size() < bytes; ++number) {
    all += piece;
    if (const size_t quote = piece.find('"'); quote != piece.npos) {  // keys that differ
      all.insert(all.size() - piece.size() + quote + 1, std::to_string(number));
    }
  }
  tokens.insert(tokens.begin() + static_cast<std::ptrdiff_t>(at), store.emplace_back(std::move(all)));
}

std::string_view flipped_byte(std::string_view token, Random& random, Store& store) {
  std::string& changed = store.emplace_back(token);
  char& byte = changed[random.below(changed.size())];
  byte = static_cast<char>(random.chance(1, 2) ? byte ^ (1 << random.below(8)) : random.below(256));
  return changed;
}

}  // namespace

uint64_t edge_number(Random& random) {
  const size_t bit = random.below(65);
  const uint64_t power = bit == 64 ? 0 : uint64_t{1} << bit;
  return power + random.below(3) - 1;
}

std::string big_endian(uint64_t value, int bytes) {
  std::string text;
  for (int i = bytes - 1; i >= 0; --i) text += static_cast<char>(value >> (8 * i));
  return text;
}

std::string little_endian(uint64_t value, int bytes) {
  std::string text = big_endian(value, bytes);
  std::reverse(text.begin(), text.end());
  return text;
}

uint32_t read_big_endian(std::string_view bytes, size_t at, int count) {
  uint32_t value = 0;
  for (int i = 0; i < count; ++i) value = value << 8 | static_cast<unsigned char>(bytes[at + static_cast<size_t>(i)]);
  return value;
}

void mutate_bytes(std::string& bytes, Random& random) {
  const size_t at = random.below(bytes.size());
  const size_t length = std::min(1 + random.below(random.chance(1, 4) ? 64 : 8), bytes.size() - at);
  switch (random.below(8)) {
    case 0:
    case 1:
      if (!bytes.empty()) bytes[at] = static_cast<char>(bytes[at] ^ (1 << random.below(8)));
      break;
    case 2:
      if (!bytes.empty()) bytes[at] = static_cast<char>(random.next());
      break;
    case 3: {
      const int size = 1 << random.below(4);
      const uint64_t number = edge_number(random);
      const std::string text = random.chance(1, 2) ? big_endian(number, size) : little_endian(number, size);
      bytes.replace(at, std::min(text.size(), bytes.size() - at), text);
      break;
    }
    case 4: bytes.erase(at, length); break;
    case 5: bytes.insert(random.below(bytes.size() + 1), bytes.substr(at, length)); break;
    case 6: bytes.insert(at, length, static_cast<char>(random.next())); break;
    default: bytes.resize(at); break;
  }
}

void mutate_text(std::string& text, std::span<const std::string_view> words, size_t most, Random& random) {
  Tokens tokens = tokens_of(text);
  Store store;
  const size_t at = random.below(tokens.size());
  const size_t count = std::min(1 + random.below(6), tokens.size() - at);
  const auto place = tokens.begin() + static_cast<std::ptrdiff_t>(at);
  const auto after = place + static_cast<std::ptrdiff_t>(count);
  const std::string_view word = random.chance(1, 2) ? random.pick(words) : random.pick(kTokens);
  if (tokens.empty()) {
    text = word;
    return;
  }
  if (random.chance(1, 2000)) {
    random.chance(1, 2) ? nest(tokens, at, random, store) : repeat(tokens, at, count, most, random, store);
  } else {
    switch (random.below(14)) {
      case 0: tokens[at] = word; break;
      case 1: tokens[at] = tokens[random.below(tokens.size())]; break;
      case 2: tokens.erase(place, after); break;
      case 3: {
        const Tokens piece(place, after);
        tokens.insert(tokens.begin() + static_cast<std::ptrdiff_t>(random.below(tokens.size() + 1)), piece.begin(),
                      piece.end());
        break;
      }
      case 4: std::swap(tokens[at], tokens[random.below(tokens.size())]); break;
      case 5: tokens.insert(place, word); break;
      case 6: tokens[at] = flipped_byte(tokens[at], random, store); break;
      case 7:
      case 8:
      case 9: {  // a number, if there is one from here on
        const auto number = std::find_if(place, tokens.end(), [](std::string_view token) {
          return std::isdigit(static_cast<unsigned char>(token.front())) != 0;
        });
        if (number != tokens.end()) *number = tweaked_number(*number, random, store);
        break;
      }
      default: {  // a value for a value, or a name for a name: the text stays well formed
        const auto value = std::find_if(place, tokens.end(), is_value);
        const auto other = std::find_if(tokens.begin() + static_cast<std::ptrdiff_t>(random.below(tokens.size())),
                                        tokens.end(), is_value);
        if (value == tokens.end()) break;
        const bool name = value->front() == '"';
        if (other != tokens.end() && random.chance(1, 2)) {
          if (name == (other->front() == '"')) *value = *other;
        } else if (is_value(word) && (!name || word.front() == '"')) {
          *value = word;
        }
        break;
      }
    }
  }
  std::string changed;
  for (const std::string_view token : tokens) changed += token;
  text = std::move(changed);
}

}  // namespace sfumato::fuzz
