// A mixture of Gaussians on the line: the data distribution of the lectures, because noising keeps it a mixture.
//
//   GaussianMixture data = GaussianMixture::parse("0.3:-2:0.5,0.7:1:0.3");      // weight:mean:std
//   GaussianMixture at_t = data.diffused(schedule.level(t));                    // q(x_t)
//   at_t.density(0.5);
//
// With x_0 ~ sum_k w_k N(m_k, s_k²) and x_t = a x_0 + b eps, eps ~ N(0, 1) (a = sqrt(A_t), b = sqrt(1 - A_t)):
//
//   q(x_t) = sum_k w_k N(a m_k, a² s_k² + b²)
#pragma once

#include <string_view>
#include <vector>

#include "diffusion/schedule/noise_schedule.h"
#include "tensor/tensor.h"

namespace sfumato {

struct GaussianComponent {
  double weight = 1;
  double mean = 0;
  double stddev = 1;
};

class GaussianMixture {
 public:
  // Weights are relative: they are divided by their sum. Throws Error unless there is a component, all numbers are
  // finite, and all weights and standard deviations are positive.
  explicit GaussianMixture(std::vector<GaussianComponent> components);

  // "weight:mean:std,weight:mean:std,...". Throws Error naming the part that is no such triple.
  static GaussianMixture parse(std::string_view text);

  const std::vector<GaussianComponent>& components() const { return components_; }
  double mean() const;
  double variance() const;
  double density(double x) const;
  // The distribution of level.signal x + level.noise eps.
  GaussianMixture diffused(const NoiseLevel& level) const;

  // Independent values, f64 (count), from the RandomScope in force; value i depends on the scope and i alone.
  Tensor sample(int64_t count) const;

 private:
  std::vector<GaussianComponent> components_;
};

// The true reverse kernel q(x_{t-1} | x_t) of data that are a mixture, a mixture again; t = 0..T-1, and for t = 0 it is
// that of the data themselves. With N(n_k, v_k) the data's components at t - 1 and u_k = alpha_t v_k + beta_t at t,
//
//   weights ~ w_k N(x_t; sqrt(alpha_t) n_k, u_k),  variances beta_t v_k / u_k,
//   means n_k + sqrt(alpha_t) v_k / u_k (x_t - sqrt(alpha_t) n_k)
//
// What networks learn is one Gaussian in its place: right only for small beta_t.
GaussianMixture reverse_kernel(const GaussianMixture& data, const NoiseSchedule& schedule, int64_t t, double x_t);

}  // namespace sfumato
