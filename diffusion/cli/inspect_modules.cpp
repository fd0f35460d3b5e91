// `sfumato inspect FOLDER`: the module tree of a network with its parameters and what a forward pass costs.
#include <fmt/format.h>

#include <cstdio>
#include <map>
#include <nlohmann/json.hpp>

#include "diffusion/cli/exit_codes.h"
#include "diffusion/cli/inspect.h"
#include "diffusion/cli/options.h"
#include "diffusion/model/cost.h"
#include "diffusion/train/config.h"
#include "tensor/io/file.h"
#include "tensor/io/json.h"

namespace sfumato::cli {
namespace {

using Json = nlohmann::ordered_json;

constexpr int64_t kBytesPerParameter = 4;  // f32, as trained and saved

// Every "a.b = value" of a run's config.json becomes an assignment to the same key.
void assign_all(const Json& json, const std::string& prefix, TrainConfig& config) {
  for (const auto& [key, value] : json.items()) {
    if (value.is_object()) {
      assign_all(value, prefix + key + ".", config);
    } else {
      config.set(prefix + key + "=" + value.dump());
    }
  }
}

std::unique_ptr<DenoisingNetwork> network_of_run(const TrainConfig& config, const InspectOptions& options) {
  config.validate();
  return config.make_network(sample_shape_without_data(options.sample_shape, config, {3, 32, 32}));
}

std::unique_ptr<DenoisingNetwork> build_network(const std::filesystem::path& path, const InspectOptions& options) {
  const std::string text = read_file(path, kMaxConfigBytes);
  if (path.extension() == ".toml") {
    return network_of_run(TrainConfig::from_toml(text, path.string()), options);
  }
  check_json(text, path.string());
  const Json json = Json::parse(text);
  if (json.is_object() && json.contains("batch_size") && !json.contains("_class_name")) {
    TrainConfig config;
    assign_all(json, "", config);
    return network_of_run(config, options);
  }
  return network_from_json(text, path.string());
}

// A module's own parameters, "weight (64, 3, 3, 3), bias (64)", by the module's path.
std::map<std::string, std::string> own_parameters(DenoisingNetwork& network) {
  std::map<std::string, std::string> shapes;
  ModuleWalk calls;
  calls.parameter = [&](const std::string& name, Parameter& parameter) {
    if (parameter.present()) {
      const size_t dot = name.rfind('.');
      std::string& text = shapes[dot == std::string::npos ? "" : name.substr(0, dot)];
      text += (text.empty() ? "" : ", ") + name.substr(dot == std::string::npos ? 0 : dot + 1) + " " +
              to_string(parameter.shape());
    }
  };
  walk(network, calls);
  return shapes;
}

std::string last_name(const ModuleCost& cost, const std::string& parent) {
  return cost.path.empty() ? cost.description : cost.path.substr(parent.empty() ? 0 : parent.size() + 1);
}

// One number in at most seven places: "1.234 G".
std::string scaled(double value) {
  constexpr std::pair<double, const char*> kUnits[] = {{1e12, " T"}, {1e9, " G"}, {1e6, " M"}, {1e3, " k"}};
  for (const auto& [unit, name] : kUnits) {
    if (value >= unit) {
      return fmt::format("{:.3f}{}", value / unit, name);
    }
  }
  return fmt::format("{:.0f}  ", value);
}

void print_tree(const std::vector<ModuleCost>& tree,
                const std::map<std::string, std::string>& shapes,
                const InspectOptions& options) {
  std::vector<std::string> parents;  // paths of the open modules, by depth
  std::vector<std::pair<std::string, const ModuleCost*>> rows;
  size_t width = 0;
  for (const ModuleCost& cost : tree) {
    parents.resize(static_cast<size_t>(cost.depth));
    const std::string parent = parents.empty() ? "" : parents.back();
    parents.push_back(cost.path);
    if (!options.depth || cost.depth <= *options.depth) {
      rows.emplace_back(std::string(static_cast<size_t>(2 * cost.depth), ' ') + last_name(cost, parent), &cost);
      width = std::max(width, rows.back().first.size());
    }
  }
  fmt::print("{:<{}} {:>12} {:>13} {:>11}\n", "module", width, "parameters", "bytes", "flops");
  for (const auto& [name, cost] : rows) {
    const auto own = shapes.find(cost->path);
    fmt::print("{:<{}} {:>12} {:>13} {:>11}  {}{}\n", name, width, cost->parameters,
               cost->parameters * kBytesPerParameter, scaled(cost->flops), cost->path.empty() ? "" : cost->description,
               own == shapes.end() ? "" : (cost->path.empty() ? "" : ": ") + own->second);
  }
}

void print_json(const std::filesystem::path& path,
                const Shape& sample,
                const std::vector<ModuleCost>& tree,
                const InspectOptions& options) {
  Json modules = Json::array();
  for (const ModuleCost& cost : tree) {
    if (!options.depth || cost.depth <= *options.depth) {
      modules.push_back({{"path", cost.path},
                         {"description", cost.description},
                         {"parameters", cost.parameters},
                         {"bytes", cost.parameters * kBytesPerParameter},
                         {"flops", cost.flops}});
    }
  }
  const Json json{{"path", path.string()},
                  {"sample_shape", std::vector<int64_t>(sample.begin(), sample.end())},
                  {"parameters", tree[0].parameters},
                  {"flops", tree[0].flops},
                  {"modules", modules}};
  std::puts(json.dump().c_str());
}

}  // namespace

int inspect_modules(const std::filesystem::path& config, const InspectOptions& options) {
  const auto network = build_network(config, options);
  const auto shapes = own_parameters(*network);
  const std::vector<ModuleCost> tree = forward_cost(*network);
  if (options.json) {
    print_json(config, network->sample_shape(), tree, options);
    return kOk;
  }
  fmt::print("{}: {}, {} parameters, {}MAC in a forward pass of one sample {}\n\n", config.string(),
             network->class_name(), tree[0].parameters, scaled(tree[0].flops / 2), to_string(network->sample_shape()));
  print_tree(tree, shapes, options);
  return kOk;
}

}  // namespace sfumato::cli
