// `sfumato inspect FILE.safetensors`: what is in it, whether it is finite, and how it differs from another.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <limits>
#include <nlohmann/json.hpp>
#include <set>

#include "diffusion/cli/exit_codes.h"
#include "diffusion/cli/inspect.h"
#include "tensor/io/safetensors_shards.h"

namespace sfumato::cli {
namespace {

using Json = nlohmann::ordered_json;

constexpr size_t kNamedInMessage = 5;

// One file, or the shards of an index.
class TensorFile {
 public:
  using Entry = SafetensorsReader::Entry;

  explicit TensorFile(const std::filesystem::path& path) {
    path.extension() == ".json" ? void(shards_.emplace(path)) : void(file_.emplace(path));
  }
  const std::map<std::string, Entry>& entries() const { return file_ ? file_->entries() : shards_->entries(); }
  bool contains(const std::string& name) const { return entries().contains(name); }
  Tensor read(const std::string& name) const { return file_ ? file_->read(name) : shards_->read(name); }
  std::map<std::string, std::string> metadata() const {
    return file_ ? file_->metadata()
                 : std::map<std::string, std::string>{{"shards", std::to_string(shards_->num_shards())}};
  }

 private:
  std::optional<SafetensorsReader> file_;
  std::optional<ShardedSafetensors> shards_;
};

// As stored.
std::string_view dtype_of(const SafetensorsReader::Entry& entry) { return entry.half ? "f16" : name_of(entry.dtype); }

// Of the finite values; min > max when there are none.
struct TensorStatistics {
  double min = std::numeric_limits<double>::infinity(), max = -min;
  double mean = 0, stddev = 0;  // stddev: divided by the number of values
  int64_t finite = 0, nan = 0, infinite = 0;
  int64_t not_finite() const { return nan + infinite; }
};

template <class T>
double value_of(T value) {
  if constexpr (std::is_same_v<T, BFloat16>) {
    return static_cast<double>(static_cast<float>(value));
  } else {
    return static_cast<double>(value);
  }
}

// Calls visit(value) for every element of a contiguous tensor, as a double.
template <class F>
void for_each_value(const Tensor& tensor, F&& visit) {
  dispatch<kAllDTypes>("inspect", tensor.dtype(), [&]<class T>() {
    const T* data = tensor.data<T>();
    for (int64_t i = 0; i < tensor.numel(); ++i) {
      visit(value_of(data[i]));
    }
  });
}

TensorStatistics statistics_of(const Tensor& tensor) {
  TensorStatistics s;
  double sum = 0;
  for_each_value(tensor, [&](double value) {
    if (std::isfinite(value)) {
      s.min = std::min(s.min, value);
      s.max = std::max(s.max, value);
      sum += value;
      ++s.finite;
    } else {
      ++(std::isnan(value) ? s.nan : s.infinite);
    }
  });
  if (s.finite > 0) {
    s.mean = sum / static_cast<double>(s.finite);
    double squares = 0;
    for_each_value(tensor,
                   [&](double value) { squares += std::isfinite(value) ? (value - s.mean) * (value - s.mean) : 0; });
    s.stddev = std::sqrt(squares / static_cast<double>(s.finite));
  }
  return s;
}

std::vector<int64_t> sizes_of(const Shape& shape) { return {shape.begin(), shape.end()}; }

Json json_of(const std::string& name, const SafetensorsReader::Entry& entry, const TensorStatistics& s) {
  Json json{
      {"name", name}, {"dtype", dtype_of(entry)}, {"shape", sizes_of(entry.shape)}, {"bytes", entry.end - entry.begin}};
  for (const auto& [key, value] : {std::pair("min", s.min), {"max", s.max}, {"mean", s.mean}, {"std", s.stddev}}) {
    json[key] = s.finite > 0 ? Json(value) : Json();
  }
  json["nan"] = s.nan;
  json["infinite"] = s.infinite;
  return json;
}

struct Columns {
  size_t name = 4, shape = 5;
};

void print_row(const std::string& name,
               const SafetensorsReader::Entry& entry,
               const TensorStatistics& s,
               const Columns& columns) {
  fmt::print("{:<{}}  {:<5} {:<{}} {:>11}", name, columns.name, dtype_of(entry), to_string(entry.shape), columns.shape,
             entry.end - entry.begin);
  for (const double value : {s.min, s.max, s.mean, s.stddev}) {
    s.finite > 0 ? fmt::print(" {:>10.4g}", value) : fmt::print(" {:>10}", "-");
  }
  fmt::print("{}\n", s.not_finite() > 0 ? fmt::format("  {} nan, {} infinite", s.nan, s.infinite) : "");
}

void print_head(const TensorFile& file, const std::string& path, const Columns& columns) {
  int64_t values = 0, bytes = 0;
  for (const auto& [name, entry] : file.entries()) {
    values += entry.shape.numel();
    bytes += entry.end - entry.begin;
  }
  fmt::print("{}: {} tensors, {} values, {} bytes\n", path, file.entries().size(), values, bytes);
  for (const auto& [key, value] : file.metadata()) {
    fmt::print("metadata {} = {}\n", key, value);
  }
  if (!file.entries().empty()) {
    fmt::print("\n{:<{}}  {:<5} {:<{}} {:>11} {:>10} {:>10} {:>10} {:>10}\n", "name", columns.name, "dtype", "shape",
               columns.shape, "bytes", "min", "max", "mean", "std");
  }
}

// Up to kNamedInMessage of the texts: "a, b and 3 more".
std::string first_of(const std::vector<std::string>& texts) {
  std::string joined;
  for (size_t i = 0; i < std::min(texts.size(), kNamedInMessage); ++i) {
    joined += (i > 0 ? ", " : "") + texts[i];
  }
  return texts.size() > kNamedInMessage ? fmt::format("{} and {} more", joined, texts.size() - kNamedInMessage)
                                        : joined;
}

struct Difference {
  double absolute = 0;  // the largest |a - b|; infinite where one is NaN or infinite and the other is not the same
  double largest = 0;   // the largest finite |a| or |b|
  double relative() const { return absolute == 0 ? 0 : absolute / largest; }
};

template <class A, class B>
Difference difference_of(const A* a, const B* b, int64_t count) {
  Difference d;
  for (int64_t i = 0; i < count; ++i) {
    const double x = value_of(a[i]), y = value_of(b[i]);
    if (std::isfinite(x) && std::isfinite(y)) {
      d.absolute = std::max(d.absolute, std::abs(x - y));
      d.largest = std::max({d.largest, std::abs(x), std::abs(y)});
    } else if (!(x == y) && !(std::isnan(x) && std::isnan(y))) {
      d.absolute = std::numeric_limits<double>::infinity();
    }
  }
  return d;
}

Difference difference_of(const Tensor& a, const Tensor& b) {
  return dispatch<kAllDTypes>("inspect", a.dtype(), [&]<class A>() {
    return dispatch<kAllDTypes>("inspect", b.dtype(),
                                [&]<class B>() { return difference_of(a.data<A>(), b.data<B>(), a.numel()); });
  });
}

// What a comparison of one tensor found; empty for the same bits.
struct Finding {
  std::string text;
  Json json;
};

Finding compare(const TensorFile& a, const TensorFile& b, const std::string& name) {
  if (!a.contains(name) || !b.contains(name)) {
    const char* where = a.contains(name) ? "first" : "second";
    return {fmt::format("only in the {} file", where), {{"name", name}, {"only_in", where}}};
  }
  const auto& first = a.entries().at(name);
  const auto& second = b.entries().at(name);
  Json json{{"name", name}, {"dtypes", {dtype_of(first), dtype_of(second)}}};
  if (first.shape != second.shape) {
    json["shapes"] = {sizes_of(first.shape), sizes_of(second.shape)};
    return {fmt::format("shapes {} and {}", to_string(first.shape), to_string(second.shape)), json};
  }
  const Tensor x = a.read(name), y = b.read(name);
  const bool same_dtype = dtype_of(first) == dtype_of(second);
  const auto bytes = static_cast<size_t>(x.numel()) * size_of(x.dtype());  // f16 is read as f32
  if (same_dtype && (bytes == 0 || std::memcmp(x.raw_data(), y.raw_data(), bytes) == 0)) {
    return {};
  }
  const Difference d = difference_of(x, y);
  json["max_abs"] = std::isfinite(d.absolute) ? Json(d.absolute) : Json();
  json["max_rel"] = std::isfinite(d.relative()) ? Json(d.relative()) : Json();
  std::string text = same_dtype ? "" : fmt::format("dtypes {} and {}, ", dtype_of(first), dtype_of(second));
  text += d.absolute == 0 ? "equal values in other bits"
                          : fmt::format("max |a - b| {:.4g}, relative {:.4g}", d.absolute, d.relative());
  return {text, json};
}

}  // namespace

int inspect_tensors(const std::filesystem::path& path, const InspectOptions& options) {
  const TensorFile file(path);
  const bool table = !options.json && !options.check_finite;
  Columns columns;
  for (const auto& [name, entry] : file.entries()) {
    columns.name = std::max(columns.name, name.size());
    columns.shape = std::max(columns.shape, to_string(entry.shape).size());
  }
  if (table) {
    print_head(file, path.string(), columns);
  }
  Json json{{"path", path.string()}, {"metadata", file.metadata()}, {"tensors", Json::array()}};
  std::vector<std::string> bad;
  for (const auto& [name, entry] : file.entries()) {
    const TensorStatistics s = statistics_of(file.read(name));
    if (s.not_finite() > 0) {
      bad.push_back(fmt::format("'{}' ({} of {} values)", name, s.not_finite(), entry.shape.numel()));
    }
    if (table) {
      print_row(name, entry, s, columns);
    } else if (options.json) {
      json["tensors"].push_back(json_of(name, entry, s));
    }
  }
  if (options.json) {
    json["finite"] = bad.empty();
    std::puts(json.dump().c_str());
  }
  if (options.check_finite) {
    if (!bad.empty()) {
      throw FormatError(fmt::format("{}: {} of {} tensors are not finite: {}", path.string(), bad.size(),
                                    file.entries().size(), first_of(bad)));
    }
    std::fputs(fmt::format("{}: {} tensors, all finite\n", path.string(), file.entries().size()).c_str(), stderr);
  }
  return kOk;
}

int diff_tensors(const std::filesystem::path& path, const InspectOptions& options) {
  const TensorFile a(path), b(options.diff);
  std::set<std::string> names;
  for (const TensorFile* file : {&a, &b}) {
    for (const auto& [name, entry] : file->entries()) {
      names.insert(name);
    }
  }
  Json found = Json::array();
  for (const std::string& name : names) {
    const Finding finding = compare(a, b, name);
    if (!finding.text.empty()) {
      found.push_back(finding.json);
      if (!options.json) {
        fmt::print("{}: {}\n", name, finding.text);
      }
    }
  }
  const size_t same = names.size() - found.size();
  if (options.json) {
    const Json json{{"paths", {path.string(), options.diff.string()}},
                    {"same_bits", same},
                    {"tensors", names.size()},
                    {"differences", found}};
    std::puts(json.dump().c_str());
  } else {
    fmt::print("{} of {} tensors have the same bits\n", same, names.size());
  }
  return found.empty() ? static_cast<int>(kOk) : kDifferent;
}

}  // namespace sfumato::cli
