// The table is complete: every op that puts itself on the tape, and every function that the op headers offer, has a
// row.
#include "catch.h"

#include <filesystem>
#include <fstream>
#include <map>
#include <regex>
#include <set>
#include <sstream>

#include "autograd/node.h"
#include "autograd/variable_state.h"
#include "tests/ops/table/check.h"

using namespace sfumato;
using namespace sfumato::testing;
namespace fs = std::filesystem;

namespace {

std::string read_source(const fs::path& path) {
  std::ifstream file(path);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

std::set<std::string> matches_in(const fs::path& folder, const std::string& extension, const std::regex& pattern) {
  std::set<std::string> found;
  for (const auto& entry : fs::directory_iterator(fs::path(SFUMATO_SOURCE_DIR) / folder)) {
    if (entry.path().extension() != extension) continue;
    const std::string text = read_source(entry.path());
    for (std::sregex_iterator match(text.begin(), text.end(), pattern), end; match != end; ++match) {
      found.insert((*match)[1]);
    }
  }
  return found;
}

// The names of all nodes behind a variable.
void collect_names(const Variable& out, std::set<std::string>& names) {
  std::vector<Node*> stack;
  std::set<Node*> seen;
  const auto visit = [&](const auto& node) {
    if (node != nullptr && seen.insert(&*node).second) stack.push_back(&*node);
  };
  if (out.defined()) visit(out.state()->producer);
  while (!stack.empty()) {
    Node* node = stack.back();
    stack.pop_back();
    names.insert(node->name());
    std::vector<Edge*> edges(static_cast<size_t>(node->input_count()));
    node->collect_edges(edges.data());
    for (const Edge* edge : edges) visit(edge->node);
  }
}

// Runs a row's samples forward, backward and backward again.
void collect_names(const Row& row, std::set<std::string>& names) {
  for (int64_t number = 0; number < 8; ++number) {
    Draw draw(row.name, DType::f64, Sizes::small, number);
    const Sample sample = row.draw(draw);
    const auto leaves = leaves_of(sample, DType::f64, Layout::contiguous, true);
    const Variable out = sample.call(leaves);
    collect_names(out, names);
    if (!out.requires_grad()) continue;
    const Variable cotangent(ones_like(out.tensor()), true);
    for (const Variable& gradient : grad(out, leaves, cotangent, {.create_graph = true})) {
      collect_names(gradient, names);
    }
  }
}

constexpr const char* kCreated = "computes nothing of its input: tests/ops/creation_test.cpp";

// Ops, and functions of the op headers, that have no row, each with its reason.
const std::map<std::string, std::string> kWithoutRow{
    {"record_indexed", "records for max, sort and their like, under their names"},
    {"widened", "is to()"},
    {"to", "its dtypes are the point: tests/ops/cast_test.cpp"},
    {"silu_backward", "the fused gradient of silu, compared with the composed one by silu's row"},
    {"arange", kCreated},
    {"empty", kCreated},
    {"empty_like", kCreated},
    {"eye", kCreated},
    {"full", kCreated},
    {"full_like", kCreated},
    {"linspace", kCreated},
    {"one_hot", kCreated},
    {"ones", kCreated},
    {"ones_like", kCreated},
    {"scalar", kCreated},
    {"tensor_of", kCreated},
    {"zeros", kCreated},
    {"zeros_like", kCreated},
};

}  // namespace

TEST_CASE("table: every op that is recorded is reached from a row", "[table][coverage]") {
  if (all_rows().size() < 50) return;  // SFUMATO_TEST_OPS
  std::set<std::string> reached;
  for (const Row& row : all_rows()) {
    if (row.differentiable) collect_names(row, reached);
  }
  const auto recorded =
      matches_in("autograd/ops", ".cpp", std::regex("record(?:_list|_joint)?\\(\\s*\"([a-z0-9_]+)\""));
  REQUIRE(recorded.size() > 50);
  for (const std::string& name : recorded) {
    CAPTURE(name);
    CHECK(reached.count(name) + kWithoutRow.count(name) == 1);
  }
}

TEST_CASE("table: every function of the op headers has a row", "[table][coverage]") {
  if (all_rows().size() < 50) return;  // SFUMATO_TEST_OPS
  std::set<std::string> names;
  for (const Row& row : all_rows()) names.insert(row.name);
  CHECK(names.size() == all_rows().size());
  const std::regex declaration(
      "\n(?:Variable|Tensor|std::vector<Variable>|std::vector<Tensor>|[A-Z]\\w+Result|"
      "[A-Z]\\w+Variables) (\\w+)\\(");
  for (const char* folder : {"autograd/ops", "tensor/ops"}) {
    for (const std::string& name : matches_in(folder, ".h", declaration)) {
      CAPTURE(folder, name);
      CHECK(names.count(name) + kWithoutRow.count(name) == 1);
    }
  }
}
