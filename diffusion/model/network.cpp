#include "diffusion/model/network.h"

#include <nlohmann/json.hpp>

#include "diffusion/model/mlp.h"
#include "diffusion/model/unet.h"
#include "tensor/dry_run.h"
#include "tensor/io/json.h"

namespace sfumato {
namespace {

template <class Network, class Config>
std::unique_ptr<DenoisingNetwork> build(std::string_view text, std::string_view source) {
  return std::make_unique<Network>(Config::from_json(text, source));
}

constexpr NetworkKind kKinds[] = {
    {"UNet2DModel", "diffusers", "unet", &build<UNet, UNetConfig>},
    {"MlpDenoiser", "sfumato", "mlp", &build<MlpDenoiser, MlpConfig>},
};

}  // namespace

Variable DenoisingNetwork::operator()(const Variable& x, const Tensor& t, const Tensor& labels) const {
  const ModuleScope at_work(*this);
  check(x.dim() >= 1 && t.dim() == 1 && t.numel() == x.size(0), class_name(), ": t must be (",
        x.dim() >= 1 ? x.size(0) : 0, "), got ", t.shape());
  check_labels(labels, x.size(0));
  return forward(x, t, labels);
}

void DenoisingNetwork::check_labels(const Tensor& labels, int64_t batch) const {
  const int64_t classes = num_classes();
  if (classes == 0) {
    check(!labels.defined(), class_name(), ": this network takes no labels");
    return;
  }
  check(labels.defined(), class_name(), ": labels are missing: this network tells ", classes, " classes apart");
  check(labels.dtype() == DType::i64 && labels.shape() == Shape{batch}, class_name(), ": labels must be i64 (", batch,
        "), got ", labels.dtype(), " ", labels.shape());
  if (dry_run()) {
    return;  // there are no values
  }
  for (const double label : labels.to_vector()) {
    check(label >= 0 && label < static_cast<double>(classes), class_name(), ": label ", label, " is not in 0..",
          classes - 1);
  }
}

std::span<const NetworkKind> network_kinds() { return kKinds; }

const NetworkKind& network_kind(std::string_view class_name) {
  std::string known;
  for (const NetworkKind& kind : kKinds) {
    if (kind.class_name == class_name) {
      return kind;
    }
    known += (known.empty() ? "" : ", ") + std::string(kind.class_name);
  }
  detail::fail("network class '", class_name, "' is not supported (", known, " are)");
}

std::unique_ptr<DenoisingNetwork> network_from_json(std::string_view text, std::string_view source) {
  const auto json = parse_json(text, source);
  // What is no JSON object is left to the reader of the usual class, which says what is wrong with it.
  std::string name = "UNet2DModel";
  if (json.is_object() && json.contains("_class_name")) {
    const auto& value = json["_class_name"];
    check(value.is_string(), source, ": _class_name must be a string, got ", value.dump());
    name = value.get<std::string>();
  }
  try {
    return network_kind(name).from_json(text, source);
  } catch (const Error& error) {
    const std::string_view message = error.what();
    if (message.starts_with(source)) {
      throw;
    }
    detail::fail(source, ": ", message);
  }
}

}  // namespace sfumato
