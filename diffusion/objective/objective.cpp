#include "diffusion/objective/objective.h"

#include <algorithm>

#include "diffusion/process/per_sample.h"
#include "tensor/ops/elementwise.h"

namespace sfumato {

Tensor training_target(
    const NoiseSchedule& schedule, PredictionType type, const Tensor& x0, const Tensor& noise, const Tensor& t) {
  check(x0.shape() == noise.shape(), "training_target: x0 has shape ", x0.shape(), " but noise has ", noise.shape());
  switch (type) {
    case PredictionType::epsilon: return noise;
    case PredictionType::sample: return x0;
    case PredictionType::v_prediction: {
      const NoiseLevels level = noise_levels(schedule, t, x0);
      return noise * level.signal - x0 * level.noise;
    }
  }
  detail::fail_internal("training_target: unknown prediction type");
}

Tensor loss_weights(
    const NoiseSchedule& schedule, PredictionType type, const Tensor& t, const LossWeighting& weighting, DType dtype) {
  const double gamma = weighting.min_snr_gamma;
  check(gamma >= 0, "loss_weights: min_snr_gamma must not be negative, got ", gamma);
  return per_sample("loss_weights", t, empty(t.shape(), dtype), [&](int64_t i) {
    const double snr = schedule.snr(i);
    if (gamma == 0) return 1.0;
    const double weight = std::min(snr, gamma);
    switch (type) {
      case PredictionType::epsilon: return snr < gamma ? 1.0 : gamma / snr;  // also without any signal
      case PredictionType::sample: return weight;
      case PredictionType::v_prediction: return weight / (snr + 1);
    }
    detail::fail_internal("loss_weights: unknown prediction type");
  });
}

}  // namespace sfumato
