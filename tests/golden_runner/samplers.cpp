#include <algorithm>
#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>

#include "diffusion/samplers/ancestral.h"
#include "diffusion/samplers/ddim.h"
#include "diffusion/schedule/scheduler_config.h"
#include "tensor/io/safetensors.h"
#include "tensor/ops/elementwise.h"
#include "tensor/ops/view.h"
#include "tests/golden_runner/runner.h"

namespace sfumato::golden {

namespace {

using Json = nlohmann::json;

constexpr double kTolerance = 1e-6;  // of the largest entry of each step's result

// The stand-in for a network: x (0.25 + 0.6 t / 1000) + 0.1 sin(3 x) - 0.05.
Tensor stand_in_model(const Tensor& x, const Tensor& t) {
  const double time = t.numel() > 0 ? t.to_vector()[0] : 0;
  return x * (0.25 + 0.6 * time / 1000) + affine(sin(x * 3.0), 0.1, -0.05);
}

// One case's reference tensors, f64.
struct Reference {
  Tensor x_T, noise, trajectory;
  std::vector<double> timesteps;
};

Reference read_reference(const SafetensorsReader& file, const std::string& id) {
  const auto read = [&](const char* name) { return file.read(id + "/" + name).to(DType::f64); };
  return {read("x_T"), file.contains(id + "/noise") ? read("noise") : Tensor(), read("trajectory"),
          read("timesteps").to_vector()};
}

// Takes `name` out of the arguments, or gives the default.
template <class T>
T take(Json& args, const char* name, T value) {
  if (args.contains(name)) value = args.at(name).get<T>();
  args.erase(name);
  return value;
}

// What is wrong with a step; empty when nothing is.
std::string step_difference(const Reference& reference, const SamplerStep& step) {
  const size_t i = static_cast<size_t>(step.index);
  if (i >= reference.timesteps.size() || static_cast<double>(step.t) != reference.timesteps[i]) {
    return detail::join_parts("step ", i, " is at timestep ", step.t, ", not at the reference's");
  }
  const auto ours = step.x_previous.to_vector(), wanted = select(reference.trajectory, 0, step.index).to_vector();
  if (ours.size() != wanted.size()) return "the trajectory has another shape";
  double largest = 0, worst = 0;
  for (size_t k = 0; k < ours.size(); ++k) {
    const double error = std::abs(ours[k] - wanted[k]);
    largest = std::max(largest, std::abs(wanted[k]));
    worst = std::isnan(error) ? error : std::max(worst, error);
    if (std::isnan(worst)) break;
  }
  if (worst <= kTolerance * largest) return {};
  return detail::join_parts("after step ", i, " (t = ", step.t, ") the error is ", worst, " of ", largest);
}

// Runs a case; returns what is wrong first. The arguments are fields of the scheduler's configuration, but for those of
// the call itself; the configuration's reader refuses any that it does not know.
std::string run_case(const SafetensorsReader& file, const std::string& id, const std::string& op, Json args) {
  const Reference reference = read_reference(file, id);
  const int64_t steps = take<int64_t>(args, "steps", 0);
  const double eta = op == "ddim" ? take(args, "eta", 0.0) : 0.0;
  const bool use_clipped = op == "ddim" && take(args, "use_clipped_model_output", false);
  args["_class_name"] = op == "ddim" ? "DDIMScheduler" : "DDPMScheduler";
  const SchedulerConfig config = parse_scheduler_config(args.dump(), "args");
  const NoiseSchedule schedule = config.make_schedule(TablePrecision::f32);

  std::string problem;
  int64_t count = 0;
  const auto on_step = [&](const SamplerStep& step) {
    ++count;
    if (problem.empty()) problem = step_difference(reference, step);
  };
  const auto noise = [&](int64_t i, const Shape&) {
    check(reference.noise.defined(), "the case has no noise");
    return select(reference.noise, 0, i);
  };
  if (op == "ddim") {
    DdimOptions options = config.ddim_options(steps, eta);
    options.use_clipped_model_output = use_clipped;
    options.noise = noise;
    options.on_step = on_step;
    ddim_sample(stand_in_model, schedule, reference.x_T, options);
  } else {
    AncestralOptions options = config.ancestral_options(steps);
    options.noise = noise;
    options.on_step = on_step;
    ancestral_sample(stand_in_model, schedule, reference.x_T, options);
  }
  if (problem.empty() && count != static_cast<int64_t>(reference.timesteps.size())) {
    problem = detail::join_parts(count, " steps, the reference has ", reference.timesteps.size());
  }
  return problem;
}

}  // namespace

std::vector<CaseResult> replay_samplers(const std::filesystem::path& folder) {
  const auto list = folder / "samplers.json", data = folder / "samplers.safetensors";
  if (!std::filesystem::exists(list) || !std::filesystem::exists(data)) return {};
  const SafetensorsReader file(data);
  std::ifstream stream(list);
  const Json cases = Json::parse(stream).at("cases");
  std::vector<CaseResult> results;
  for (const Json& entry : cases) {
    CaseResult result{entry.at("id").get<std::string>(), CaseResult::passed, {}};
    const std::string op = entry.at("op").get<std::string>();
    if (op != "ddpm" && op != "ddim") {
      result.status = CaseResult::pending;
      result.message = op;
    } else {
      try {
        result.message = run_case(file, result.name, op, entry.at("args"));
      } catch (const std::exception& error) {
        result.message = error.what();
      }
      if (!result.message.empty()) result.status = CaseResult::failed;
    }
    results.push_back(result);
  }
  return results;
}

}  // namespace sfumato::golden
