#include "tensor/io/json.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <vector>

namespace sfumato {
namespace {

using Json = nlohmann::json;

// What a value, or a member of an object, takes in a tree, with room for a list that grows.
constexpr size_t kBytesPerValue = 96;
constexpr size_t kFreeBytes = size_t{8} << 20;

// Listens to the parser and keeps nothing but the keys of the objects that are open.
class Checker : public nlohmann::json_sax<Json> {
 public:
  Checker(size_t text_bytes, std::string_view origin) : left_(text_bytes + kFreeBytes), origin_(origin) {}

  bool null() override { return spend(0); }
  bool boolean(bool) override { return spend(0); }
  bool number_integer(int64_t) override { return spend(0); }
  bool number_unsigned(uint64_t) override { return spend(0); }
  bool number_float(double, const std::string&) override { return spend(0); }
  bool string(std::string& text) override { return spend(text.size()); }
  bool binary(Json::binary_t&) override { return spend(0); }

  bool start_object(size_t) override { return open(); }
  bool start_array(size_t) override { return open(); }
  bool end_object() override { return close(); }
  bool end_array() override { return close(); }
  bool key(std::string& name) override {
    spend(name.size());
    if (!keys_.back().insert(name).second) {
      refuse("the key '", printable(name), "' appears twice");
    }
    return true;
  }

  bool parse_error(size_t, const std::string&, const nlohmann::detail::exception& error) override {
    refuse("not valid JSON: ", error.what());
  }

 private:
  template <class... Parts>
  [[noreturn]] void refuse(const Parts&... parts) const {
    throw FormatError(detail::join_parts(origin_, ": ", parts...));
  }

  bool spend(size_t bytes) {
    const size_t wanted = bytes + kBytesPerValue;
    if (wanted > left_) {
      refuse("it holds more values than its size allows");
    }
    left_ -= wanted;
    return true;
  }

  bool open() {
    if (keys_.size() == static_cast<size_t>(kMaxJsonDepth)) {
      refuse("it is nested deeper than ", kMaxJsonDepth, " levels");
    }
    keys_.emplace_back();
    return spend(0);
  }

  bool close() {
    keys_.pop_back();
    return true;
  }

  size_t left_;
  std::string_view origin_;
  std::vector<std::set<std::string>> keys_;
};

}  // namespace

std::string printable(std::string_view text) {
  constexpr size_t kLongest = 120;
  std::string shown(text.substr(0, kLongest));
  std::replace_if(
      shown.begin(), shown.end(), [](char c) { return c < 0x20 || c > 0x7e; }, '?');
  return text.size() > kLongest ? shown + "..." : shown;
}

void check_json(std::string_view text, std::string_view origin) {
  Checker checker(text.size(), origin);
  Json::sax_parse(text.begin(), text.end(), &checker);
}

Json parse_json(std::string_view text, std::string_view origin) {
  check_json(text, origin);
  return Json::parse(text);
}

}  // namespace sfumato
