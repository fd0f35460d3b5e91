// Activations by name; those that are not single ops are compositions, so that every order of derivative exists.
#include "diffusion/model/activation.h"

namespace sfumato {

Activation parse_activation(std::string_view name) {
  if (name == "silu" || name == "swish") return Activation::silu;
  if (name == "mish") return Activation::mish;
  if (name == "gelu") return Activation::gelu;
  if (name == "relu") return Activation::relu;
  detail::fail("unet: act_fn '", name, "' is not supported (silu, swish, mish, gelu and relu are)");
}

Variable activate(Activation activation, const Variable& x) {
  switch (activation) {
    case Activation::silu: return silu(x);
    case Activation::mish: return x * tanh(softplus(x));
    case Activation::gelu: return gelu(x);
    case Activation::relu: return relu(x);
  }
  detail::fail_internal("activate: unknown activation");
}

Variable normalized(const GroupNorm& norm, const Variable& x, Activation activation) {
  return activation == Activation::silu ? norm.forward_silu(x) : activate(activation, norm(x));
}

}  // namespace sfumato
