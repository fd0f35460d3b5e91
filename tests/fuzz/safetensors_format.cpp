// safetensors: the header as JSON tokens, its length, the size of the data; read whole, tensors included.
#include <algorithm>
#include <array>

#include "tensor/io/safetensors.h"
#include "tests/fuzz/format.h"
#include "tests/fuzz/mutate.h"
#include "tests/fuzz/one_folder.h"
#include "tests/fuzz/random_safetensors.h"

namespace sfumato::fuzz {
namespace {

constexpr std::array<std::string_view, 17> kWords{"\"dtype\"",
                                                  "\"shape\"",
                                                  "\"data_offsets\"",
                                                  "\"__metadata__\"",
                                                  "\"F32\"",
                                                  "\"F64\"",
                                                  "\"F16\"",
                                                  "\"BF16\"",
                                                  "\"I64\"",
                                                  "\"I32\"",
                                                  "\"U8\"",
                                                  "\"BOOL\"",
                                                  "\"I8\"",
                                                  "\"a\"",
                                                  "[0,4]",
                                                  "[2,2]",
                                                  "{\"dtype\":\"U8\",\"shape\":[],\"data_offsets\":[0,1]}"};

constexpr size_t kMostText = size_t{1} << 20;

class SafetensorsFormat final : public Format {
 public:
  std::string name() const override { return "safetensors"; }

  std::vector<std::string> corpus() const override {
    std::vector<std::string> files;
    for (uint64_t i = 0; i < 24; ++i) {
      Random random(1, i);
      files.push_back(random_safetensors(random));
    }
    files.push_back(
        safetensors_file(R"({"h":{"dtype":"F16","shape":[2,3],"data_offsets":[0,12]}})", std::string(12, '<')));
    return files;
  }

  void mutate(std::string& input, Random& random) const override {
    const uint64_t length = std::min<uint64_t>(input.size() - 8, length_of(input));
    std::string header = input.substr(8, length), data = input.substr(8 + length);
    for (size_t changes = 1 + random.below(3); changes > 0; --changes) {
      switch (random.below(8)) {
        case 0: data.resize(data.size() + random.below(17)); break;
        case 1: data.resize(data.size() - std::min(data.size(), random.below(17))); break;
        case 2: mutate_bytes(data, random); break;
        case 3: mutate_bytes(header, random); break;
        default: mutate_text(header, kWords, kMostText, random); break;
      }
    }
    input = safetensors_file(header, data);
    if (random.chance(1, 16)) input.replace(0, 8, little_endian(edge_number(random), 8));
    if (random.chance(1, 32)) mutate_bytes(input, random);
  }

  void read(std::string_view input) const override {
    folder_.set({{"x.safetensors", input}});
    const FileSystemScope scope(folder_);
    SafetensorsReader("x.safetensors").read_all();
  }

  // The length is in order, and the header is text in braces.
  bool passes_header(std::string_view, std::string_view message) const override {
    constexpr std::array<std::string_view, 4> first{"no safetensors file", "is announced", "the header does not begin",
                                                    "the header does not end"};
    return std::none_of(first.begin(), first.end(),
                        [&](std::string_view text) { return message.find(text) != message.npos; });
  }

  size_t decoded_bytes(std::string_view input) const override { return input.size(); }

 private:
  static uint64_t length_of(std::string_view input) {
    std::string reversed(input.substr(0, 8));
    std::reverse(reversed.begin(), reversed.end());
    return uint64_t{read_big_endian(reversed, 0, 4)} << 32 | read_big_endian(reversed, 4, 4);
  }

  mutable OneFolder folder_;
};

}  // namespace

std::unique_ptr<Format> make_safetensors_format() { return std::make_unique<SafetensorsFormat>(); }

}  // namespace sfumato::fuzz
