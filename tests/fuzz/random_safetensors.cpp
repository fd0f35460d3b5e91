#include "tests/fuzz/random_safetensors.h"

#include <algorithm>
#include <array>
#include <map>
#include <set>
#include <tuple>
#include <vector>

#include "tests/fuzz/mutate.h"

namespace sfumato::fuzz {
namespace {

struct Kind {
  const char* name;
  size_t bytes;
};
// In the order of the format's own library.
constexpr std::array<Kind, 7> kKinds{
    {{"I64", 8}, {"F64", 8}, {"F32", 4}, {"I32", 4}, {"BF16", 2}, {"U8", 1}, {"BOOL", 1}}};

struct Chosen {
  size_t kind;
  std::string name;
  std::vector<size_t> shape;
  bool operator<(const Chosen& other) const { return std::tie(kind, name) < std::tie(other.kind, other.name); }
};

// Pieces of names with what JSON must write otherwise.
constexpr std::array<const char*, 12> kPieces{"conv_in",  ".weight",          "a", "0", "\"", "\\", "\n", "\t", "\x01",
                                              "\xc3\xa4", "\xf0\x9f\x8c\xab", "/"};

std::string random_text(Random& random) {
  std::string text;
  for (size_t pieces = random.below(4); pieces > 0; --pieces) text += random.pick(kPieces);
  return text;
}

std::string quoted(const std::string& text) {
  std::string out = "\"";
  for (const char c : text) {
    switch (c) {
      case '"': out += "\\\""; break;
      case '\\': out += "\\\\"; break;
      case '\n': out += "\\n"; break;
      case '\t': out += "\\t"; break;
      case '\x01': out += "\\u0001"; break;
      default: out += c;
    }
  }
  return out + "\"";
}

std::string random_metadata(Random& random) {
  std::map<std::string, std::string> pairs;
  for (size_t i = 1 + random.below(3); i > 0; --i) pairs[random_text(random)] = random_text(random);
  std::string json;
  for (const auto& [key, value] : pairs) json += (json.empty() ? "" : ",") + quoted(key) + ":" + quoted(value);
  return "\"__metadata__\":{" + json + "}";
}

std::string random_data(const Chosen& tensor, size_t bytes, Random& random) {
  std::string data;
  while (data.size() < bytes) data += little_endian(random.next(), 8);
  data.resize(bytes);
  if (kKinds[tensor.kind].name == std::string("BOOL")) {
    for (char& byte : data) byte &= 1;
  }
  return data;
}

}  // namespace

std::string safetensors_file(const std::string& header, const std::string& data) {
  return little_endian(header.size(), 8) + header + data;
}

std::string random_safetensors(Random& random) {
  std::set<std::string> names;
  for (size_t i = random.below(7); i > 0; --i) names.insert(random_text(random));
  std::vector<Chosen> tensors;
  for (const std::string& name : names) {
    Chosen tensor{random.below(kKinds.size()), name, {}};
    for (size_t rank = random.below(random.chance(1, 4) ? 9 : 4); rank > 0; --rank) {
      tensor.shape.push_back(random.below(random.chance(1, 8) ? 20 : 4));
    }
    tensors.push_back(tensor);
  }
  std::sort(tensors.begin(), tensors.end());
  std::string header = random.chance(1, 2) ? random_metadata(random) : "", data;
  for (const Chosen& tensor : tensors) {
    size_t bytes = kKinds[tensor.kind].bytes;
    std::string shape;
    for (const size_t size : tensor.shape) {
      bytes *= size;
      shape += (shape.empty() ? "" : ",") + std::to_string(size);
    }
    header += (header.empty() ? "" : ",") + quoted(tensor.name) + ":{\"dtype\":\"" + kKinds[tensor.kind].name +
              "\",\"shape\":[" + shape + "],\"data_offsets\":[" + std::to_string(data.size()) + "," +
              std::to_string(data.size() + bytes) + "]}";
    data += random_data(tensor, bytes, random);
  }
  header = "{" + header + "}";
  header.append((8 - header.size() % 8) % 8, ' ');
  return safetensors_file(header, data);
}

}  // namespace sfumato::fuzz
