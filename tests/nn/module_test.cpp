#include "nn/module.h"

#include <unistd.h>
#include <filesystem>
#include <memory>
#include <optional>

#include "catch.h"
#include "nn/layers.h"
#include "nn/state_dict.h"

using namespace sfumato;

namespace {

// One of each kind of member.
struct Block : Module {
  Linear linear{3, 2};
  std::optional<Linear> shortcut;
  explicit Block(bool with_shortcut) {
    if (with_shortcut) {
      shortcut.emplace(3, 2, /*bias=*/false);
    }
  }
  void visit(Visitor& v) override { v("linear", linear)("shortcut", shortcut); }
};

struct Net : Module {
  Parameter scale{{2}, InitRule::ones()};
  Tensor table = full({2, 2}, 7.0);
  ModuleList<Block> blocks;
  std::vector<std::unique_ptr<Dropout>> drops;
  Net() {
    blocks.emplace_back(false);
    blocks.emplace_back(true);
    drops.push_back(std::make_unique<Dropout>(0.5));
    drops.push_back(std::make_unique<Dropout>(0.5));
  }
  void visit(Visitor& v) override { v("scale", scale)("table", table)("blocks", blocks)("drops", drops); }
};

std::vector<std::string> names_of(const NamedTensors& tensors) {
  std::vector<std::string> names;
  for (const auto& entry : tensors) {
    names.push_back(entry.first);
  }
  return names;
}

std::string message_of(const std::function<void()>& f) {
  try {
    f();
  } catch (const Error& error) {
    return error.what();
  }
  return "nothing was thrown";
}

}  // namespace

TEST_CASE("module: names are PyTorch's, in visit order, for every kind of member", "[nn]") {
  Net net;
  initialize(net, 0);
  CHECK(names_of(net.state_dict()) == std::vector<std::string>{"scale", "table", "blocks.0.linear.weight",
                                                               "blocks.0.linear.bias", "blocks.1.linear.weight",
                                                               "blocks.1.linear.bias", "blocks.1.shortcut.weight"});
  std::vector<std::string> parameters;
  for (const NamedParameter& parameter : net.named_parameters()) {
    CHECK(parameter.variable.requires_grad());
    parameters.push_back(parameter.name);
  }
  CHECK(parameters.size() == 6);  // the buffer is not among them
  CHECK(net.parameters().size() == 6);
  CHECK(net.num_parameters() == 2 + 8 + 8 + 6);
}

TEST_CASE("module: a parameter without values says what to do, but can be counted and printed", "[nn]") {
  Net net;
  CHECK(net.num_parameters() == 24);
  CHECK_THAT(to_string(net), ContainsSubstring("Net  24 parameters") && ContainsSubstring("weight (2, 3)") &&
                                 ContainsSubstring("blocks.1: Block") && ContainsSubstring("table (2, 2) buffer"));
  CHECK_THAT(message_of([&] { net.parameters(); }), ContainsSubstring("initialize(module, seed)"));
  CHECK_THAT(message_of([&] { net.blocks[0].linear(full({1, 3}, 1.0)); }), ContainsSubstring("no values yet"));
}

TEST_CASE("module: load_state_dict lists every misfit at once and changes nothing", "[nn]") {
  Net net;
  initialize(net, 0);
  const double before = net.scale->tensor().to_vector()[0];
  NamedTensors tensors;
  for (auto& [name, tensor] : net.state_dict()) {
    tensors.emplace_back(name, tensor.clone());
  }
  tensors[0].second.fill(3.0);
  tensors[1].first = "tabel";
  tensors[2].second = zeros({3, 2});
  tensors[3].second = zeros({2}, DType::i64);
  const std::string message = message_of([&] { net.load_state_dict(tensors, "weights.safetensors"); });
  CHECK_THAT(message, ContainsSubstring("weights.safetensors") && ContainsSubstring("missing (1): table") &&
                          ContainsSubstring("unexpected (1): tabel") &&
                          ContainsSubstring("blocks.0.linear.weight is (3, 2), must be (2, 3)") &&
                          ContainsSubstring("blocks.0.linear.bias is i64"));
  CHECK(net.scale->tensor().to_vector()[0] == before);
  tensors[1].first = "scale";
  CHECK_THAT(message_of([&] { net.load_state_dict(tensors); }), ContainsSubstring("'scale' twice"));
}

TEST_CASE("module: load_state_dict writes into the memory that a parameter has", "[nn]") {
  Net net;
  initialize(net, 0);
  const Tensor memory = net.scale->tensor();
  NamedTensors tensors;
  for (auto& [name, tensor] : net.state_dict()) {
    tensors.emplace_back(name, full(tensor.shape(), 2.5, DType::f64));  // converted on the way
  }
  net.load_state_dict(tensors);
  CHECK(net.scale->tensor().shares_storage_with(memory));
  CHECK(net.scale->dtype() == DType::f32);
  CHECK(memory.to_vector() == std::vector<double>{2.5, 2.5});
  CHECK(net.table.to_vector()[3] == 2.5);
}

TEST_CASE("module: weights survive a safetensors file", "[nn]") {
  Net net, other;
  initialize(net, 1);
  const auto path =
      std::filesystem::temp_directory_path() / ("sfumato_module_test_" + std::to_string(getpid()) + ".safetensors");
  save_state_dict(path, net);
  load_state_dict(path, other);  // fills parameters that had no values
  std::filesystem::remove(path);
  const NamedTensors a = net.state_dict(), b = other.state_dict();
  REQUIRE(names_of(a) == names_of(b));
  for (size_t i = 0; i < a.size(); ++i) {
    CHECK(a[i].second.to_vector() == b[i].second.to_vector());
  }
  CHECK(other.drops[1]->path() == "drops.1");
}

TEST_CASE("module: train and eval reach every sub-module", "[nn]") {
  Net net;
  CHECK(net.drops[1]->is_training());
  net.eval();
  CHECK_FALSE(net.is_training());
  CHECK_FALSE(net.drops[1]->is_training());
  CHECK_FALSE(net.blocks[1].shortcut->is_training());
  net.train();
  CHECK(net.drops[0]->is_training());
}

TEST_CASE("module: paths follow a module into the tree that it has been moved to", "[nn]") {
  Block block(false);
  CHECK_THAT(message_of([&] { block.linear.path(); }), ContainsSubstring("does not know its path"));
  block.train();
  CHECK(block.linear.path() == "linear");
  Net net;
  net.blocks[0] = std::move(block);
  net.train();
  CHECK(net.blocks[0].linear.path() == "blocks.0.linear");
  net.blocks[0].eval();  // called on a part, it must not cut the path short
  CHECK(net.blocks[0].linear.path() == "blocks.0.linear");
  Net moved = std::move(net);
  CHECK(moved.blocks[0].linear.path() == "blocks.0.linear");
}

TEST_CASE("module: to() converts parameters and buffers", "[nn]") {
  Net net;
  initialize(net, 0);
  net.to(DType::f64);
  CHECK(net.scale->dtype() == DType::f64);
  CHECK(net.scale->requires_grad());
  CHECK(net.table.dtype() == DType::f64);
}

TEST_CASE("initialize: values depend on the seed and the path alone", "[nn]") {
  Net a, b, c;
  initialize(a, 5);
  initialize(b, 5);
  initialize(c, 6);
  const auto weight = [](const Net& net, size_t i) { return net.blocks[i].linear.weight->tensor().to_vector(); };
  CHECK(weight(a, 0) == weight(b, 0));
  CHECK(weight(a, 0) != weight(c, 0));
  CHECK(weight(a, 0) != weight(a, 1));  // each path has a stream of its own
  initialize(b.blocks[1], 5);           // a part that knows its path draws what the root would
  CHECK(weight(a, 1) == weight(b, 1));
  CHECK(a.scale->tensor().to_vector() == std::vector<double>{1, 1});
}
