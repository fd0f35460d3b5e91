#include "diffusion/process/trajectory.h"

#include "diffusion/process/gaussian.h"
#include "tensor/ops/join.h"
#include "tensor/random.h"

namespace sfumato {
namespace {

// The schedule's index of time t, for each of `count` samples.
Tensor index_of(int64_t t, int64_t count) { return full({count}, static_cast<double>(t - 1), DType::i64); }

// Calls visit(t, x_t) for t = 0..last.
template <class F>
void walk(const NoiseSchedule& schedule, const Tensor& x0, int64_t last, F&& visit) {
  const RandomState state = RandomScope::current();
  Tensor x = x0;
  visit(0, x);
  for (int64_t t = 1; t <= last; ++t) {
    const RandomScope scope({.seed = state.seed, .step = t, .first_sample = state.first_sample});
    x = q_step(schedule, x, index_of(t, x0.size(0)), randn(x0.shape(), "forward-step-noise", x0.dtype()));
    visit(t, x);
  }
}

}  // namespace

Tensor noising_trajectory(const NoiseSchedule& schedule,
                          const Tensor& x0,
                          std::span<const int64_t> times,
                          NoisingMode mode) {
  check(x0.dim() >= 1 && is_floating(x0.dtype()), "noising_trajectory: x0 must be floating (N, ...), got ", x0.dtype(),
        " ", x0.shape());
  check(!times.empty(), "noising_trajectory: no times are given");
  int64_t previous = -1;
  for (const int64_t t : times) {
    check(t >= 0 && t <= schedule.num_timesteps(), "noising_trajectory: t = ", t, " is outside 0..",
          schedule.num_timesteps());
    check(t > previous, "noising_trajectory: t = ", t, " follows ", previous, "; times must ascend");
    previous = t;
  }
  std::vector<Tensor> frames;
  if (mode == NoisingMode::stepwise) {
    walk(schedule, x0, times.back(), [&](int64_t t, const Tensor& x) {
      if (t == times[frames.size()]) {
        frames.push_back(x);
      }
    });
  } else {
    const Tensor noise = randn(x0.shape(), "forward-noise", x0.dtype());
    for (const int64_t t : times) {
      frames.push_back(t == 0 ? x0 : q_sample(schedule, x0, index_of(t, x0.size(0)), noise));
    }
  }
  return stack(frames, 0);
}

}  // namespace sfumato
