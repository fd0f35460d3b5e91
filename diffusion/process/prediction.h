// What a network predicts about a noisy image, and how each such prediction gives the others.
//
//   Tensor x0 = to_x0(PredictionType::v_prediction, output, x_t, schedule.level(t));
//
// With x_t = s x_0 + n eps (s = signal, n = noise, s² + n² = 1):
//
//   epsilon       eps                           Ho et al. 2020
//   sample        x_0
//   v_prediction  v = s eps - n x_0             Salimans & Ho 2022: x_0 = s x_t - n v, eps = s v + n x_t
//   score         grad log q(x_t | x_0) = -eps / n     Song et al. 2021
//
// The level is either one for the whole batch (NoiseLevel) or one per sample (NoiseLevels); every function takes both.
#pragma once

#include <string_view>

#include "diffusion/schedule/noise_schedule.h"
#include "tensor/tensor.h"

namespace sfumato {

enum class PredictionType { epsilon, sample, v_prediction };

// diffusers' names; parsing an unknown one throws.
std::string_view name_of(PredictionType type);
PredictionType parse_prediction_type(std::string_view name);

// One level per sample: tensors (N, 1, ..., 1) of the images' rank and dtype.
struct NoiseLevels {
  Tensor signal;
  Tensor noise;
};

// The levels of timesteps t, (N) i64 or i32 with values 0..T-1, shaped to multiply `x` (N, ...), f32 or f64.
NoiseLevels noise_levels(const NoiseSchedule& schedule, const Tensor& t, const Tensor& x);

// `output` is a prediction of the given type at x_t; both (N, ...). Level is NoiseLevel or NoiseLevels.
template <class Level>
Tensor to_x0(PredictionType type, const Tensor& output, const Tensor& x_t, const Level& level);
template <class Level>
Tensor to_epsilon(PredictionType type, const Tensor& output, const Tensor& x_t, const Level& level);
template <class Level>
Tensor to_v(PredictionType type, const Tensor& output, const Tensor& x_t, const Level& level);
template <class Level>
Tensor to_score(PredictionType type, const Tensor& output, const Tensor& x_t, const Level& level);

// The same prediction as another type.
template <class Level>
Tensor convert_prediction(
    PredictionType from, PredictionType to, const Tensor& output, const Tensor& x_t, const Level& level);
// eps = -n score.
template <class Level>
Tensor epsilon_from_score(const Tensor& score, const Level& level);

}  // namespace sfumato
