// Progress of a long job on stderr: a bar that redraws itself on a terminal, a line every few seconds elsewhere.
//
//   Progress progress("train", config.steps, first_step);
//   progress.update(step, "loss 0.0312");       // also prints rate and time left
//   progress.finish();
//
// Rates count `unit`s: units_per_step for every step. Colour is left out when NO_COLOR is set.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

namespace sfumato {

class Progress {
 public:
  Progress(std::string title, int64_t total, int64_t first, int64_t units_per_step, std::string unit);
  // `done` counts steps from the beginning of the job, resumed ones included.
  void update(int64_t done, const std::string& note);
  // Ends the bar's line.
  void finish();
  // Prints a line of its own, without tearing the bar.
  void message(const std::string& text);

  double units_per_second() const;

 private:
  using Clock = std::chrono::steady_clock;
  std::string line(int64_t done, const std::string& note) const;

  std::string title_, unit_;
  int64_t total_, first_, units_per_step_;
  int64_t done_ = 0;
  bool tty_, colour_, drawn_ = false;
  Clock::time_point start_, shown_;
};

// "1 h 02 min", "3 min 20 s", "12 s".
std::string format_duration(double seconds);

}  // namespace sfumato
