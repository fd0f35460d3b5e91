// Replays training.json/.safetensors: from unet_ddpm's weights, steps of q_sample, mean squared error on the noise,
// clipping, Adam and an average of the weights, on given x0, noise and t.
#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>

#include "diffusion/model/unet.h"
#include "diffusion/process/gaussian.h"
#include "diffusion/schedule/noise_schedule.h"
#include "nn/optim/clip.h"
#include "nn/optim/ema.h"
#include "nn/optim/optimizer.h"
#include "nn/state_dict.h"
#include "tensor/io/file.h"
#include "tensor/ops/view.h"
#include "tests/golden_runner/compare.h"
#include "tests/golden_runner/runner.h"
#include "tests/golden_runner/ways.h"

namespace sfumato::golden {
namespace {

namespace fs = std::filesystem;

constexpr double kLearningRate = 2e-4, kMaxNorm = 1.0, kEmaDecay = 0.99;
constexpr double kToleranceLoss = 1e-4;     // of each loss and norm by itself
constexpr double kToleranceWeights = 1e-4;  // of the tensor's largest entry

std::string compare_number(const char* what, int64_t step, double ours, double wanted) {
  if (std::abs(ours - wanted) <= kToleranceLoss * std::abs(wanted)) return {};
  return fmt::format("{} of step {} is {:.7g}, the reference {:.7g}", what, step, ours, wanted);
}

// Compares those of `ours` that the file has under prefix/.
std::string compare_weights(const SafetensorsReader& file, const std::string& prefix, const NamedTensors& ours) {
  int64_t compared = 0;
  for (const auto& [name, tensor] : ours) {
    if (!file.contains(prefix + "/" + name)) continue;
    ++compared;
    const std::string problem =
        difference(prefix + "/" + name, tensor, file.read(prefix + "/" + name), {kToleranceWeights});
    if (!problem.empty()) return problem;
  }
  int64_t listed = 0;
  for (const auto& [key, entry] : file.entries()) listed += key.starts_with(prefix + "/") ? 1 : 0;
  return compared == listed ? "" : fmt::format("{}: {} of {} weights have a counterpart", prefix, compared, listed);
}

std::string train(const fs::path& model, const SafetensorsReader& file) {
  UNet net(UNetConfig::from_json(read_file(model / "config.json", size_t{1} << 20), "config.json"));
  load_state_dict(model / "diffusion_pytorch_model.safetensors", net);
  net.train();
  FlatParameters flat(net);
  Adam adam(flat, {.lr = kLearningRate});
  Ema ema(flat, {.decay = kEmaDecay});
  const NoiseSchedule schedule = linear_schedule(1000, 1e-4, 0.02, TablePrecision::f32);
  const Tensor x0 = file.read("x0"), noise = file.read("noise"), t = file.read("t");
  const auto losses = file.read("loss").to_vector(), norms = file.read("grad_norm").to_vector();
  for (int64_t step = 0; step < x0.size(0); ++step) {
    const Tensor now = select(t, 0, step), eps = select(noise, 0, step);
    const Tensor x_t = q_sample(schedule, select(x0, 0, step), now, eps);
    flat.zero_grad();
    const Variable loss = mse_loss(net(Variable(x_t), now), Variable(eps));
    loss.backward();
    const double norm = gradient_norm(flat.gradients());
    adam.step(flat.gradients(), kLearningRate, clip_coefficient(norm, kMaxNorm));
    ema.update();
    std::string problem = compare_number("loss", step + 1, loss.item(), losses.at(static_cast<size_t>(step)));
    if (problem.empty()) problem = compare_number("grad_norm", step + 1, norm, norms.at(static_cast<size_t>(step)));
    if (!problem.empty()) return problem;
  }
  const std::string problem = compare_weights(file, "final", net.state_dict());
  return problem.empty() ? compare_weights(file, "ema", ema.as_state_dict(net)) : problem;
}

std::string run(const fs::path& folder) {
  std::ifstream stream(folder / "training.json");
  const auto description = nlohmann::json::parse(stream);
  if (description.value("dropout", 0.0) != 0.0) throw NotBuilt("training with dropout has no reference randomness");
  const SafetensorsReader file(folder / "training.safetensors");
  return first_problem(network_ways(), [&] { return train(folder / "unet_ddpm", file); });
}

}  // namespace

std::vector<CaseResult> replay_training(const fs::path& folder) {
  for (const char* needed : {"training.json", "training.safetensors", "unet_ddpm/config.json"}) {
    if (!fs::exists(folder / needed)) return {};
  }
  CaseResult result{"training", CaseResult::passed, {}};
  try {
    result.message = run(folder);
    if (!result.message.empty()) result.status = CaseResult::failed;
  } catch (const NotBuilt& missing) {
    result = {result.name, CaseResult::pending, missing.what()};
  } catch (const std::exception& error) {
    result = {result.name, CaseResult::failed, error.what()};
  }
  return {result};
}

}  // namespace sfumato::golden
