// What verbs that write a file check before the work, not after it.
//
//   require_writable_folder(arguments.out);                     // throws CannotCreate
//   option->check(ends_in({".png", ".svg"}));                   // CLI11's form: an empty text is consent
#pragma once

#include <functional>
#include <string>
#include <vector>

namespace sfumato::cli {

// Throws CannotCreate (diffusion/train/run_directory.h) when no file can be made where `out` would be.
void require_writable_folder(const std::string& out);

// A check for CLI11 that a path has one of these endings.
std::function<std::string(const std::string&)> ends_in(std::vector<std::string> endings);

}  // namespace sfumato::cli
