// Completion for bash, made from the command line's own description: verbs, options, values, presets, configuration
// keys, files and folders. Nothing is listed a second time.
//
//   source <(sfumato completion bash)          # in ~/.bashrc; an installed sfumato is found by bash-completion itself
#pragma once

#include <CLI/CLI.hpp>

#include <string>

namespace sfumato::cli {

// A script that registers a completion function for the command `app`, all of whose verbs have been added.
std::string bash_completion(const CLI::App& app);

}  // namespace sfumato::cli
