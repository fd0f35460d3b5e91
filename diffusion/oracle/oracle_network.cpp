// Rows that share time and class are evaluated together.
#include "diffusion/oracle/oracle_network.h"

#include <algorithm>

#include "autograd/record.h"
#include "tensor/ops/elementwise.h"
#include "tensor/ops/join.h"
#include "tensor/ops/view.h"

namespace sfumato {

OracleNetwork::OracleNetwork(OracleModel model, const NoiseSchedule& schedule)
    : model_(std::move(model)), schedule_(schedule), table_(schedule) {}

int64_t OracleNetwork::num_classes() const {
  return model_.classes.empty() ? 0 : static_cast<int64_t>(model_.classes.size()) + 1;
}

// Joins f(oracle, rows of x, level, first row) of each run of rows with one time and label.
template <class F>
Tensor OracleNetwork::in_runs(const Tensor& x, const Tensor& t, const Tensor& labels, F&& f) const {
  const std::vector<double> times = t.to_vector();
  const std::vector<double> classes = labels.defined() ? labels.to_vector() : std::vector<double>(times.size());
  std::vector<Tensor> runs;
  for (size_t first = 0, end = 0; first < times.size(); first = end) {
    while (end < times.size() && times[end] == times[first] && classes[end] == classes[first]) ++end;
    const auto label = static_cast<size_t>(classes[first]);
    const Oracle& oracle = label < model_.classes.size() ? model_.classes[label] : model_.all;
    const auto start = static_cast<int64_t>(first);
    const Tensor rows = narrow(x, 0, start, static_cast<int64_t>(end - first)).contiguous();
    runs.push_back(f(oracle, rows, level_at(schedule_, table_, times[first]), start));
  }
  return runs.empty() ? x : cat(runs, 0);
}

Variable OracleNetwork::forward(const Variable& x, const Tensor& t, const Tensor& labels) const {
  const auto mean = [](const Oracle& oracle, const Tensor& rows, const NoiseLevel& level, int64_t) {
    return oracle.posterior_mean(rows, level);
  };
  return record(
      "oracle", in_runs(x.tensor(), t, labels, mean), wrt(x, [this, x = save(x), t, labels](const Variable& g) {
        const auto product = [&](const Oracle& oracle, const Tensor& rows, const NoiseLevel& level, int64_t first) {
          const Tensor v = narrow(g.tensor(), 0, first, rows.size(0)).contiguous();
          return oracle.posterior_covariance_times(rows, v, level) * (level.signal / (level.noise * level.noise));
        };
        return Variable(in_runs(x().tensor(), t, labels, product));
      }));
}

void OracleDataset::read(int64_t index, float* out, const SampleRandom&) const {
  check(index >= 0 && index < size(), "OracleDataset: index ", index, " is out of range for ", size(), " samples");
  const RandomScope scope({.seed = seed_, .step = 0, .first_sample = index});
  const Oracle& oracle = has_labels() ? model_.classes[static_cast<size_t>(label(index))] : model_.all;
  const std::vector<double> values = oracle.sample(1).to_vector();
  std::transform(values.begin(), values.end(), out, [](double value) { return static_cast<float>(value); });
}

}  // namespace sfumato
