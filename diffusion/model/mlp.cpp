#include "diffusion/model/mlp.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "tensor/io/json.h"

namespace sfumato {
namespace {

using Json = nlohmann::json;

struct MlpField {
  const char* key;
  int64_t MlpConfig::*value;
};

constexpr MlpField kFields[] = {
    {"depth", &MlpConfig::depth},           {"num_classes", &MlpConfig::num_classes},
    {"sample_dim", &MlpConfig::sample_dim}, {"time_embedding_dim", &MlpConfig::time_embedding_dim},
    {"width", &MlpConfig::width},
};

MlpConfig validated(const MlpConfig& config) {
  config.validate();
  return config;
}

}  // namespace

void MlpConfig::validate() const {
  check(sample_dim >= 1 && sample_dim <= 4096, "mlp: sample_dim must be in 1..4096, got ", sample_dim);
  check(width >= 1 && width <= 65536, "mlp: width must be in 1..65536, got ", width);
  check(depth >= 0 && depth <= 1000, "mlp: depth must be in 0..1000, got ", depth);
  check(time_embedding_dim >= 4 && time_embedding_dim <= 65536 && time_embedding_dim % 2 == 0,
        "mlp: time_embedding_dim must be even and in 4..65536, got ", time_embedding_dim);
  check(num_classes >= 0 && num_classes <= 65536, "mlp: num_classes must be in 0..65536, got ", num_classes);
}

std::string MlpConfig::to_json() const {
  Json json{{"_class_name", "MlpDenoiser"}};
  for (const MlpField& field : kFields) {
    json[field.key] = this->*field.value;
  }
  if (num_classes == 0) {
    json.erase("num_classes");
  }
  return json.dump(2) + "\n";
}

MlpConfig MlpConfig::from_json(std::string_view text, std::string_view source) {
  const Json json = parse_json(text, source);
  check(json.is_object(), source, ": expected a JSON object");
  MlpConfig config;
  for (const auto& [key, value] : json.items()) {
    if (key == "_class_name") {
      continue;
    }
    const auto* field =
        std::find_if(std::begin(kFields), std::end(kFields), [&key = key](const auto& f) { return key == f.key; });
    check(field != std::end(kFields), source, ": field '", key, "' is not known");
    check(value.is_number_integer(), source, ": field '", key, "' must be an integer, got ", value.dump());
    config.*field->value = value.get<int64_t>();
  }
  config.validate();
  return config;
}

MlpDenoiser::MlpDenoiser(const MlpConfig& config)
    : config_(validated(config)),
      time_embedding(config.time_embedding_dim, config.width),
      linear_in(config.sample_dim, config.width),
      linear_out(config.width, config.sample_dim, /*bias=*/true, Init::zeros) {
  if (config.num_classes > 0) {
    class_embedding.emplace(config.num_classes, config.width);
  }
  for (int64_t i = 0; i < config.depth; ++i) {
    blocks.emplace_back(config.width);
  }
}

void MlpDenoiser::visit(Visitor& v) {
  v("time_embedding", time_embedding)("class_embedding", class_embedding)("linear_in", linear_in)("blocks", blocks)(
      "linear_out", linear_out);
}

Variable MlpDenoiser::forward(const Variable& x, const Tensor& t, const Tensor& labels) const {
  check(x.dim() == 2 && x.size(1) == config_.sample_dim, "mlp: the input must be (N, ", config_.sample_dim, "), got ",
        x.shape());
  const Tensor features =
      timestep_embedding(t, config_.time_embedding_dim, /*flip_sin_to_cos=*/false, /*freq_shift=*/1, x.dtype());
  const Variable time = time_embedding(features);
  const Variable emb = silu(class_embedding ? time + (*class_embedding)(labels) : time);
  Variable h = linear_in(x);
  for (const MlpBlock& block : blocks) {
    h = block(h, emb);
  }
  return linear_out(silu(h));
}

}  // namespace sfumato
