// Replays reference vectors (tests/golden, or another set in the same format): one result per case found.
//
//   for (const CaseResult& result : replay_samplers("tests/golden")) CHECK(result.status != CaseResult::failed);
//
// A file that is not in the folder gives an empty list. A case whose algorithm is not known is `pending`; whether that
// is an error is for the caller to say.
#pragma once

#include <filesystem>
#include <stdexcept>
#include <string>
#include <vector>

namespace sfumato::golden {

struct CaseResult {
  std::string name;
  enum { passed, failed, pending } status = failed;
  std::string message;  // why it failed
};

// Thrown inside a replay for an op, argument or layer that does not exist here: the case is then `pending`.
struct NotBuilt : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// schedules.safetensors: betas and alphas_cumprod of each beta schedule, default arguments, T = their length.
std::vector<CaseResult> replay_schedules(const std::filesystem::path& folder);

// samplers.json and samplers.safetensors: whole trajectories with the stand-in model named in the JSON.
std::vector<CaseResult> replay_samplers(const std::filesystem::path& folder);

// optim.json and optim.safetensors: steps of SGD, Adam and AdamW on given gradients, f32.
std::vector<CaseResult> replay_optim(const std::filesystem::path& folder);

// ops.json and ops.safetensors: values and gradients of single ops, in f64 on the reference and in f32 on each backend.
std::vector<CaseResult> replay_ops(const std::filesystem::path& folder);

// second.json and second.safetensors: derivatives of sum_i <direction_i, gradient of input i>, in f64.
std::vector<CaseResult> replay_second(const std::filesystem::path& folder);

// Every folder with config.json and io.safetensors: a U-Net's output and all of its gradients, f32.
std::vector<CaseResult> replay_unets(const std::filesystem::path& folder);

// training.json, training.safetensors and unet_ddpm/: 20 optimiser steps, f32.
std::vector<CaseResult> replay_training(const std::filesystem::path& folder);

}  // namespace sfumato::golden
