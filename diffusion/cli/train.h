// The verb `train` in two files: its command line (train_options.cpp) and what it does (train.cpp).
//
//   return train({.preset = "fashion-small", .data = "fashion-mnist", .out = "runs/fashion"}, common);
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "diffusion/cli/verbs.h"

namespace sfumato::cli {

struct TrainArguments {
  std::string preset, config_file, data, out;
  std::vector<std::string> assignments;
  std::optional<int64_t> steps, seed;
  double time_limit_minutes = 0;
  bool resume = false, force = false, allow_mismatch = false;
  bool zero1 = false, plain_exchange = false;
  int64_t check_ranks_every = 100;
  double bucket_mib = 1;
};

// Returns the exit code.
int train(const TrainArguments& arguments, Common& common);

}  // namespace sfumato::cli
