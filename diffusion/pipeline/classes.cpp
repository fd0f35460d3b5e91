// classes.json: read strictly, written canonically.
#include "diffusion/pipeline/classes.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "diffusion/oracle/named.h"
#include "tensor/io/file.h"
#include "tensor/io/json.h"

namespace sfumato {
namespace {

using Json = nlohmann::json;
namespace fs = std::filesystem;

constexpr size_t kLimit = size_t{16} << 20;

bool all_digits(std::string_view text) {
  return !text.empty() && text.size() < 10 &&
         std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

// Throws unless `good`.
void require(bool good, std::string_view source, const char* rule) {
  if (!good) {
    throw FormatError(fmt::format("{}: {}", source, rule));
  }
}

// The folder that holds classes.json if there is one.
fs::path place_of(const fs::path& folder) {
  return fs::exists(folder / "model" / "model_index.json") ? folder / "model" : folder;
}

}  // namespace

int64_t ClassList::find(std::string_view name_or_number) const {
  const auto named = std::find(names.begin(), names.end(), name_or_number);
  if (named != names.end()) {
    return named - names.begin();
  }
  const int64_t number = all_digits(name_or_number) ? std::stoll(std::string(name_or_number)) : -1;
  check(number >= 0 && number < count, "class '", name_or_number, "': there are 0..", count - 1,
        names.empty() ? "" : fmt::format(" ({})", fmt::join(names, ", ")));
  return number;
}

std::string ClassList::to_json() const {
  const Json json{{"count", count}, {"names", names}, {"null_label", null_label ? Json(*null_label) : Json(nullptr)}};
  return json.dump(2, ' ', /*ensure_ascii=*/false, Json::error_handler_t::replace) + "\n";
}

ClassList ClassList::from_json(std::string_view text, std::string_view source) {
  const Json json = parse_json(text, source);
  require(json.is_object(), source, "expected a JSON object");
  require(json.contains("count") && json["count"].is_number_integer(), source, "'count' must be an integer");
  ClassList classes{.count = json["count"].get<int64_t>()};
  require(classes.count >= 1, source, "'count' must be at least 1");
  const Json names = json.value("names", Json::array());
  require(
      names.is_array() && std::all_of(names.begin(), names.end(), [](const Json& name) { return name.is_string(); }),
      source, "'names' must be a list of strings");
  classes.names = names.get<std::vector<std::string>>();
  require(names.empty() || static_cast<int64_t>(names.size()) == classes.count, source,
          "'names' must have one entry for each class, or none");
  const Json null_label = json.value("null_label", Json(nullptr));
  require(null_label.is_null() || null_label.is_number_integer(), source, "'null_label' must be an integer or null");
  if (!null_label.is_null()) {
    classes.null_label = null_label.get<int64_t>();
  }
  return classes;
}

ClassList load_classes(const fs::path& folder, const DenoisingNetwork& network) {
  if (!oracle_spec(folder.string()).empty() && network.num_classes() > 0) {
    return {.count = network.num_classes() - 1, .null_label = network.num_classes() - 1};
  }
  const fs::path path = place_of(folder) / "classes.json";
  if (!fs::exists(path)) {
    return {.count = network.num_classes()};
  }
  ClassList classes = ClassList::from_json(read_file(path, kLimit), path.string());
  const int64_t labels = network.num_classes();
  require(classes.count <= labels, path.string(), "'count' is larger than the network's number of labels");
  require(!classes.null_label || (*classes.null_label >= 0 && *classes.null_label < labels), path.string(),
          "'null_label' is not among the network's labels");
  return classes;
}

Tensor labels_by_class(const std::vector<int64_t>& labels, int64_t per_class) {
  Tensor all = Tensor::empty({static_cast<int64_t>(labels.size()) * per_class}, DType::i64);
  int64_t* out = all.mutable_data<int64_t>();
  for (const int64_t label : labels) {
    out = std::fill_n(out, per_class, label);
  }
  return all;
}

}  // namespace sfumato
