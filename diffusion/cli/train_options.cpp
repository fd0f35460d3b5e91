// The command line of `sfumato train`.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include "diffusion/cli/options.h"
#include "diffusion/cli/train.h"
#include "diffusion/cli/verbs.h"
#include "diffusion/data/open.h"
#include "diffusion/train/config.h"

namespace sfumato::cli {
namespace {

std::string data_help() {
  std::string names;
  for (const std::string& name : dataset_names()) {
    names += name + ", ";
  }
  return names + "or a folder: MNIST's idx files, CIFAR's binaries, or PNG and JPEG pictures";
}

}  // namespace

Verb add_train(CLI::App& app, Common& common) {
  auto arguments = std::make_shared<TrainArguments>();
  CLI::App* verb = app.add_subcommand("train", "Train a model from a preset or a configuration file");
  verb->add_option("--data", arguments->data, data_help())
      ->type_name("NAME|DIR")
      ->check(suggestions(dataset_names()))
      ->required();
  verb->add_option("--out", arguments->out, "Run directory")->type_name("DIR")->required();
  const std::vector<std::string_view> names = preset_names();
  auto* preset = verb->add_option("--preset", arguments->preset,
                                  fmt::format("Start from a built-in configuration: {}", fmt::join(names, ", ")))
                     ->type_name("NAME")
                     ->check(suggestions({names.begin(), names.end()}))
                     ->group("Configuration");
  verb->add_option("--config", arguments->config_file, "Start from a TOML file (docs/configuration.md)")
      ->type_name("FILE")
      ->excludes(preset)
      ->group("Configuration");
  verb->add_option("--set", arguments->assignments, "Change one key: --set lr=1e-4; may be given again")
      ->type_name("KEY=VALUE")
      ->group("Configuration");
  verb->add_option("--steps", arguments->steps, "Optimiser steps (the key `steps`)")
      ->check(whole_number())
      ->group("Configuration");
  verb->add_option("--seed", arguments->seed, "Random seed (the key `seed`)")
      ->check(whole_number())
      ->group("Configuration");
  verb->add_flag("--resume", arguments->resume, "Go on with the run in --out, or start it");
  verb->add_flag("--force", arguments->force, "Replace the run in --out; with --resume it is without effect");
  verb->add_flag("--allow-mismatch", arguments->allow_mismatch,
                 "Let --resume go on with other threads, instruction set or library versions");
  verb->add_option("--time-limit", arguments->time_limit_minutes,
                   "Stop training after so many minutes and finish with what was learned")
      ->type_name("MINUTES")
      ->check(real_number(0.001));
  const char* ranks = "On several processes, under mpirun or srun";
  verb->add_flag("--zero1", arguments->zero1,
                 "Share Adam's moments out over the ranks (ZeRO-1): less memory, same bits")
      ->group(ranks);
  verb->add_option("--check-ranks-every", arguments->check_ranks_every,
                   "Compare the weights of all ranks every so many steps (default 100; 0: never)")
      ->check(whole_number(0))
      ->group(ranks);
  verb->add_option("--bucket-mib", arguments->bucket_mib,
                   "Size of the pieces in which gradients are exchanged (default 1)")
      ->check(real_number(0.001, 1024))
      ->group(ranks);
  verb->add_flag("--plain-exchange", arguments->plain_exchange,
                 "Exchange gradients after the backward pass and not during it, to compare")
      ->group(ranks);
  add_common_options(*verb, common);
  verb->footer(R"(Examples:
  sfumato train --preset fashion-small --data fashion-mnist --out runs/fashion
  sfumato train --preset fashion-small --data fashion-mnist --out runs/fashion --resume
  sfumato train --preset fashion-small-class --data fashion-mnist --out runs/classes
  sfumato train --preset swissroll --data swissroll --out runs/swissroll
  mpirun -n 4 sfumato train --preset fashion-small --data fashion-mnist --out runs/fashion --resume
  sfumato train --config my.toml --data ~/mnist --out runs/mnist --set batch_size=64 --set unet.dropout=0.1

Ctrl-C finishes the step, saves and says how to go on (a second one stops at once).)");
  return [arguments, &common] {
    apply(common);
    return train(*arguments, common);
  };
}

}  // namespace sfumato::cli
