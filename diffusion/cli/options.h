// Building blocks of options: checks that say what is wanted, and what the shell may complete.
//
//   verb->add_option("--num", num, "How many images")->check(whole_number(1));
//   verb->add_option("--eta", eta, "Noise of ddim, 0 to 1")->check(real_number(0, 1));
//   verb->add_option("--preset", preset, "Start from a built-in configuration")
//       ->type_name("NAME")->check(suggestions({"fashion-small", "swissroll"}));
//   verb->add_option("--model", model, "Model folder")->type_name("DIR");
//
// CLI11's own range checks let NaN pass, clamp what does not fit and name their bounds with 300 digits.
//
// The type name is what help shows after the option, and what completion goes by: DIR and FILE (also as part of a
// longer name) complete paths, KEY=VALUE the keys of a configuration. Values of CLI::IsMember and suggestions()
// complete too.
#pragma once

#include <CLI/CLI.hpp>

#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "diffusion/data/open.h"
#include "diffusion/train/config.h"
#include "tensor/check.h"

namespace sfumato::cli {

// Decimal digits, perhaps with a minus, for a value in [min, max].
CLI::Validator whole_number(int64_t min = std::numeric_limits<int64_t>::min(),
                            int64_t max = std::numeric_limits<int64_t>::max());
// A finite number in [min, max].
CLI::Validator real_number(double min, double max = std::numeric_limits<double>::max());
// Accepts everything: values that completion offers. What is wrong with others is for the verb to say.
CLI::Validator suggestions(const std::vector<std::string>& values);

// A command line that CLI11 could not see to be wrong (exit code 2).
class UsageError : public Error {
 public:
  using Error::Error;
};
// What `check` throws is about the command line.
void as_usage_error(const std::function<void()>& check);

// open_dataset() ("diffusion/data/open.h") for a verb: options that do not fit the data are a bad configuration (78).
std::shared_ptr<const Dataset> open_data(const std::string& spec, const DatasetOptions& options);

// The shape of a sample where no data tell it: what --sample-shape said, else (2) for points, else `image` with the
// channels and the size that the configuration asks for.
Shape sample_shape_without_data(const std::vector<int64_t>& told, const TrainConfig& config, const Shape& image);

// A flag stands alone; other options are followed by a value.
bool takes_value(const CLI::Option& option);

// What is known of an option from its type name and checks: the text after its name in help ("N", "FILE", "ddpm|ddim"),
// and the values to offer, if they are known.
std::string value_text(const CLI::Option& option);
std::vector<std::string> known_values(const CLI::Option& option);

}  // namespace sfumato::cli
