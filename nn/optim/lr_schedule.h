// Learning rates as functions of the step: linear warm-up, then constant or a half cosine down to a floor.
//
//   LrSchedule schedule{.lr = 2e-4, .warmup_steps = 5000};
//   adam.step(gradients, learning_rate(schedule, step));            // step counts from 1
//
//   step <= warmup_steps:  lr * step / warmup_steps                 (the last warm-up step has the whole lr)
//   then constant:         lr
//   or cosine:             floor + (lr - floor) * (1 + cos(pi * p)) / 2, p = (step - warmup) / (total - warmup),
//                          and the floor from step total_steps on (Loshchilov & Hutter 2017, without restarts)
#pragma once

#include <cstdint>

namespace sfumato {

enum class LrDecay { constant, cosine };

struct LrSchedule {
  double lr = 1e-3;
  int64_t warmup_steps = 0;
  LrDecay decay = LrDecay::constant;
  int64_t total_steps = 0;  // for cosine
  double floor = 0;         // for cosine
};

// Throws for step < 1, negative settings, or a cosine whose total_steps does not exceed its warm-up.
double learning_rate(const LrSchedule& schedule, int64_t step);

}  // namespace sfumato
