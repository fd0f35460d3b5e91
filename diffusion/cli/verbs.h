// The verbs of the `sfumato` command. Each adds itself to the command line and runs when it was chosen.
//
// Human text goes to stderr; stdout belongs to what was asked for: nothing, or one JSON object with --json.
#pragma once

#include <CLI/CLI.hpp>

#include <functional>
#include <memory>

#include "nn/distributed/process_group.h"

namespace sfumato::cli {

// What every verb shares.
struct Common {
  int threads = 0;  // 0: all that this process may use
  bool json = false;
  // The processes that work on this call, for verbs that share their work out: those that join().
  std::unique_ptr<ProcessGroup> group;
  ProcessGroup& join();
};

// Runs the chosen verb; returns its exit code.
using Verb = std::function<int()>;

Verb add_train(CLI::App& app, Common& common);
Verb add_sample(CLI::App& app, Common& common);
Verb add_evaluate(CLI::App& app, Common& common);
Verb add_forward(CLI::App& app, Common& common);
Verb add_inspect(CLI::App& app, Common& common);
Verb add_convert(CLI::App& app, Common& common);
Verb add_info(CLI::App& app, Common& common);
Verb add_completion(CLI::App& app, Common& common);

// --threads and --json.
void add_common_options(CLI::App& verb, Common& common);
// Sets the threads. Throws ConfigError when a SFUMATO_ variable of the environment has no meaning.
void apply(const Common& common);

}  // namespace sfumato::cli
