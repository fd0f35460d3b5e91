// The lecture's picture of the forward process: how a density on the line is smeared into the standard normal one.
//
//   const GaussianMixture data = GaussianMixture::parse("0.3:-2:0.5,0.7:1:0.3");
//   const std::vector<int64_t> times{0, 50, 100, 200, 400, 1000};
//   save_figure("densities.svg", density_figure(data, linear_schedule(1000), times));
//
// Left the densities q(x_t) at the given times as curves; right the same over all times as a heat map, with a few
// trajectories of the Markov chain on it. Formulas: "diffusion/process/mixture.h".
#pragma once

#include <span>

#include "diffusion/plot/figure.h"
#include "diffusion/process/mixture.h"

namespace sfumato::plot {

enum class DensityView { curves, map, both };

struct DensityOptions {
  DensityView view = DensityView::both;
  int64_t trajectories = 8;  // on the map
};

// q(x_t) at `times` (0..T, t = 0 is the data) and x: f64 (times.size(), x.size()).
Tensor diffused_densities(const GaussianMixture& data,
                          const NoiseSchedule& schedule,
                          std::span<const int64_t> times,
                          std::span<const double> x);
// `count` evenly spaced places that hold nearly all of q(x_t) at every t: 3.5 standard deviations around the data's
// components and around 0.
std::vector<double> density_places(const GaussianMixture& data, int64_t count);

// Trajectories are drawn from the RandomScope in force. Throws Error for times outside 0..T.
Figure density_figure(const GaussianMixture& data,
                      const NoiseSchedule& schedule,
                      std::span<const int64_t> times,
                      const DensityOptions& options = {});

}  // namespace sfumato::plot
