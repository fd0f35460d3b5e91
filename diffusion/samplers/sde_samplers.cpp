#include "diffusion/samplers/sde_samplers.h"

#include <algorithm>

#include "tensor/ops/elementwise.h"
#include "tensor/ops/reduce.h"

namespace sfumato {

namespace {

void check_times(std::string_view sampler, const Tensor& x, std::span<const double> times) {
  check(x.dim() >= 1 && is_floating(x.dtype()), sampler, ": images must be (N, ...), f32 or f64, got ", x.shape(), " ",
        x.dtype());
  check(times.size() >= 2 && times.front() <= 1 && times.back() > 0, sampler,
        ": needs at least two times within (0, 1], got ", times.size());
  check(std::is_sorted(times.rbegin(), times.rend(), std::less_equal<>()), sampler, ": times must fall");
}

Tensor call_score(std::string_view sampler, const Score& score, const Tensor& x, double t) {
  Tensor s = score(x, t);
  check(s.shape() == x.shape() && s.dtype() == x.dtype(), sampler, ": the score has ", s.shape(), " ", s.dtype(),
        " for images of ", x.shape(), " ", x.dtype());
  return s;
}

// Where a step ends without its noise, and how much of that there is.
struct Move {
  Tensor mean;
  double deviation;
};

Move euler_maruyama(const LinearSde& sde, const Tensor& x, const Tensor& s, double t, double t_next) {
  return {x + sde.reverse_drift(x, s, t) * (t_next - t), sde.diffusion(t) * std::sqrt(t - t_next)};
}

Move reverse_diffusion(const LinearSde& sde, const Tensor& x, const Tensor& s, double t, double t_next) {
  const NoiseLevel step = sde.transition(t_next, t);
  return {x * (2 - step.signal) + s * (step.noise * step.noise), step.noise};
}

// Euclidean norm of each image, (N, 1, ...).
Tensor norm_of_each(const Tensor& x) {
  Shape each = Shape::filled(x.dim(), 1);
  each[0] = x.size(0);
  return sqrt(sum_to(square(x), each));
}

// x + e s + sqrt(2 e) z for e = 2 (r ratio)².
Tensor langevin_step(const Tensor& x, const Tensor& s, const Tensor& z, double r, const Tensor& ratio) {
  const Tensor size = square(ratio) * (2 * r * r);
  return x + s * size + z * sqrt(size * 2.0);
}

}  // namespace

Score score_of(const SigmaDenoiser& denoiser, const LinearSde& sde) {
  return [=](const Tensor& x, double t) {
    const NoiseLevel level = sde.level(t);
    const Tensor x0 = call_denoiser("score_of", denoiser, x / level.signal, level.noise / level.signal);
    return (x0 * level.signal - x) / (level.noise * level.noise);
  };
}

std::vector<double> even_times(int64_t steps, double end) {
  check(steps >= 1 && end > 0 && end < 1, "even_times: needs at least one step and an end in (0, 1), got ", steps,
        " and ", end);
  std::vector<double> times;
  for (int64_t i = 0; i <= steps; ++i) {
    times.push_back(std::lerp(1.0, end, static_cast<double>(i) / static_cast<double>(steps)));
  }
  return times;
}

namespace {

// All three samplers: Langevin steps if any are asked for, then one of `predict`.
template <class Predict>
Tensor run(std::string_view sampler,
           const Score& score,
           const LinearSde& sde,
           const Tensor& x_T,
           std::span<const double> times,
           const PredictorCorrectorOptions& options,
           Predict&& predict) {
  check_times(sampler, x_T, times);
  check(options.snr > 0 && options.corrector_steps >= 0, sampler, ": needs a positive snr and no negative number of ",
        "corrector steps, got ", options.snr, " and ", options.corrector_steps);
  const auto steps = static_cast<int64_t>(times.size()) - 1;
  int64_t draws = 0;
  const auto noise = [&](const Tensor& x) { return draw_noise(sampler, options.noise, draws++, x); };
  Tensor x = x_T;
  for (int64_t i = 0; i < steps; ++i) {
    const double t = times[static_cast<size_t>(i)], t_next = times[static_cast<size_t>(i + 1)];
    const double keep = sde.transition(t_next, t).signal;
    for (int64_t k = 0; k < options.corrector_steps; ++k) {
      const Tensor s = call_score(sampler, score, x, t), z = noise(x);
      const Tensor ratio =
          options.by_norms ? norm_of_each(z) / norm_of_each(s) : full({}, sde.level(t).noise, x.dtype());
      x = langevin_step(x, s, z, options.snr * keep, ratio);
    }
    const Tensor s = call_score(sampler, score, x, t);
    const Move move = predict(sde, x, s, t, t_next);
    const bool quiet = options.denoise_last && i + 1 == steps;
    const Tensor next = quiet ? move.mean : move.mean + noise(x) * move.deviation;
    if (options.on_step) {
      const NoiseLevel level = sde.level(t);
      options.on_step({i, steps, t, t_next, x, (x + s * (level.noise * level.noise)) / level.signal, next});
    }
    x = next;
  }
  return x;
}

PredictorCorrectorOptions without_corrector(const SdeOptions& options) {
  return {
      .corrector_steps = 0, .noise = options.noise, .denoise_last = options.denoise_last, .on_step = options.on_step};
}

}  // namespace

Tensor euler_maruyama_sample(const Score& score,
                             const LinearSde& sde,
                             const Tensor& x_T,
                             std::span<const double> times,
                             const SdeOptions& options) {
  return run("euler_maruyama_sample", score, sde, x_T, times, without_corrector(options), euler_maruyama);
}

Tensor reverse_diffusion_sample(const Score& score,
                                const LinearSde& sde,
                                const Tensor& x_T,
                                std::span<const double> times,
                                const SdeOptions& options) {
  return run("reverse_diffusion_sample", score, sde, x_T, times, without_corrector(options), reverse_diffusion);
}

Tensor predictor_corrector_sample(const Score& score,
                                  const LinearSde& sde,
                                  const Tensor& x_T,
                                  std::span<const double> times,
                                  const PredictorCorrectorOptions& options) {
  return run("predictor_corrector_sample", score, sde, x_T, times, options, reverse_diffusion);
}

}  // namespace sfumato
