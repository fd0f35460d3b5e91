// The header of a safetensors file: a small state machine on nlohmann-json's SAX parser. SAX, because the DOM parser
// keeps the last of equal keys without a word, and because a machine that stops at the first thing that has no place
// there never follows deep nesting.
#include <algorithm>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>

#include "tensor/io/json.h"
#include "tensor/io/safetensors.h"
#include "tensor/io/safetensors_format.h"

namespace sfumato {
namespace {

using Entries = std::map<std::string, SafetensorsReader::Entry>;
using Json = nlohmann::json;

template <class... Parts>
[[noreturn]] void reject(const Parts&... parts) {
  throw FormatError(detail::join_parts(parts...));
}

DType parse_dtype(const std::string& tensor, const std::string& name) {
  if (name == detail::kHalf) {
    return DType::f32;
  }
  for (const auto& known : detail::kSafetensorsDTypes) {
    if (known.name == name) {
      return known.dtype;
    }
  }
  const bool legal = std::count(std::begin(detail::kUnsupportedDTypes), std::end(detail::kUnsupportedDTypes), name) > 0;
  reject(tensor, ": ", legal ? "" : "unknown ", "dtype ", printable(name), legal ? " is not supported" : "",
         " (F64, F32, F16, BF16, I64, I32, U8 and BOOL are)");
}

// The longest string or number, quotes apart: the JSON parser holds it up to three times while it grows.
size_t longest_word(std::string_view header) {
  size_t longest = 0, length = 0;
  bool in_string = false;
  for (size_t i = 0; i < header.size(); ++i, ++length) {
    const char c = header[i];
    const bool ends = in_string ? c == '"' : c == '"' || c == ',' || c == ':' || c == '{' || c == '}' || c == ' ';
    if (in_string && c == '\\') {
      ++i;
    }
    if (ends) {
      in_string ^= c == '"';
      longest = std::max(longest, length);
      length = 0;
    }
  }
  return std::max(longest, length);
}

// What names and metadata may take in memory: as much as the header itself, and this.
constexpr size_t kFreeBytes = size_t{14} << 20;
// Of the maps that they are kept in, names of usual length included.
constexpr size_t kBytesPerTensor = 192, kBytesPerString = 112;

class HeaderParser : public nlohmann::json_sax<Json> {
 public:
  // `budget`: what entries and metadata may take.
  HeaderParser(Entries& entries, std::map<std::string, std::string>& metadata, int64_t data_bytes, size_t budget)
      : entries_(entries), metadata_(metadata), data_bytes_(static_cast<uint64_t>(data_bytes)), left_(budget) {}

  bool start_object(size_t) override {
    switch (at_) {
      case At::start: at_ = At::names; return true;
      case At::names: at_ = name_ == detail::kMetadataName ? At::metadata : At::entry; return true;
      default: reject_value("an object");
    }
  }

  bool key(std::string& key) override {
    switch (at_) {
      case At::names: begin_name(key); return true;
      case At::metadata: begin_metadata(key); return true;
      default: begin_field(key); return true;
    }
  }

  bool end_object() override {
    if (at_ == At::entry) {
      finish_entry();
    }
    at_ = At::names;
    return true;
  }

  bool start_array(size_t) override {
    if (at_ != At::entry || field_ == "dtype") {
      reject_value("a list");
    }
    at_ = field_ == "shape" ? At::shape : At::offsets;
    return true;
  }

  bool end_array() override {
    if (at_ == At::offsets && offsets_.size() < 2) {
      reject(subject(), ": data_offsets holds fewer than 2 numbers");
    }
    at_ = At::entry;
    return true;
  }

  bool string(std::string& value) override {
    if (at_ == At::metadata) {
      spend(value.size());
      metadata_[metadata_key_] = value;
    } else if (at_ == At::entry && field_ == "dtype") {
      dtype_ = parse_dtype(subject(), value);
      half_ = value == detail::kHalf;
    } else {
      reject_value("a string");
    }
    return true;
  }

  bool number_unsigned(uint64_t value) override {
    if (at_ == At::shape) {
      push_size(value);
    } else if (at_ == At::offsets) {
      push_offset(value);
    } else {
      reject_value(fmt::format("the number {}", value));
    }
    return true;
  }

  bool number_integer(int64_t value) override { reject_value(fmt::format("the number {}", value)); }
  bool number_float(double, const std::string& text) override { reject_value("the number " + printable(text)); }
  bool boolean(bool) override { reject_value("a boolean"); }
  bool null() override { reject_value("null"); }
  bool binary(Json::binary_t&) override { reject_value("binary data"); }

  bool parse_error(size_t position, const std::string&, const nlohmann::detail::exception& error) override {
    // "[json.exception.parse_error.101] parse error at line 1, column 5: <what we show>"
    const std::string_view text = error.what();
    const size_t colon = text.find(": ");
    reject("the header is no JSON at byte ", position, ": ",
           printable(colon == text.npos ? text : text.substr(colon + 2)));
  }

 private:
  enum class At { start, names, metadata, entry, shape, offsets };

  std::string subject() const { return "tensor '" + printable(name_) + "'"; }

  void spend(size_t bytes) {
    if (bytes > left_) {
      reject("the header holds more entries than its size allows");
    }
    left_ -= bytes;
  }

  // A value of a kind that has no place here.
  [[noreturn]] void reject_value(std::string_view what) const {
    switch (at_) {
      case At::start: reject("the header is ", what, ", not an object");
      case At::names:
        if (name_ == detail::kMetadataName) {
          reject("__metadata__ is ", what, ", not an object of strings");
        }
        reject(subject(), " is ", what, ", not an object");
      case At::metadata: reject("__metadata__ '", printable(metadata_key_), "' is ", what, ", not a string");
      case At::entry:
        reject(subject(), ": ", field_, " is ", what, field_ == "dtype" ? ", not a string" : ", not a list");
      case At::shape: reject(subject(), ": shape holds ", what, ", not an integer from 0 on");
      case At::offsets: reject(subject(), ": data_offsets holds ", what, ", not an integer from 0 on");
    }
    detail::fail_internal("safetensors: unknown state");
  }

  void begin_name(const std::string& name) {
    if (name.size() > detail::kMaxNameBytes) {
      reject("a tensor's name has ", name.size(), " bytes, at most ", detail::kMaxNameBytes, " are allowed");
    }
    name_ = name;
    if (name == detail::kMetadataName) {
      if (has_metadata_) {
        reject("__metadata__ appears twice");
      }
      has_metadata_ = true;
      return;
    }
    if (entries_.contains(name)) {
      reject(subject(), " appears twice");
    }
    if (entries_.size() >= detail::kMaxTensors) {
      reject("the header names more than ", detail::kMaxTensors, " tensors");
    }
    spend(kBytesPerTensor + name.size());
    field_.clear();
    dtype_.reset();
    half_ = false;
    has_shape_ = has_offsets_ = false;
    shape_ = Shape();
    offsets_.clear();
  }

  void begin_metadata(const std::string& key) {
    if (metadata_.contains(key)) {
      reject("__metadata__ '", printable(key), "' appears twice");
    }
    spend(kBytesPerString + key.size());
    metadata_key_ = key;
  }

  void begin_field(const std::string& key) {
    const bool twice =
        (key == "dtype" && dtype_) || (key == "shape" && has_shape_) || (key == "data_offsets" && has_offsets_);
    if (twice) {
      reject(subject(), ": ", key, " appears twice");
    }
    if (key == "shape") {
      has_shape_ = true;
    } else if (key == "data_offsets") {
      has_offsets_ = true;
    } else if (key != "dtype") {
      reject(subject(), ": unknown key '", printable(key), "'");
    }
    field_ = key;
  }

  void push_size(uint64_t size) {
    if (shape_.rank() == kMaxRank) {
      reject(subject(), ": has more than ", kMaxRank, " dimensions");
    }
    if (size > static_cast<uint64_t>(std::numeric_limits<int64_t>::max())) {
      reject(subject(), ": size ", size, " is out of range");
    }
    shape_.push_back(static_cast<int64_t>(size));
  }

  void push_offset(uint64_t offset) {
    if (offsets_.size() == 2) {
      reject(subject(), ": data_offsets holds more than 2 numbers");
    }
    offsets_.push_back(offset);
  }

  // The bytes that dtype and shape ask for. A size of 0 elsewhere does not excuse a product that overflows: strides are
  // computed from it.
  uint64_t checked_bytes() const {
    uint64_t product = half_ ? 2 : size_of(*dtype_);
    bool overflow = false;
    bool empty = false;
    for (const int64_t size : shape_) {
      empty |= size == 0;
      overflow |= __builtin_mul_overflow(product, static_cast<uint64_t>(std::max<int64_t>(size, 1)), &product);
    }
    if (overflow || product > static_cast<uint64_t>(std::numeric_limits<int64_t>::max())) {
      reject(subject(), ": shape ", shape_, " has too many elements");
    }
    return empty ? 0 : product;
  }

  void finish_entry() {
    const std::string_view missing = !dtype_ ? "dtype" : !has_shape_ ? "shape" : !has_offsets_ ? "data_offsets" : "";
    if (!missing.empty()) {
      reject(subject(), ": ", missing, " is missing");
    }
    const uint64_t begin = offsets_[0];
    const uint64_t end = offsets_[1];
    if (begin > end) {
      reject(subject(), ": data_offsets [", begin, ", ", end, "] run backwards");
    }
    if (end > data_bytes_) {
      reject(subject(), ": its data end at byte ", end, " but the file has only ", data_bytes_, " bytes of data");
    }
    const uint64_t bytes = checked_bytes();
    if (bytes != end - begin) {
      reject(subject(), ": ", half_ ? detail::kHalf : detail::safetensors_name(*dtype_), " ", shape_, " takes ", bytes,
             " bytes but data_offsets [", begin, ", ", end, "] span ", end - begin);
    }
    entries_.emplace(name_, SafetensorsReader::Entry{*dtype_, shape_, static_cast<int64_t>(begin),
                                                     static_cast<int64_t>(end), half_});
  }

  Entries& entries_;
  std::map<std::string, std::string>& metadata_;
  uint64_t data_bytes_;
  size_t left_;
  At at_ = At::start;
  bool has_metadata_ = false;
  std::string metadata_key_;
  // The tensor that is being read.
  std::string name_;
  std::string field_;
  std::optional<DType> dtype_;
  bool half_ = false;
  bool has_shape_ = false;
  bool has_offsets_ = false;
  Shape shape_;
  std::vector<uint64_t> offsets_;
};

// Each tensor must begin where the one before it ended, from the first to the last byte.
void check_layout(const Entries& entries, int64_t data_bytes) {
  std::vector<const Entries::value_type*> order;
  order.reserve(entries.size());
  for (const auto& entry : entries) {
    order.push_back(&entry);
  }
  std::sort(order.begin(), order.end(), [](const auto* a, const auto* b) {
    return std::pair(a->second.begin, a->second.end) < std::pair(b->second.begin, b->second.end);
  });
  int64_t last_end = 0;
  for (const auto* entry : order) {
    const int64_t begin = entry->second.begin;
    if (begin < last_end) {
      reject("tensor '", printable(entry->first), "' begins at byte ", begin, " and overlaps the one that ends at ",
             last_end);
    }
    if (begin > last_end) {
      reject("tensor '", printable(entry->first), "' begins at byte ", begin, " and leaves a hole after byte ",
             last_end);
    }
    last_end = entry->second.end;
  }
  if (last_end != data_bytes) {
    reject("the file has ", data_bytes - last_end, " bytes after the data of the last tensor");
  }
}

}  // namespace

Entries parse_safetensors_header(std::string_view header,
                                 int64_t data_bytes,
                                 std::map<std::string, std::string>* metadata) {
  if (header.size() > detail::kMaxHeaderBytes) {
    reject("the header has ", header.size(), " bytes, at most ", detail::kMaxHeaderBytes, " are allowed");
  }
  if (header.empty() || header.front() != '{') {
    reject("the header does not begin with '{'");
  }
  // JSON's other kinds of white space are not allowed here, and the parser below would take a NUL for the end.
  const size_t last = header.find_last_not_of(' ');
  if (header[last] != '}' || header.find('\0') != header.npos) {
    reject("the header does not end with '}' and spaces");
  }
  Entries entries;
  std::map<std::string, std::string> strings;
  const size_t word = longest_word(header.substr(0, last)), budget = header.size() + kFreeBytes;
  if (word > budget / 4) {  // three in the parser, one where it is kept
    reject("the header holds a word of ", word, " bytes, at most ", budget / 4, " are allowed in one of its size");
  }
  HeaderParser parser(entries, strings, data_bytes, budget - 3 * word);
  Json::sax_parse(header.begin(), header.begin() + static_cast<std::ptrdiff_t>(last) + 1, &parser);
  check_layout(entries, data_bytes);
  if (metadata != nullptr) {
    *metadata = std::move(strings);
  }
  return entries;
}

}  // namespace sfumato
