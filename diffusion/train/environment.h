// What a run's bits depend on besides its configuration: instruction set, threads, library versions.
#pragma once

#include <string>

namespace sfumato {

inline constexpr const char* kVersion = "0.1.0";

// A JSON object, sorted, with a newline at the end: env.json, and what `sfumato info --json` prints.
std::string environment_json();

}  // namespace sfumato
