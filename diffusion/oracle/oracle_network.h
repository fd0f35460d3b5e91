// An oracle where a network is expected: sampled, guided, evaluated and differentiated like one, without weights.
//
//   OracleNetwork network(named_oracle("gaussians8"), linear_schedule(1000));
//   Variable x0 = network(x_t, t, labels);         // E[x_0 | x_t, class]: prediction type `sample`
//
// A model with classes knows one label more, the last: no class, all of them mixed. The gradient is the closed form's,
// d E / d x = (a / b²) Cov(x_0 | x), and of first order alone.
#pragma once

#include "diffusion/model/network.h"
#include "diffusion/oracle/named.h"
#include "nn/data/dataset.h"

namespace sfumato {

class OracleNetwork : public DenoisingNetwork {
 public:
  OracleNetwork(OracleModel model, const NoiseSchedule& schedule);
  Shape sample_shape() const override { return model_.all.sample_shape(); }
  int64_t num_classes() const override;
  std::string class_name() const override { return "Oracle"; }
  std::string config_json() const override { return "{\"_class_name\": \"Oracle\"}\n"; }

 protected:
  Variable forward(const Variable& x, const Tensor& t, const Tensor& labels) const override;

 private:
  template <class F>
  Tensor in_runs(const Tensor& x, const Tensor& t, const Tensor& labels, F&& f) const;

  OracleModel model_;
  NoiseSchedule schedule_;
  SigmaTable table_;
};

// Samples of an oracle as data: sample i is a function of (split, i), and of its label, i modulo the classes.
class OracleDataset : public Dataset {
 public:
  OracleDataset(OracleModel model, uint64_t seed) : model_(std::move(model)), seed_(seed) {}
  int64_t size() const override { return int64_t{1} << 16; }
  Shape sample_shape() const override { return model_.all.sample_shape(); }
  void read(int64_t index, float* out, const SampleRandom& random) const override;
  bool has_labels() const override { return !model_.classes.empty(); }
  int64_t label(int64_t index) const override { return has_labels() ? index % num_classes() : 0; }
  int64_t num_classes() const override { return static_cast<int64_t>(model_.classes.size()); }
  const OracleModel& model() const { return model_; }

 private:
  OracleModel model_;
  uint64_t seed_;
};

}  // namespace sfumato
