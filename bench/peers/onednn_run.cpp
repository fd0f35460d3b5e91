#include "bench/peers/onednn_run.h"

#include <algorithm>
#include <cstddef>

namespace sfumato::bench {
namespace {

dnnl::memory filled(const dnnl::memory::desc& desc) {
  dnnl::memory memory(desc, peer_engine());
  // Ordinary numbers: zeros could be faster than life, denormals slower.
  auto* data = static_cast<float*>(memory.get_data_handle());
  std::fill_n(data, desc.get_size() / sizeof(float), 0.5f);
  return memory;
}

}  // namespace

PlainRun::PlainRun(dnnl::primitive primitive, const std::vector<PlainOperand>& operands) {
  Step compute{std::move(primitive), {}};
  std::vector<Step> after;
  for (const PlainOperand& operand : operands) {
    const dnnl::memory plain = filled(operand.plain);
    if (operand.plain == operand.wanted) {
      compute.arguments.emplace(operand.argument, plain);
      continue;
    }
    const dnnl::memory wanted = filled(operand.wanted);
    compute.arguments.emplace(operand.argument, wanted);
    const auto& [from, to] = operand.is_output ? std::tie(wanted, plain) : std::tie(plain, wanted);
    (operand.is_output ? after : steps_)
        .push_back({dnnl::reorder(from, to), {{DNNL_ARG_FROM, from}, {DNNL_ARG_TO, to}}});
  }
  steps_.push_back(std::move(compute));
  steps_.insert(steps_.end(), after.begin(), after.end());
}

void PlainRun::operator()() {
  for (const Step& step : steps_) {
    step.primitive.execute(stream_, step.arguments);
  }
  stream_.wait();
}

}  // namespace sfumato::bench
