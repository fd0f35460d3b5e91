#include <algorithm>
#include <cmath>
#include <set>

#include "diffusion/schedule/noise_schedule.h"
#include "tensor/io/safetensors.h"
#include "tests/golden_runner/runner.h"

namespace sfumato::golden {

namespace {

constexpr double kTolerance = 1e-6;  // of each entry; our f32 tables are bit for bit PyTorch's where both use fma

std::string difference(const char* what, const std::vector<double>& ours, const std::vector<double>& wanted) {
  if (ours.size() != wanted.size()) return detail::join_parts(what, ": ", ours.size(), " entries, ", wanted.size());
  for (size_t t = 0; t < ours.size(); ++t) {
    if (!(std::abs(ours[t] - wanted[t]) <= kTolerance * std::abs(wanted[t]))) {
      return detail::join_parts(what, "[", t, "] is ", ours[t], ", wanted ", wanted[t]);
    }
  }
  return {};
}

CaseResult replay(const SafetensorsReader& file, const std::string& name) {
  CaseResult result{name, CaseResult::passed, {}};
  if (name != "linear" && name != "scaled_linear" && name != "squaredcos_cap_v2") {
    return {name, CaseResult::pending, "unknown beta_schedule"};
  }
  try {
    const auto betas = file.read(name + "/betas").to_vector();
    const auto alphas_cumprod = file.read(name + "/alphas_cumprod").to_vector();
    const ScheduleConfig config{.num_train_timesteps = static_cast<int64_t>(betas.size()), .beta_schedule = name};
    const NoiseSchedule schedule = make_schedule(config, TablePrecision::f32);
    result.message = difference("betas", schedule.betas(), betas);
    if (result.message.empty()) {
      result.message = difference("alphas_cumprod", schedule.alphas_cumprod(), alphas_cumprod);
    }
    if (!result.message.empty()) result.status = CaseResult::failed;
  } catch (const std::exception& error) {
    result = {name, CaseResult::failed, error.what()};
  }
  return result;
}

}  // namespace

std::vector<CaseResult> replay_schedules(const std::filesystem::path& folder) {
  const auto path = folder / "schedules.safetensors";
  if (!std::filesystem::exists(path)) return {};
  const SafetensorsReader file(path);
  std::set<std::string> names;
  for (const auto& [key, entry] : file.entries()) names.insert(key.substr(0, key.rfind('/')));
  std::vector<CaseResult> results;
  for (const auto& name : names) results.push_back(replay(file, name));
  return results;
}

}  // namespace sfumato::golden
