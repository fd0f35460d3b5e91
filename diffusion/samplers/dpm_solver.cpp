#include "diffusion/samplers/dpm_solver.h"

#include <algorithm>
#include <deque>

#include "tensor/ops/elementwise.h"

namespace sfumato {

namespace {

// The latest values of D, newest first, with their lambda.
struct Value {
  Tensor x0;
  double lambda;
};
using History = std::deque<Value>;

void remember(History& history, const Tensor& x0, double sigma, size_t most) {
  history.push_front({x0, -std::log(sigma)});
  if (history.size() > most) history.pop_back();
}

// e^-h x + the integral of the polynomial through the `count` newest values.
Tensor integrate(const History& history, size_t count, const Tensor& x, double sigma, double sigma_next) {
  const double start = -std::log(sigma);
  std::vector<double> nodes;
  for (size_t k = 0; k < count; ++k) nodes.push_back(history[k].lambda - start);
  const auto weights = exponential_weights(std::log(sigma / sigma_next), nodes);
  Tensor sum = x * (sigma_next / sigma);
  for (size_t k = 0; k < count; ++k) sum = sum + history[k].x0 * weights[k];
  return sum;
}

Tensor singlestep(const SigmaDenoiser& denoiser, const Tensor& x0, const Tensor& x, double sigma, double sigma_next) {
  const double middle = std::sqrt(sigma * sigma_next);
  const Tensor x0_middle = call_denoiser("dpm_solver_sample", denoiser, towards(x0, x, sigma, middle), middle);
  return towards(x0_middle, x, sigma, sigma_next);
}

Tensor multistep_2(const History& history, const Tensor& x, double sigma, double sigma_next) {
  const double h = std::log(sigma / sigma_next), h_last = history[0].lambda - history[1].lambda;
  const double ahead = h / (2 * h_last);
  return towards(history[0].x0 * (1 + ahead) - history[1].x0 * ahead, x, sigma, sigma_next);
}

// The appendix' update, divided by alpha: D0 (1 - e^-h) + D1 (h - 1 + e^-h) / h + D2 ((1 - e^-h - h) / h² + 1/2), where
// D1 and D2 are made from divided differences.
Tensor printed_3(const History& history, const Tensor& x, double sigma, double sigma_next) {
  const double h = std::log(sigma / sigma_next);
  const double r0 = (history[0].lambda - history[1].lambda) / h, r1 = (history[1].lambda - history[2].lambda) / h;
  const Tensor newer = (history[0].x0 - history[1].x0) / r0, older = (history[1].x0 - history[2].x0) / r1;
  const Tensor d1 = newer + (newer - older) * (r0 / (r0 + r1)), d2 = (newer - older) / (r0 + r1);
  const double gone = -std::expm1(-h);
  return towards(history[0].x0, x, sigma, sigma_next) + d1 * ((h - gone) / h) + d2 * ((gone - h) / (h * h) + 0.5);
}

// What step i of `steps` is of.
DpmMethod method_of(const DpmOptions& options, int64_t i, int64_t steps, double sigma_next) {
  const bool last = i + 1 == steps;
  if (sigma_next == 0 || (last && options.first_order_end)) return DpmMethod::first;
  if (options.method != DpmMethod::multistep_3_printed) return options.method;
  const bool second = i == 1 || (i + 2 == steps && options.second_order_before_end);
  return second ? options.second_order : options.method;
}

}  // namespace

std::vector<double> exponential_weights(double h, std::span<const double> nodes) {
  const size_t count = nodes.size();
  check(count >= 1 && count <= 4, "exponential_weights: 1 to 4 nodes, got ", count);
  // m_j = integral_0^h e^-(h-u) u^j du; by parts, m_j = h^j - j m_{j-1}. Where that cancels, its series.
  std::vector<double> moments;
  for (size_t j = 0; j < count; ++j) {
    const auto order = static_cast<double>(j);
    if (h < 1) {
      double term = std::pow(h, order + 1) / (order + 1), sum = 0;
      for (int n = 1; n < 30; ++n) {
        sum += term;
        term *= -h / (order + 1 + n);
      }
      moments.push_back(sum);
    } else {
      moments.push_back(j == 0 ? -std::expm1(-h) : std::pow(h, order) - order * moments.back());
    }
  }
  // Each weight is the integral of its node's Lagrange polynomial, whose coefficients are built up factor by factor.
  std::vector<double> weights;
  for (size_t k = 0; k < count; ++k) {
    std::vector<double> polynomial{1};
    for (size_t i = 0; i < count; ++i) {
      if (i == k) continue;
      check(nodes[i] != nodes[k], "exponential_weights: two nodes are the same, ", nodes[k]);
      const double scale = 1 / (nodes[k] - nodes[i]);
      std::vector<double> product(polynomial.size() + 1, 0.0);
      for (size_t j = 0; j < polynomial.size(); ++j) {
        product[j + 1] += polynomial[j] * scale;
        product[j] -= polynomial[j] * scale * nodes[i];
      }
      polynomial = product;
    }
    double weight = 0;
    for (size_t j = 0; j < count; ++j) weight += polynomial[j] * moments[j];
    weights.push_back(weight);
  }
  return weights;
}

Tensor dpm_solver_sample(const SigmaDenoiser& denoiser,
                         const Tensor& x,
                         std::span<const double> sigmas,
                         const DpmOptions& options) {
  History history;
  const auto step = [&](int64_t i, const Tensor& x_i, double sigma, double sigma_next) -> SolverResult {
    const Tensor x0 = call_denoiser("dpm_solver_sample", denoiser, x_i, sigma);
    remember(history, x0, sigma, 3);
    const DpmMethod method = method_of(options, i, static_cast<int64_t>(sigmas.size()) - 1, sigma_next);
    const bool start = method == DpmMethod::multistep_3 && i == 0;
    if (method == DpmMethod::singlestep_2 || start) return {x0, singlestep(denoiser, x0, x_i, sigma, sigma_next)};
    if (method == DpmMethod::first || i == 0) return {x0, towards(x0, x_i, sigma, sigma_next)};
    if (method == DpmMethod::multistep_2) return {x0, multistep_2(history, x_i, sigma, sigma_next)};
    if (method == DpmMethod::multistep_3_printed) return {x0, printed_3(history, x_i, sigma, sigma_next)};
    const size_t most = method == DpmMethod::multistep_2_line ? 2 : 3;
    return {x0, integrate(history, std::min(history.size(), most), x_i, sigma, sigma_next)};
  };
  return walk_down("dpm_solver_sample", x, sigmas, options.on_step, step);
}

Tensor unipc_sample(const SigmaDenoiser& denoiser,
                    const Tensor& x,
                    std::span<const double> sigmas,
                    const UniPcOptions& options) {
  check(options.order >= 1 && options.order <= 3, "unipc_sample: order must be 1, 2 or 3, got ", options.order);
  const auto most = static_cast<size_t>(options.order) + 1;
  History history;
  const auto step = [&](int64_t i, const Tensor& x_i, double sigma, double sigma_next) -> SolverResult {
    if (i == 0) remember(history, call_denoiser("unipc_sample", denoiser, x_i, sigma), sigma, most);
    const Tensor x0 = history.front().x0;
    if (sigma_next == 0) return {x0, towards(x0, x_i, sigma, 0)};
    const size_t known = std::min(history.size(), most - 1);
    const Tensor predicted = integrate(history, known, x_i, sigma, sigma_next);
    remember(history, call_denoiser("unipc_sample", denoiser, predicted, sigma_next), sigma_next, most);
    return {x0, integrate(history, known + 1, x_i, sigma, sigma_next)};
  };
  return walk_down("unipc_sample", x, sigmas, options.on_step, step);
}

}  // namespace sfumato
