#include "diffusion/cli/options.h"

#include <fmt/format.h>

#include <charconv>
#include <cmath>

#include "tensor/io/file.h"

namespace sfumato::cli {
namespace {

// "between 1 and 4", "of at least 1", "of at most 4" or nothing, as the bounds are worth naming.
template <class T>
std::string range_text(T min, T max, T lowest, T highest) {
  if (min > lowest && max < highest) {
    return fmt::format(" between {} and {}", min, max);
  }
  return min > lowest ? fmt::format(" of at least {}", min) : max < highest ? fmt::format(" of at most {}", max) : "";
}

// All of `text` as a number of type T.
template <class T>
bool read(const std::string& text, T& value) {
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, value);
  return error == std::errc() && stop == end;
}

}  // namespace

void as_usage_error(const std::function<void()>& check) {
  try {
    check();
  } catch (const Error& error) {
    throw UsageError(error.what());
  }
}

std::shared_ptr<const Dataset> open_data(const std::string& spec, const DatasetOptions& options) {
  try {
    return open_dataset(spec, options);
  } catch (const FormatError&) {
    throw;
  } catch (const Error& error) {  // the data are fine, but not with these options
    throw ConfigError(error.what());
  }
}

Shape sample_shape_without_data(const std::vector<int64_t>& told, const TrainConfig& config, const Shape& image) {
  if (!told.empty()) {
    return Shape(std::span<const int64_t>(told));
  }
  if (config.network == "mlp") {
    return {2};
  }
  const int64_t side = config.image_size > 0 ? config.image_size : image[1];
  return {config.channels > 0 ? config.channels : image[0], side, side};
}

CLI::Validator whole_number(int64_t min, int64_t max) {
  using Limits = std::numeric_limits<int64_t>;
  const std::string wanted = "must be a whole number" + range_text(min, max, Limits::min(), Limits::max());
  return {[=](const std::string& text) {
            int64_t value = 0;
            return read(text, value) && value >= min && value <= max ? std::string()
                                                                     : fmt::format("{}, got '{}'", wanted, text);
          },
          ""};
}

CLI::Validator real_number(double min, double max) {
  using Limits = std::numeric_limits<double>;
  const std::string wanted = "must be a number" + range_text(min, max, Limits::lowest(), Limits::max());
  return {[=](const std::string& text) {
            double value = 0;
            return read(text, value) && std::isfinite(value) && value >= min && value <= max
                       ? std::string()
                       : fmt::format("{}, got '{}'", wanted, text);
          },
          ""};
}

CLI::Validator suggestions(const std::vector<std::string>& values) {
  return {[](const std::string&) { return std::string(); }, fmt::format("{{{}}}", fmt::join(values, ","))};
}

// CLI11 writes the type and the checks' descriptions as one text, "TEXT:{ddpm,ddim}": the last braces hold the values.
std::vector<std::string> known_values(const CLI::Option& option) {
  const std::string type = option.get_type_name();
  const size_t open = type.rfind('{');
  const size_t close = type.find('}', open == std::string::npos ? 0 : open);
  if (open == std::string::npos || close == std::string::npos) {
    return {};
  }
  return CLI::detail::split(type.substr(open + 1, close - open - 1), ',');
}

bool takes_value(const CLI::Option& option) { return option.get_items_expected_max() > 0; }

std::string value_text(const CLI::Option& option) {
  if (!takes_value(option)) {
    return {};
  }
  const std::string type = option.get_type_name();
  const std::string base = type.substr(0, type.find(':'));
  const std::vector<std::string> values = known_values(option);
  if (base == "TEXT" && !values.empty()) {
    return fmt::format("{}", fmt::join(values, "|"));
  }
  return base == "INT" || base == "UINT" ? "N" : base == "FLOAT" ? "X" : base;
}

}  // namespace sfumato::cli
