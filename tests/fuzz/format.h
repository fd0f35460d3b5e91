// What the fuzzer knows of a format: good files to start from, how to spoil them, and which reader must bear them.
//
//   for (const auto& format : formats()) {
//     std::string input = format->corpus().front();
//     format->mutate(input, random);
//     format->read(input);          // returns, or throws an error that a user may see; anything else is a finding
//   }
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "tests/fuzz/random.h"

namespace sfumato::fuzz {

class Format {
 public:
  virtual ~Format() = default;
  virtual std::string name() const = 0;
  // Made by code; valid unless they show a limit.
  virtual std::vector<std::string> corpus() const = 0;
  // Several changes, then what makes the result look whole again: lengths, checksums.
  virtual void mutate(std::string& input, Random& random) const = 0;
  // Throws Error or IoError for what is refused.
  virtual void read(std::string_view input) const = 0;
  // Whether the reader got past the first check of the format, given what it said (nothing: it accepted).
  virtual bool passes_header(std::string_view input, std::string_view message) const = 0;
  // What the input holds when it is decoded, as far as its header says: memory is measured against this.
  virtual size_t decoded_bytes(std::string_view input) const { return input.size(); }
};

// safetensors, png, jpeg, idx, gz, cifar, toml, json.
const std::vector<std::unique_ptr<Format>>& formats();
// Null when there is none of that name.
const Format* find_format(std::string_view name);

std::unique_ptr<Format> make_safetensors_format();
std::unique_ptr<Format> make_png_format();
std::unique_ptr<Format> make_jpeg_format();
std::unique_ptr<Format> make_idx_format();
std::unique_ptr<Format> make_gzip_format();
std::unique_ptr<Format> make_cifar_format();
std::unique_ptr<Format> make_toml_format();
std::unique_ptr<Format> make_json_format();

}  // namespace sfumato::fuzz
