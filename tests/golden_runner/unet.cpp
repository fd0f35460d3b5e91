// Replays U-Net folders: config.json, diffusion_pytorch_model.safetensors, and io.safetensors with x, t, class_labels
// where there are classes, y, dy, dx and `grad/<parameter>`.
#include <algorithm>

#include "diffusion/model/unet.h"
#include "nn/state_dict.h"
#include "tensor/backend/backend.h"
#include "tensor/io/file.h"
#include "tensor/io/safetensors.h"
#include "tests/golden_runner/compare.h"
#include "tests/golden_runner/runner.h"
#include "tests/golden_runner/ways.h"

namespace sfumato::golden {
namespace {

namespace fs = std::filesystem;

constexpr double kToleranceOut = 2e-4, kToleranceGradient = 1e-3;  // of the largest entry
// A parameter's gradient below this fraction of the largest among all parameters is rounding error around zero.
constexpr double kNoise = 1e-7;

UNetConfig read_config(const fs::path& folder) {
  try {
    return UNetConfig::from_json(read_file(folder / "config.json", size_t{1} << 20), "config.json");
  } catch (const Error& refused) {
    throw NotBuilt(refused.what());
  }
}

double largest_gradient(const SafetensorsReader& io) {
  double largest = 0;
  for (const auto& [name, entry] : io.entries()) {
    if (name.starts_with("grad/")) largest = std::max(largest, largest_entry(io.read(name)));
  }
  return largest;
}

// What is wrong on the backend in force; empty when nothing is.
std::string run_network(UNet& net, const SafetensorsReader& io) {
  net.zero_grad();
  const Variable x(io.read("x"), true);
  const Variable y = net(x, io.read("t"), io.contains("class_labels") ? io.read("class_labels") : Tensor());
  std::string problem = difference("y", y.tensor(), io.read("y"), {kToleranceOut});
  if (!problem.empty()) return problem;
  y.backward(Variable(io.read("dy")));
  problem = difference("dx", x.grad().tensor(), io.read("dx"), {kToleranceGradient});
  const double noise = kNoise * largest_gradient(io);
  const Bound bound{kToleranceGradient, noise, noise};
  int64_t compared = 0;
  for (const auto& [name, parameter] : net.named_parameters()) {
    if (!problem.empty()) return problem;
    problem = difference("grad/" + name, parameter.grad().tensor(), io.read("grad/" + name), bound);
    ++compared;
  }
  const int64_t listed = std::count_if(io.entries().begin(), io.entries().end(),
                                       [](const auto& entry) { return entry.first.starts_with("grad/"); });
  if (problem.empty() && listed != compared) {
    return fmt::format("{} parameters compared, the reference has {} gradients", compared, listed);
  }
  return problem;
}

std::string run_folder(const fs::path& folder) {
  const SafetensorsReader io(folder / "io.safetensors");
  UNet net(read_config(folder));
  load_state_dict(folder / "diffusion_pytorch_model.safetensors", net);
  net.eval();
  return first_problem(network_ways(), [&] { return run_network(net, io); });
}

}  // namespace

std::vector<CaseResult> replay_unets(const fs::path& folder) {
  std::vector<fs::path> folders;
  for (const auto& entry : fs::directory_iterator(folder)) {
    if (fs::exists(entry.path() / "config.json") && fs::exists(entry.path() / "io.safetensors")) {
      folders.push_back(entry.path());
    }
  }
  std::sort(folders.begin(), folders.end());
  std::vector<CaseResult> results;
  for (const auto& path : folders) {
    CaseResult result{path.filename().string(), CaseResult::passed, {}};
    try {
      result.message = run_folder(path);
      if (!result.message.empty()) result.status = CaseResult::failed;
    } catch (const NotBuilt& missing) {
      result = {result.name, CaseResult::pending, missing.what()};
    } catch (const std::exception& error) {
      result = {result.name, CaseResult::failed, error.what()};
    }
    results.push_back(result);
  }
  return results;
}

}  // namespace sfumato::golden
