// Replays ops.json/.safetensors: `<id>/in/<name>`, `<id>/out`, `<id>/cotangent`, `<id>/grad/<name>`.
#include <algorithm>
#include <fstream>

#include "tensor/backend/backend.h"
#include "tensor/io/safetensors.h"
#include "tests/golden_runner/compare.h"
#include "tests/golden_runner/op_table.h"
#include "tests/golden_runner/runner.h"

namespace sfumato::golden {
namespace {

using Json = nlohmann::json;
namespace fs = std::filesystem;

// The inputs are of order 1. In f32 an exact zero may cost 1e-5 and more: a norm over one element scales by 1 /
// sqrt(eps).
constexpr Bound kBound64{1e-9, 1e-10, 1e-11}, kBound32{1e-4, 1e-10, 1e-4}, kBoundSecond{1e-8, 1e-10, 1e-10};

Tensor to_dtype(const Tensor& x, DType dtype) { return is_floating(x.dtype()) ? x.to(dtype) : x; }

std::map<std::string, Variable> read_inputs(const SafetensorsReader& file,
                                            const Json& description,
                                            DType dtype,
                                            const std::vector<std::string>& differentiated) {
  std::map<std::string, Variable> inputs;
  const std::string id = description.at("id");
  for (const std::string name : description.at("inputs")) {
    const bool leaf = std::count(differentiated.begin(), differentiated.end(), name) > 0;
    // A clone, so that no gradient can alias the file's tensor.
    inputs[name] = Variable(to_dtype(file.read(id + "/in/" + name), dtype).clone(), leaf);
  }
  return inputs;
}

// What is wrong with a case in one dtype on the backend in force; empty when nothing is.
std::string run_op(const SafetensorsReader& file, const Json& description, DType dtype, const Bound& bound) {
  const std::string id = description.at("id");
  const auto wanted_gradients = description.value("grad", std::vector<std::string>());
  const auto inputs = read_inputs(file, description, dtype, wanted_gradients);
  const Variable out = call_op(OpCall(description, inputs));
  if (out.dtype() != dtype) return fmt::format("out is {}", to_string(out.dtype()));
  std::string problem = difference("out", out.tensor(), file.read(id + "/out"), bound);
  if (!problem.empty() || wanted_gradients.empty()) return problem;
  out.backward(Variable(to_dtype(file.read(id + "/cotangent"), dtype)));
  for (const auto& name : wanted_gradients) {
    problem = difference("grad/" + name, inputs.at(name).grad().tensor(), file.read(id + "/grad/" + name), bound);
    if (!problem.empty()) return problem;
  }
  return {};
}

struct OpWay {
  const char* name;
  DType dtype;
  Backend backend;
  Bound bound;
};

std::string run_op_every_way(const SafetensorsReader& file, const Json& description) {
  constexpr OpWay ways[] = {{"f64 on the reference", DType::f64, Backend::reference, kBound64},
                            {"f32 on the reference", DType::f32, Backend::reference, kBound32},
                            {"f32 on the fast backend", DType::f32, Backend::fast, kBound32}};
  for (const OpWay& way : ways) {
    if (way.backend == Backend::fast && !fast_backend_available()) continue;
    BackendScope scope(way.backend);
    const std::string problem = run_op(file, description, way.dtype, way.bound);
    if (!problem.empty()) return fmt::format("{}: {}", way.name, problem);
  }
  return {};
}

// d/dinput of sum_i <direction_i, VJP_i(cotangent)>, `<id>/second/<name>` in the file.
std::string run_second(const SafetensorsReader& file, const Json& description) {
  const std::string id = description.at("id");
  const auto names = description.at("inputs").get<std::vector<std::string>>();
  const auto inputs = read_inputs(file, description, DType::f64, names);
  std::vector<Variable> leaves;
  for (const auto& name : names) leaves.push_back(inputs.at(name));
  const Variable out = call_op(OpCall(description, inputs));
  const auto first = grad(out, leaves, Variable(file.read(id + "/cotangent")), {.create_graph = true});
  Variable total;
  for (size_t i = 0; i < names.size(); ++i) {
    if (!first[i].defined()) continue;
    const Variable term = sum(mul(first[i], Variable(file.read(id + "/direction/" + names[i]))));
    total = total.defined() ? add(total, term) : term;
  }
  if (!total.defined()) return "no gradient at all";
  std::vector<Variable> second(leaves.size());
  if (total.requires_grad()) second = grad(total, leaves);
  for (size_t i = 0; i < names.size(); ++i) {
    const Tensor ours = second[i].defined() ? second[i].tensor() : zeros_like(leaves[i].tensor());
    const std::string problem =
        difference("second/" + names[i], ours, file.read(id + "/second/" + names[i]), kBoundSecond);
    if (!problem.empty()) return problem;
  }
  return {};
}

template <class Run>
std::vector<CaseResult> replay_cases(const fs::path& folder, const std::string& family, Run run) {
  const auto list = folder / (family + ".json"), data = folder / (family + ".safetensors");
  if (!fs::exists(list) || !fs::exists(data)) return {};
  const SafetensorsReader file(data);
  std::ifstream stream(list);
  std::vector<CaseResult> results;
  const Json json = Json::parse(stream);
  for (const Json& description : json.at("cases")) {
    CaseResult result{family + "/" + description.value("id", "?"), CaseResult::passed, {}};
    try {
      result.message = run(file, description);
      if (!result.message.empty()) result.status = CaseResult::failed;
    } catch (const NotBuilt& missing) {
      result = {result.name, CaseResult::pending, missing.what()};
    } catch (const std::exception& error) {
      result = {result.name, CaseResult::failed, error.what()};
    }
    results.push_back(result);
  }
  return results;
}

}  // namespace

std::vector<CaseResult> replay_ops(const fs::path& folder) { return replay_cases(folder, "ops", run_op_every_way); }

std::vector<CaseResult> replay_second(const fs::path& folder) {
  BackendScope scope(Backend::reference);
  return replay_cases(folder, "second", run_second);
}

}  // namespace sfumato::golden
