// What ODE solvers are made from: D(x; sigma), the estimate of x_0 from x = x_0 + sigma eps (Karras et al. 2022,
// "EDM"). Every Gaussian process is this one after x is divided by its signal, so a solver knows neither schedule nor
// prediction type nor network: it walks down a list of sigmas ("diffusion/schedule/sigmas.h").
//
//   SigmaTable table(schedule);
//   SigmaDenoiser denoiser = sigma_denoiser(network, table, {.type = PredictionType::v_prediction});
//   auto sigmas = sigma_grid(table, {.steps = 20});
//   Tensor images = heun_sample(denoiser, x_T * scale_of(sigmas[0]), sigmas);
//
// In these coordinates the probability-flow ODE is dx/dsigma = (x - D(x; sigma)) / sigma, and the score
// (D(x; sigma) - x) / sigma².
#pragma once

#include <cmath>
#include <functional>
#include <span>
#include <string_view>

#include "diffusion/samplers/denoiser.h"
#include "diffusion/schedule/sigmas.h"
#include "tensor/tensor.h"

namespace sfumato {

// x (N, ...), f32 or f64; sigma > 0, the same for the whole batch. Returns x_0 of x's shape and dtype.
using SigmaDenoiser = std::function<Tensor(const Tensor& x, double sigma)>;

// One finished step of a solver, for callbacks: from x at sigma, through the x_0 predicted there, to x_next at
// sigma_next.
struct SolverStep {
  int64_t index;  // 0..steps-1
  int64_t steps;
  double sigma, sigma_next;
  Tensor x, x0, x_next;
};
using SolverCallback = std::function<void(const SolverStep&)>;

// A network trained on a variance-preserving schedule, which sees x / sqrt(1 + sigma²) at the table's time of sigma.
SigmaDenoiser sigma_denoiser(const Denoiser& network, const SigmaTable& table, const PredictionOptions& prediction);

// sqrt(1 + sigma²): turns a variance-preserving x_t into x_0 + sigma eps.
inline double scale_of(double sigma) { return std::sqrt(1 + sigma * sigma); }
// The level of a variance-preserving x_t with this sigma.
inline NoiseLevel level_of(double sigma) { return {1 / scale_of(sigma), sigma / scale_of(sigma)}; }

// For writers of solvers ---------------------------------------------------------------------------------------------

// At least two levels, finite, strictly falling, not negative; and x (N, ...) floating. Throws naming `solver`.
void check_solver(std::string_view solver, const Tensor& x, std::span<const double> sigmas);
// Calls the denoiser and checks what it returns.
Tensor call_denoiser(std::string_view solver, const SigmaDenoiser& denoiser, const Tensor& x, double sigma);
// Where one straight step from (x, sigma) to sigma_next ends if x_0 stays as predicted:
// (sigma_next/sigma) x + (1 - sigma_next/sigma) x_0. It is Euler's, DDIM's and first-order DPM-Solver's step.
Tensor towards(const Tensor& x0, const Tensor& x, double sigma, double sigma_next);

// Calls step(i, x, sigma, sigma_next), which returns {x_0, x_next}, for each pair of neighbours in `sigmas`.
struct SolverResult {
  Tensor x0, x_next;
};
Tensor walk_down(std::string_view solver,
                 const Tensor& x,
                 std::span<const double> sigmas,
                 const SolverCallback& on_step,
                 const std::function<SolverResult(int64_t i, const Tensor& x, double sigma, double sigma_next)>& step);

}  // namespace sfumato
