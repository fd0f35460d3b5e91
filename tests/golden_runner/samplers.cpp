#include <algorithm>
#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>

#include "diffusion/samplers/ancestral.h"
#include "diffusion/samplers/ddim.h"
#include "diffusion/samplers/dpm_solver.h"
#include "diffusion/samplers/runge_kutta.h"
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

// What is wrong with x after the reference's step i; empty when nothing is.
std::string difference_after(const Reference& reference, int64_t i, const Tensor& x) {
  const auto ours = x.to_vector(), wanted = select(reference.trajectory, 0, i).to_vector();
  if (ours.size() != wanted.size()) return "the trajectory has another shape";
  double largest = 0, worst = 0;
  for (size_t k = 0; k < ours.size(); ++k) {
    const double error = std::abs(ours[k] - wanted[k]);
    largest = std::max(largest, std::abs(wanted[k]));
    worst = std::isnan(error) ? error : std::max(worst, error);
    if (std::isnan(worst)) break;
  }
  if (worst <= kTolerance * largest) return {};
  return detail::join_parts("after step ", i, " the error is ", worst, " of ", largest);
}

// What is wrong with a step; empty when nothing is.
std::string step_difference(const Reference& reference, const SamplerStep& step) {
  const size_t i = static_cast<size_t>(step.index);
  if (i >= reference.timesteps.size() || static_cast<double>(step.t) != reference.timesteps[i]) {
    return detail::join_parts("step ", i, " is at timestep ", step.t, ", not at the reference's");
  }
  return difference_after(reference, step.index, step.x_previous);
}

// The levels that a solver of diffusers walks down, and how it was told to come by them.
struct Levels {
  SigmaTable table;
  std::vector<double> sigmas;
};

Levels levels_of(
    const SchedulerConfig& config, bool is_dpm, int64_t steps, bool to_zero, bool karras, bool log_linear) {
  const NoiseSchedule schedule = config.make_schedule(TablePrecision::f32);
  const bool linear = !is_dpm && !karras && !log_linear;
  const SigmaTable table(schedule, linear ? SigmaInterpolation::linear : SigmaInterpolation::log_linear);
  auto sigmas = sigma_grid(
      table, {.steps = steps,
              .spacing = karras ? SigmaSpacing::karras : parse_sigma_spacing(name_of(config.timestep_spacing)),
              .steps_offset = config.steps_offset,
              .leave_out_lowest = is_dpm,
              .whole_timesteps = is_dpm,
              .to_zero = to_zero});
  if (!to_zero) sigmas.push_back(table.sigma(0));
  return {table, sigmas};
}

// The multistep solver keeps variance-preserving x; Euler and Heun keep x_0 + sigma eps.
std::string run_solver(const SafetensorsReader& file, const std::string& id, const std::string& op, Json args) {
  const Reference reference = read_reference(file, id);
  const bool is_dpm = op == "dpmsolver++";
  const int64_t steps = take<int64_t>(args, "steps", 0), order = take<int64_t>(args, "solver_order", 2);
  const std::string type = take<std::string>(args, "solver_type", "midpoint");
  const bool to_zero = take<std::string>(args, "final_sigmas_type", "zero") == "zero";
  const bool lower_order_final = take(args, "lower_order_final", true), karras = take(args, "use_karras_sigmas", false);
  const bool log_linear = take<std::string>(args, "interpolation_type", "linear") == "log_linear";
  if (is_dpm && order > 2) throw NotBuilt("the published third-order update, which is of order 2");
  args["_class_name"] = "DPMSolverMultistepScheduler";  // for its defaults: linspace, no clipping
  const SchedulerConfig config = parse_scheduler_config(args.dump(), "args");
  const Levels levels = levels_of(config, is_dpm, steps, to_zero, karras, log_linear);

  std::vector<double> seen;
  const Denoiser network = [&](const Tensor& x, const Tensor& t) {
    seen.push_back(t.to_vector()[0]);
    return stand_in_model(x, t);
  };
  const SigmaDenoiser denoiser = sigma_denoiser(network, levels.table, {.type = config.prediction_type});
  const double first = levels.sigmas.front();
  const bool sized_by_sigma = config.timestep_spacing != TimestepSpacing::leading;
  const Tensor start = reference.x_T * (!is_dpm && sized_by_sigma ? first : scale_of(first));
  std::string problem;
  const SolverCallback on_step = [&](const SolverStep& step) {
    // Heun's reference has the state after every evaluation, ours after both.
    const int64_t last = static_cast<int64_t>(reference.timesteps.size()) - 1;
    const int64_t index = op == "heun" ? std::min(2 * step.index + 1, last) : step.index;
    if (!problem.empty()) return;
    problem = difference_after(reference, index, is_dpm ? step.x_next / scale_of(step.sigma_next) : step.x_next);
  };
  if (op == "euler") {
    euler_sample(denoiser, start, levels.sigmas, {.on_step = on_step});
  } else if (op == "heun") {
    heun_sample(denoiser, start, levels.sigmas, {.on_step = on_step});
  } else {
    const DpmMethod second = type == "heun" ? DpmMethod::multistep_2_line : DpmMethod::multistep_2;
    dpm_solver_sample(denoiser, start, levels.sigmas,
                      {.method = order == 1 ? DpmMethod::first : second,
                       .first_order_end = lower_order_final && steps < 15,
                       .on_step = on_step});
  }
  const auto same = [](double a, double b) { return std::abs(a - b) < 1e-4; };  // the reference's are f32
  if (problem.empty() &&
      !std::equal(seen.begin(), seen.end(), reference.timesteps.begin(), reference.timesteps.end(), same)) {
    problem = "the timesteps are not the reference's";
  }
  return problem;
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
    const bool is_solver = op == "dpmsolver++" || op == "euler" || op == "heun";
    if (op != "ddpm" && op != "ddim" && !is_solver) {
      result.status = CaseResult::pending;
      result.message = op;
    } else {
      try {
        result.message = (is_solver ? run_solver : run_case)(file, result.name, op, entry.at("args"));
        if (!result.message.empty()) result.status = CaseResult::failed;
      } catch (const NotBuilt& missing) {
        result = {result.name, CaseResult::pending, missing.what()};
      } catch (const std::exception& error) {
        result = {result.name, CaseResult::failed, error.what()};
      }
    }
    results.push_back(result);
  }
  return results;
}

}  // namespace sfumato::golden
