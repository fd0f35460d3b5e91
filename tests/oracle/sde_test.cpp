// Fact 13, of samplers with noise: orders and exact moments. On Gaussian data they are linear in x_T and their noises,
// so impulses give the variance of what they draw without sampling.
#include <cstdio>

#include "diffusion/oracle/oracle.h"
#include "diffusion/samplers/runge_kutta.h"
#include "diffusion/samplers/sde_samplers.h"
#include "tensor/ops/view.h"
#include "tensor/random.h"
#include "tests/oracle/support.h"

using namespace sfumato;
using namespace sfumato::oracle_tests;

namespace {

constexpr double kVariance = 0.25, kEnd = 0.05;

Oracle gaussian() { return gaussian_oracle(zeros({1}, DType::f64), kVariance); }

using Sampler =
    std::function<Tensor(const Score&, const LinearSde&, const Tensor&, std::span<const double>, const SdeOptions&)>;

// The variance of what a sampler without correction draws in n steps from a start of the exact variance at t = 1.
double drawn_variance(const Sampler& sampler, const LinearSde& sde, int64_t steps) {
  const NoiseLevel first = sde.level(1);
  Tensor x_T = zeros({steps + 1, 1}, DType::f64);
  x_T.mutable_data<double>()[0] = std::sqrt(first.signal * first.signal * kVariance + first.noise * first.noise);
  const NoiseSource impulse = [](int64_t step, const Shape& shape) {
    Tensor noise = zeros(shape, DType::f64);
    noise.mutable_data<double>()[1 + step] = 1;
    return noise;
  };
  const Tensor x = sampler(score_of(sigma_denoiser(gaussian()), sde), sde, x_T, even_times(steps, kEnd),
                           {.noise = impulse, .denoise_last = false});
  return sum(square(x)).item();
}

double exact_variance(const LinearSde& sde) {
  const NoiseLevel last = sde.level(kEnd);
  return last.signal * last.signal * kVariance + last.noise * last.noise;
}

std::vector<double> weak_orders(const char* name, const Sampler& sampler, const LinearSde& sde) {
  std::vector<double> orders;
  double before = 0;
  std::printf("  weak order, %-18s %-10s", name, sde.name.c_str());
  for (const int64_t steps : {160, 320, 640, 1280}) {
    const double now = std::abs(drawn_variance(sampler, sde, steps) - exact_variance(sde));
    if (before > 0) {
      orders.push_back(std::log2(before / now));
      std::printf(" %.3f", orders.back());
    }
    before = now;
  }
  std::printf("   (error at 1280: %.1e of %.4f)\n", before, exact_variance(sde));
  return orders;
}

}  // namespace

TEST_CASE("oracle 13 weak order 1 of Euler-Maruyama and reverse diffusion", "[oracle]") {
  for (const LinearSde& sde : {vp_sde(), sub_vp_sde(), ve_sde(0.1, 5)}) {
    CHECK(weak_orders("euler-maruyama", euler_maruyama_sample, sde).back() == Approx(1).margin(0.1));
    CHECK(weak_orders("reverse diffusion", reverse_diffusion_sample, sde).back() == Approx(1).margin(0.1));
  }
}

TEST_CASE("oracle 13 strong order 1 of Euler-Maruyama, whose noise is additive", "[oracle]") {
  // One Brownian path for all step counts: a coarse step's noise is the sum of the fine ones'. The finest run is the
  // reference, so the last ratio is a little high.
  constexpr int64_t kFinest = 10240, kPaths = 400;
  const LinearSde sde = vp_sde(0.1, 8);
  const Score score = score_of(sigma_denoiser(mixture_oracle(GaussianMixture::parse("0.4:-1:0.5,0.6:1:0.6"))), sde);
  const Tensor path = randn({kPaths, kFinest}, "brownian", DType::f64);
  const Tensor x_T = randn({kPaths, 1}, "start", DType::f64);
  const auto end = [&](int64_t steps) {
    const int64_t joined = kFinest / steps;
    const NoiseSource noise = [&](int64_t i, const Shape&) {
      return sum(narrow(path, 1, i * joined, joined), {1}, true) / std::sqrt(static_cast<double>(joined));
    };
    return euler_maruyama_sample(score, sde, x_T, even_times(steps, 0.1), {.noise = noise, .denoise_last = false});
  };
  const Tensor reference = end(kFinest);
  const auto error = [&](int64_t steps) { return std::sqrt(mean(square(end(steps) - reference)).item()); };
  const double coarse = error(160), middle = error(320), fine = error(640);
  std::printf("  strong order, euler-maruyama: %.3f %.3f\n", std::log2(coarse / middle), std::log2(middle / fine));
  CHECK(std::log2(middle / fine) == Approx(1).margin(0.15));
}

TEST_CASE("oracle 13 Langevin correction mends what few predictor steps spoil", "[oracle]") {
  // 64-dimensional Gaussian data; the variance of 1500 images' pixels has a standard error of 0.5 %.
  const LinearSde sde = vp_sde();
  const Oracle data = gaussian_oracle(zeros({64}, DType::f64), kVariance);
  const Score score = score_of(sigma_denoiser(data), sde);
  const Tensor x_T = initial_noise({1500, 64}, 3, 0, DType::f64);
  const auto variance = [&](int64_t corrector_steps) {
    return mean(square(predictor_corrector_sample(
                    score, sde, x_T, even_times(30, kEnd),
                    {.snr = 0.1, .corrector_steps = corrector_steps, .noise = step_noise(8, 0, DType::f64)})))
        .item();
  };
  const double without = variance(0), with = variance(3), truth = exact_variance(sde);
  std::printf("  predictor-corrector, 30 steps: variance %.4f without, %.4f with 3 Langevin steps, exact %.4f\n",
              without, with, truth);
  CHECK(std::abs(with - truth) < 0.5 * std::abs(without - truth));
}

TEST_CASE("oracle 13 EDM's churn keeps the variance, and its spare noise shows", "[oracle]") {
  // Linear again: with churn, the noise raises the variance by as much as sigma says, and Heun takes it away.
  const int64_t steps = 600;
  const auto drawn = [&](double amount, double noise) {
    const auto sigmas = karras_sigmas(steps, 0.02, 20, 7, false);
    Tensor x = zeros({steps + 1, 1}, DType::f64);
    x.mutable_data<double>()[0] = std::sqrt(kVariance + 400);
    const NoiseSource impulse = [](int64_t step, const Shape& shape) {
      Tensor unit = zeros(shape, DType::f64);
      unit.mutable_data<double>()[1 + step] = 1;
      return unit;
    };
    return sum(square(heun_sample(sigma_denoiser(gaussian()), x, sigmas,
                                  {.churn = {.amount = amount, .noise = noise}, .noise = impulse})))
        .item();
  };
  const double exact = kVariance + 0.02 * 0.02;
  std::printf("  churn: variance %.5f without, %.5f with 40, %.5f with noise 1.02 too; exact %.5f\n", drawn(0, 1),
              drawn(40, 1), drawn(40, 1.02), exact);
  CHECK(drawn(0, 1) == Approx(exact).epsilon(1e-3));
  CHECK(drawn(40, 1) == Approx(exact).epsilon(1e-3));
  CHECK(drawn(40, 1.02) > exact * 1.01);
}
