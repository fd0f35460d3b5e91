#include "diffusion/process/prediction.h"

#include <vector>

#include "diffusion/process/per_sample.h"
#include "tensor/ops/elementwise.h"

namespace sfumato {

std::string_view name_of(PredictionType type) {
  switch (type) {
    case PredictionType::epsilon: return "epsilon";
    case PredictionType::sample: return "sample";
    case PredictionType::v_prediction: return "v_prediction";
  }
  return "?";
}

PredictionType parse_prediction_type(std::string_view name) {
  for (const auto type : {PredictionType::epsilon, PredictionType::sample, PredictionType::v_prediction}) {
    if (name == name_of(type)) return type;
  }
  detail::fail("prediction_type: unknown value \"", name, "\" (epsilon, sample and v_prediction are supported)");
}

NoiseLevels noise_levels(const NoiseSchedule& schedule, const Tensor& t, const Tensor& x) {
  return {per_sample("noise_levels", t, x, [&](int64_t i) { return schedule.level(i).signal; }),
          per_sample("noise_levels", t, x, [&](int64_t i) { return schedule.level(i).noise; })};
}

template <class Level>
Tensor to_x0(PredictionType type, const Tensor& output, const Tensor& x_t, const Level& level) {
  switch (type) {
    case PredictionType::epsilon: return (x_t - output * level.noise) / level.signal;
    case PredictionType::sample: return output;
    case PredictionType::v_prediction: return x_t * level.signal - output * level.noise;
  }
  detail::fail_internal("to_x0: unknown prediction type");
}

template <class Level>
Tensor to_epsilon(PredictionType type, const Tensor& output, const Tensor& x_t, const Level& level) {
  switch (type) {
    case PredictionType::epsilon: return output;
    case PredictionType::sample: return (x_t - output * level.signal) / level.noise;
    case PredictionType::v_prediction: return output * level.signal + x_t * level.noise;
  }
  detail::fail_internal("to_epsilon: unknown prediction type");
}

template <class Level>
Tensor to_v(PredictionType type, const Tensor& output, const Tensor& x_t, const Level& level) {
  switch (type) {
    case PredictionType::epsilon: return (output - x_t * level.noise) / level.signal;
    case PredictionType::sample: return (x_t * level.signal - output) / level.noise;
    case PredictionType::v_prediction: return output;
  }
  detail::fail_internal("to_v: unknown prediction type");
}

template <class Level>
Tensor to_score(PredictionType type, const Tensor& output, const Tensor& x_t, const Level& level) {
  return -to_epsilon(type, output, x_t, level) / level.noise;
}

template <class Level>
Tensor convert_prediction(
    PredictionType from, PredictionType to, const Tensor& output, const Tensor& x_t, const Level& level) {
  switch (to) {
    case PredictionType::epsilon: return to_epsilon(from, output, x_t, level);
    case PredictionType::sample: return to_x0(from, output, x_t, level);
    case PredictionType::v_prediction: return to_v(from, output, x_t, level);
  }
  detail::fail_internal("convert_prediction: unknown prediction type");
}

template <class Level>
Tensor epsilon_from_score(const Tensor& score, const Level& level) {
  return -score * level.noise;
}

#define SFUMATO_INSTANTIATE(Level)                                                                                \
  template Tensor to_x0(PredictionType, const Tensor&, const Tensor&, const Level&);                              \
  template Tensor to_epsilon(PredictionType, const Tensor&, const Tensor&, const Level&);                         \
  template Tensor to_v(PredictionType, const Tensor&, const Tensor&, const Level&);                               \
  template Tensor to_score(PredictionType, const Tensor&, const Tensor&, const Level&);                           \
  template Tensor convert_prediction(PredictionType, PredictionType, const Tensor&, const Tensor&, const Level&); \
  template Tensor epsilon_from_score(const Tensor&, const Level&);
SFUMATO_INSTANTIATE(NoiseLevel)
SFUMATO_INSTANTIATE(NoiseLevels)
#undef SFUMATO_INSTANTIATE

}  // namespace sfumato
