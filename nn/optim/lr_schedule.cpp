#include "nn/optim/lr_schedule.h"

#include <cmath>
#include <numbers>

#include "tensor/check.h"

namespace sfumato {

double learning_rate(const LrSchedule& s, int64_t step) {
  check(step >= 1, "learning_rate: steps count from 1, got ", step);
  check(s.lr >= 0 && s.floor >= 0 && s.warmup_steps >= 0,
        "learning_rate: lr, floor and warmup_steps must not be negative, got ", s.lr, ", ", s.floor, " and ",
        s.warmup_steps);
  check(s.decay != LrDecay::cosine || s.total_steps > s.warmup_steps, "learning_rate: a cosine needs total_steps (",
        s.total_steps, ") above warmup_steps (", s.warmup_steps, ")");
  if (step <= s.warmup_steps) {
    return s.lr * static_cast<double>(step) / static_cast<double>(s.warmup_steps);
  }
  if (s.decay == LrDecay::constant) {
    return s.lr;
  }
  if (step >= s.total_steps) {
    return s.floor;
  }
  const double progress =
      static_cast<double>(step - s.warmup_steps) / static_cast<double>(s.total_steps - s.warmup_steps);
  return s.floor + (s.lr - s.floor) * 0.5 * (1.0 + std::cos(std::numbers::pi * progress));
}

}  // namespace sfumato
