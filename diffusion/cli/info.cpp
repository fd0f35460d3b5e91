// `sfumato info`: what this build is, what it runs on, and the presets.
#include <fmt/format.h>

#include <cstdio>
#include <nlohmann/json.hpp>

#include "diffusion/cli/exit_codes.h"
#include "diffusion/cli/verbs.h"
#include "diffusion/model/unet.h"
#include "diffusion/train/config.h"
#include "diffusion/train/environment.h"

namespace sfumato::cli {
namespace {

// Channels of the data that a preset is made for, which its configuration leaves to the data.
Shape preset_image(std::string_view name) { return name.starts_with("cifar") ? Shape{3, 32, 32} : Shape{1, 28, 28}; }

nlohmann::json describe() {
  nlohmann::json json = nlohmann::json::parse(environment_json());
  for (const std::string_view name : preset_names()) {
    const TrainConfig config = TrainConfig::from_toml(preset_text(name), std::string(name));
    Shape image = preset_image(name);
    if (config.image_size > 0) {
      image = {image[0], config.image_size, config.image_size};
    }
    json["presets"][std::string(name)] = {{"parameters", UNet(config.unet_config(image)).num_parameters()},
                                          {"steps", config.steps},
                                          {"batch_size", config.batch_size}};
  }
  return json;
}

int info(const Common& common) {
  const nlohmann::json json = describe();
  if (common.json) {
    std::puts(json.dump().c_str());
    return kOk;
  }
  for (const auto& [key, value] : json.items()) {
    if (key != "presets") {
      fmt::print("{:16} {}\n", key, value.is_string() ? value.get<std::string>() : value.dump());
    }
  }
  for (const auto& [name, preset] : json["presets"].items()) {
    fmt::print("preset {:9} {} parameters, {} steps of {} images\n", name, preset["parameters"].dump(),
               preset["steps"].dump(), preset["batch_size"].dump());
  }
  return kOk;
}

}  // namespace

Verb add_info(CLI::App& app, Common& common) {
  CLI::App* verb = app.add_subcommand("info", "Show versions, instruction set, threads and presets");
  add_common_options(*verb, common);
  verb->footer("Examples:\n  sfumato info\n  sfumato info --json");
  return [&common] {
    apply(common);
    return info(common);
  };
}

}  // namespace sfumato::cli
