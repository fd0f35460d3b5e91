// Oracles: data whose optimal denoiser is a formula. An oracle stands wherever a network can, so samplers, guidance and
// likelihoods are judged without training anything.
//
//   Oracle data = mixture_oracle({0.3, 0.7}, means, covariances);          // (K, D) and (K, D, D)
//   Denoiser network = denoiser_of(data, schedule, PredictionType::epsilon);
//   Tensor images = ddim_sample(network, schedule, x_T, {.timesteps = {.steps = 50}});
//   Tensor same = heun_sample(sigma_denoiser(data), x, karras_sigmas(18, 0.002, 80));
//
// Data sum_k w_k N(mu_k, S_k) under x_t = a x_0 + b eps (a = signal, b = noise): with C_k = a² S_k + b² I,
//
//   gamma_k(x) ~ w_k N(x; a mu_k, C_k)
//   E[x_0 | x] = sum_k gamma_k m_k(x),    m_k(x) = mu_k + a S_k C_k^-1 (x - a mu_k)
//   Cov(x_0 | x) = sum_k gamma_k (b² S_k C_k^-1 + m_k m_k^T) - E E^T
//   grad log q(x) = (a E[x_0 | x] - x) / b²,    d E / d x = (a / b²) Cov(x_0 | x)
//
// A Gaussian is K = 1; a data set is S_k = 0, E[x_0 | x] = sum softmax_i(-|x - a x_i|² / (2 b²)) x_i.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "diffusion/process/mixture.h"
#include "diffusion/samplers/denoiser.h"
#include "diffusion/samplers/sigma_denoiser.h"
#include "tensor/tensor.h"

namespace sfumato {

// A value: copies share what they hold. All functions take x (N, sample shape...), f32 or f64, compute in f64 and
// return x's dtype; level.noise must be positive. Rows are independent of one another, to the bit.
class Oracle {
 public:
  struct Component {
    double weight = 1;                    // relative
    std::vector<double> mean;             // D
    double variance = 0;                  // S = variance I, unless there is a
    std::vector<double> covariance = {};  // D x D, symmetric and positive semidefinite
  };
  // Throws unless all components fit the shape and their numbers are finite.
  Oracle(const Shape& sample_shape, std::vector<Component> components);

  const Shape& sample_shape() const { return shape_; }
  // Their weights add up to 1.
  const std::vector<Component>& components() const { return *components_; }

  // E[x_0 | x_t].
  Tensor posterior_mean(const Tensor& x_t, const NoiseLevel& level) const;
  // Cov(x_0 | x_t) v, row by row.
  Tensor posterior_covariance_times(const Tensor& x_t, const Tensor& v, const NoiseLevel& level) const;
  // tr Cov(x_0 | x_t), (N): the least squared error that any denoiser can have.
  Tensor posterior_variance(const Tensor& x_t, const NoiseLevel& level) const;
  // log q(x_t), (N), in nats.
  Tensor log_density(const Tensor& x_t, const NoiseLevel& level) const;
  // grad log q(x_t).
  Tensor score(const Tensor& x_t, const NoiseLevel& level) const;

  // (count, sample shape...) f64 from the RandomScope in force; row i depends on the scope and i alone.
  Tensor sample(int64_t count) const;

 private:
  struct AtLevel;  // what does not depend on x
  struct AtPoint;  // gamma_k, m_k
  template <class F>
  Tensor per_row(std::string_view op, const Tensor& x_t, const NoiseLevel& level, bool scalar, F&& f) const;

  Shape shape_;
  std::shared_ptr<const std::vector<Component>> components_;
};

// N(mean, variance I) with the mean's shape.
Oracle gaussian_oracle(const Tensor& mean, double variance);
// weights (K), relative; means (K, D); covariances (K, D, D).
Oracle mixture_oracle(std::span<const double> weights, const Tensor& means, const Tensor& covariances);
// The mixture on the line, as samples of shape (1).
Oracle mixture_oracle(const GaussianMixture& mixture);
// The points (N, ...) with equal weights, each a Gaussian of this standard deviation (0: the data set itself).
Oracle dataset_oracle(const Tensor& points, double stddev = 0);

// The level of a network's time t in [0, T-1]: the schedule's own at whole times, the table's between them.
NoiseLevel level_at(const NoiseSchedule& schedule, const SigmaTable& table, double t);
// The oracle as a network trained on the schedule, perfectly: t lies in [0, T-1] and may differ from row to row.
// Between two timesteps it stands for the level that SigmaTable puts there.
Denoiser denoiser_of(const Oracle& oracle, const NoiseSchedule& schedule, PredictionType type);
// The oracle as EDM's D(x; sigma).
SigmaDenoiser sigma_denoiser(const Oracle& oracle);

}  // namespace sfumato
