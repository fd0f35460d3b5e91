#include "tests/golden_runner/op_table.h"

#include <cmath>
#include <sstream>

#include "tests/golden_runner/runner.h"

namespace sfumato::golden {
namespace {

using Op = Variable (*)(const OpCall&);
using Table = std::map<std::string, Op>;

// An argument that exists here with one value only.
template <class T>
void require_value(const OpCall& call, const std::string& name, const T& value) {
  if (!(call.arg<T>(name, value) == value)) {
    throw NotBuilt(fmt::format("{}: only {} = {} is built", call.op(), name, value));
  }
}

// One number for both image dimensions, or a list of one or two.
Pair2d pair_arg(const OpCall& call, const std::string& name) {
  const Dims values = call.dims(name);
  if (values.rank() < 1 || values.rank() > 2) throw NotBuilt(call.op() + ": " + name + " must be one number or two");
  return {values[0], values[values.rank() - 1]};
}
Pair2d pair_arg(const OpCall& call, const std::string& name, int64_t otherwise) {
  return call.arg(name, nlohmann::json()).is_null() ? Pair2d(otherwise) : pair_arg(call, name);
}

Reduction reduction_of(const OpCall& call) {
  const auto name = call.arg<std::string>("reduction", "mean");
  if (name == "mean") return Reduction::mean;
  if (name == "sum") return Reduction::sum;
  if (name == "none") return Reduction::none;
  throw NotBuilt(call.op() + ": unknown reduction " + name);
}

template <Variable (*F)(const Variable&)>
Variable unary(const OpCall& call) {
  return F(call.input("x"));
}
template <Variable (*F)(const Variable&, const Variable&)>
Variable binary(const OpCall& call) {
  return F(call.input("a"), call.input("b"));
}
template <Variable (*F)(const Variable&, const Dims&, bool)>
Variable reduction(const OpCall& call) {
  return F(call.input("x"), call.dims("dim"), call.arg("keepdim", false));
}
template <Variable (*F)(const Variable&, int64_t)>
Variable along(const OpCall& call) {
  return F(call.input("x"), call.arg<int64_t>("dim"));
}

void add_elementwise(Table& table) {
  table["abs"] = unary<abs>;
  table["cos"] = unary<cos>;
  table["erf"] = unary<erf>;
  table["exp"] = unary<exp>;
  table["expm1"] = unary<expm1>;
  table["log"] = unary<log>;
  table["log1p"] = unary<log1p>;
  table["neg"] = unary<neg>;
  table["reciprocal"] = unary<reciprocal>;
  table["relu"] = unary<relu>;
  table["rsqrt"] = unary<rsqrt>;
  table["sigmoid"] = unary<sigmoid>;
  table["silu"] = unary<silu>;
  table["sin"] = unary<sin>;
  table["softplus"] = unary<softplus>;
  table["sqrt"] = unary<sqrt>;
  table["square"] = unary<square>;
  table["tanh"] = unary<tanh>;
  table["add"] = binary<add>;
  table["div"] = binary<div>;
  table["maximum"] = binary<maximum>;
  table["minimum"] = binary<minimum>;
  table["mul"] = binary<mul>;
  table["sub"] = binary<sub>;
  table["clamp"] = [](const OpCall& call) {
    return clamp(call.input("x"), call.arg<double>("min", -INFINITY), call.arg<double>("max", INFINITY));
  };
  table["gelu"] = [](const OpCall& call) {
    const auto approximate = call.arg<std::string>("approximate", "none");
    if (approximate != "none" && approximate != "tanh") throw NotBuilt("gelu: approximate = " + approximate);
    return gelu(call.input("x"), approximate == "tanh" ? GeluApproximation::tanh : GeluApproximation::none);
  };
  table["leaky_relu"] = [](const OpCall& call) {
    return leaky_relu(call.input("x"), call.arg("negative_slope", 0.01));
  };
  table["pow"] = [](const OpCall& call) { return pow(call.input("x"), call.arg<double>("exponent")); };
  table["where"] = [](const OpCall& call) { return where(call.tensor("cond"), call.input("a"), call.input("b")); };
  table["masked_fill"] = [](const OpCall& call) {
    return masked_fill(call.input("x"), call.tensor("mask"), call.arg<double>("value"));
  };
}

void add_reductions(Table& table) {
  table["sum"] = reduction<sum>;
  table["mean"] = reduction<mean>;
  table["amax"] = reduction<amax>;
  table["amin"] = reduction<amin>;
  table["logsumexp"] = reduction<logsumexp>;
  table["var"] = [](const OpCall& call) {
    return var(call.input("x"), call.dims("dim"), call.arg<int64_t>("correction", 1), call.arg("keepdim", false));
  };
  table["softmax"] = along<softmax>;
  table["log_softmax"] = along<log_softmax>;
  table["cumsum"] = [](const OpCall& call) {
    return cumsum(call.input("x"), call.arg<int64_t>("dim"), call.arg("reverse", false));
  };
}

// "transpose(0,2)": what is done to x before the op itself, to make it strided.
Variable prepare(const Variable& x, const std::string& before) {
  const size_t open = before.find('('), close = before.find(')');
  if (open == std::string::npos || close == std::string::npos) throw NotBuilt("before: " + before);
  const std::string name = before.substr(0, open);
  Dims numbers;
  std::istringstream list(before.substr(open + 1, close - open - 1));
  for (std::string number; std::getline(list, number, ',');) numbers.push_back(std::stoll(number));
  if (name == "transpose" && numbers.rank() == 2) return transpose(x, numbers[0], numbers[1]);
  if (name == "permute") return permute(x, numbers);
  throw NotBuilt("before: " + before);
}

void add_shapes(Table& table) {
  table["cat"] = [](const OpCall& call) { return cat(call.all_inputs(), call.arg<int64_t>("dim")); };
  table["stack"] = [](const OpCall& call) { return stack(call.all_inputs(), call.arg<int64_t>("dim")); };
  table["permute"] = [](const OpCall& call) { return permute(call.input("x"), call.dims("dims")); };
  table["expand"] = [](const OpCall& call) { return expand(call.input("x"), call.dims("shape")); };
  table["flip"] = [](const OpCall& call) { return flip(call.input("x"), call.dims("dim")); };
  table["reshape"] = [](const OpCall& call) {
    const Variable& x = call.input("x");
    return reshape(call.has("before") ? prepare(x, call.arg<std::string>("before")) : x, call.dims("shape"));
  };
  table["slice"] = [](const OpCall& call) {
    Variable x = call.input("x");
    for (const auto& entry : call.json("dims")) {
      const auto [dim, begin, end, step] = entry.get<std::array<int64_t, 4>>();
      x = slice(x, dim, begin, end, step);
    }
    return x;
  };
  table["pad"] = [](const OpCall& call) {
    require_value<std::string>(call, "mode", "constant");
    return pad(call.input("x"), call.dims("pad"), call.arg("value", 0.0));
  };
  table["index_select"] = [](const OpCall& call) {
    return index_select(call.input("x"), call.arg<int64_t>("dim"), call.tensor("index"));
  };
  table["gather"] = [](const OpCall& call) {
    return gather(call.input("x"), call.arg<int64_t>("dim"), call.tensor("index"));
  };
  table["embedding"] = [](const OpCall& call) { return embedding(call.input("weight"), call.tensor("index")); };
}

void add_products(Table& table) {
  table["matmul"] = binary<matmul>;
  table["linear"] = [](const OpCall& call) {
    return linear(call.input("x"), call.input("weight"), call.optional_input("bias"));
  };
  table["conv2d"] = [](const OpCall& call) {
    const Variable &x = call.input("x"), &weight = call.input("weight");
    Conv2dOptions o{.stride = pair_arg(call, "stride", 1),
                    .dilation = pair_arg(call, "dilation", 1),
                    .groups = call.arg<int64_t>("groups", 1)};
    const auto padding = call.arg("padding", nlohmann::json());
    if (padding == "same") {
      o = same_padding({weight.size(2), weight.size(3)}, o);
    } else if (padding != "valid") {
      o.padding = pair_arg(call, "padding", 0);
    }
    return conv2d(x, weight, call.optional_input("bias"), o);
  };
  table["conv_transpose2d"] = [](const OpCall& call) {
    return conv_transpose2d(call.input("x"), call.input("weight"), call.optional_input("bias"),
                            {.stride = pair_arg(call, "stride", 1),
                             .padding = pair_arg(call, "padding", 0),
                             .output_padding = pair_arg(call, "output_padding", 0),
                             .dilation = pair_arg(call, "dilation", 1),
                             .groups = call.arg<int64_t>("groups", 1)});
  };
}

// Factors ("scale") or a size ("size") for both dimensions.
template <Interpolation Mode>
Variable resized(const OpCall& call) {
  const Variable& x = call.input("x");
  const bool align_corners = call.arg("align_corners", false);
  if (call.has("size")) return interpolate(x, pair_arg(call, "size"), Mode, align_corners);
  const Pair2d scale = pair_arg(call, "scale");
  return interpolate(x, {x.size(2) * scale.height, x.size(3) * scale.width}, Mode, align_corners);
}

Pool2dOptions pool_options(const OpCall& call) {
  return {.stride = pair_arg(call, "stride", 0),
          .padding = pair_arg(call, "padding", 0),
          .dilation = pair_arg(call, "dilation", 1),
          .ceil_mode = call.arg("ceil_mode", false),
          .count_include_pad = call.arg("count_include_pad", true)};
}

void add_images(Table& table) {
  table["upsample_nearest2d"] = [](const OpCall& call) {
    return call.has("size") ? resized<Interpolation::nearest>(call)
                            : upsample_nearest2d(call.input("x"), pair_arg(call, "scale"));
  };
  table["upsample_bilinear2d"] = resized<Interpolation::bilinear>;
  table["upsample_bicubic2d"] = resized<Interpolation::bicubic>;
  table["avg_pool2d"] = [](const OpCall& call) {
    return avg_pool2d(call.input("x"), pair_arg(call, "kernel"), pool_options(call));
  };
  table["max_pool2d"] = [](const OpCall& call) {
    return max_pool2d(call.input("x"), pair_arg(call, "kernel"), pool_options(call));
  };
  table["adaptive_avg_pool2d"] = [](const OpCall& call) {
    return adaptive_avg_pool2d(call.input("x"), pair_arg(call, "size"));
  };
}

void add_norms(Table& table) {
  table["group_norm"] = [](const OpCall& call) {
    return group_norm(call.input("x"), call.optional_input("weight"), call.optional_input("bias"),
                      {.num_groups = call.arg<int64_t>("num_groups"), .eps = call.arg("eps", 1e-5)});
  };
  table["layer_norm"] = [](const OpCall& call) {
    return layer_norm(call.input("x"), call.dims("normalized_shape"), call.optional_input("weight"),
                      call.optional_input("bias"), call.arg("eps", 1e-5));
  };
  table["rms_norm"] = [](const OpCall& call) {
    return rms_norm(call.input("x"), call.dims("normalized_shape"), call.optional_input("weight"),
                    call.arg<double>("eps"));
  };
  table["batch_norm"] = [](const OpCall& call) {
    return batch_norm(call.input("x"), call.optional_input("running_mean").tensor(),
                      call.optional_input("running_var").tensor(), call.optional_input("weight"),
                      call.optional_input("bias"),
                      {.training = call.arg("training", !call.has_input("running_mean")),
                       .momentum = call.arg("momentum", 0.1),
                       .eps = call.arg("eps", 1e-5)});
  };
  table["scaled_dot_product_attention"] = [](const OpCall& call) {
    return scaled_dot_product_attention(call.input("q"), call.input("k"), call.input("v"),
                                        {.attn_mask = call.optional_input("attn_mask"),
                                         .is_causal = call.arg("is_causal", false),
                                         .scale = call.arg("scale", 0.0)});
  };
}

void add_losses(Table& table) {
  table["mse_loss"] = [](const OpCall& call) {
    return mse_loss(call.input("input"), call.input("target"), reduction_of(call));
  };
  table["smooth_l1_loss"] = [](const OpCall& call) {
    return smooth_l1_loss(call.input("input"), call.input("target"), call.arg("beta", 1.0), reduction_of(call));
  };
  table["cross_entropy"] = [](const OpCall& call) {
    const Variable weight = call.optional_input("weight");
    return cross_entropy(call.input("input"), call.input("target"),
                         {.weight = weight.defined() ? weight.tensor() : Tensor(),
                          .ignore_index = call.arg<int64_t>("ignore_index", -100),
                          .label_smoothing = call.arg("label_smoothing", 0.0),
                          .reduction = reduction_of(call)});
  };
}

const Table& table() {
  static const Table all = [] {
    Table t;
    add_elementwise(t);
    add_reductions(t);
    add_shapes(t);
    add_products(t);
    add_images(t);
    add_norms(t);
    add_losses(t);
    return t;
  }();
  return all;
}

}  // namespace

OpCall::OpCall(const nlohmann::json& description, const std::map<std::string, Variable>& inputs)
    : op_(description.at("op").get<std::string>()),
      args_(description.value("args", nlohmann::json::object())),
      order_(description.at("inputs").get<std::vector<std::string>>()),
      inputs_(inputs) {}

const Variable& OpCall::input(const std::string& name) const {
  used_inputs_.insert(name);
  const auto found = inputs_.find(name);
  if (found == inputs_.end()) throw NotBuilt(op_ + ": there is no input " + name);
  return found->second;
}

Variable OpCall::optional_input(const std::string& name) const { return has_input(name) ? input(name) : Variable(); }

std::vector<Variable> OpCall::all_inputs() const {
  std::vector<Variable> all;
  for (const auto& name : order_) all.push_back(input(name));
  return all;
}

Dims OpCall::dims(const std::string& name) const {
  used_.insert(name);
  if (!has(name)) return {};
  const auto& value = args_.at(name);
  if (value.is_number_integer()) return {value.get<int64_t>()};
  return Dims(std::span<const int64_t>(value.get<std::vector<int64_t>>()));
}

void OpCall::require_arg(const std::string& name) const {
  used_.insert(name);
  if (!has(name)) throw NotBuilt(op_ + ": argument " + name + " is not given");
}

void OpCall::require_all_used() const {
  for (const auto& item : args_.items()) {
    if (used_.count(item.key()) == 0) throw NotBuilt(op_ + ": unknown argument " + item.key());
  }
  for (const auto& name : order_) {
    if (used_inputs_.count(name) == 0) throw NotBuilt(op_ + ": unknown input " + name);
  }
}

Variable call_op(const OpCall& call) {
  const auto found = table().find(call.op());
  if (found == table().end()) throw NotBuilt("no op " + call.op());
  Variable result = found->second(call);
  call.require_all_used();
  return result;
}

}  // namespace sfumato::golden
