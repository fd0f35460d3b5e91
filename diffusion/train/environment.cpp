#include "diffusion/train/environment.h"

#include <nlohmann/json.hpp>

#include "tensor/backend/backend.h"
#include "tensor/backend/info.h"
#include "tensor/parallel.h"

namespace sfumato {

std::string environment_json() {
  nlohmann::json json;
  json["sfumato"] = kVersion;
  json["backend"] = backend() == Backend::fast ? "fast" : "reference";
  json["instruction_set"] = instruction_set_name();
  json["onednn"] = onednn_version();
  json["threads"] = num_threads();
  json["compiler"] = __VERSION__;
  return json.dump(2) + "\n";
}

}  // namespace sfumato
