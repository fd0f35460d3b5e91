#include "diffusion/train/progress.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>

namespace sfumato {
namespace {

constexpr double kRedrawSeconds = 0.2;
constexpr double kLineSeconds = 5;
constexpr int kBarWidth = 24;

double seconds_between(std::chrono::steady_clock::time_point a, std::chrono::steady_clock::time_point b) {
  return std::chrono::duration<double>(b - a).count();
}

}  // namespace

std::string format_duration(double seconds) {
  const auto whole = static_cast<int64_t>(std::max(seconds, 0.0) + 0.5);
  if (whole >= 3600) {
    return fmt::format("{} h {:02} min", whole / 3600, whole % 3600 / 60);
  }
  return whole >= 60 ? fmt::format("{} min {:02} s", whole / 60, whole % 60) : fmt::format("{} s", whole);
}

Progress::Progress(std::string title, int64_t total, int64_t first, int64_t units_per_step, std::string unit)
    : title_(std::move(title)),
      unit_(std::move(unit)),
      total_(total),
      first_(first),
      units_per_step_(units_per_step),
      done_(first),
      tty_(isatty(STDERR_FILENO) != 0),
      colour_(tty_ && std::getenv("NO_COLOR") == nullptr),
      start_(Clock::now()),
      shown_(start_) {}

double Progress::units_per_second() const {
  const double elapsed = seconds_between(start_, Clock::now());
  return elapsed > 0 ? static_cast<double>((done_ - first_) * units_per_step_) / elapsed : 0;
}

std::string Progress::line(int64_t done, const std::string& note) const {
  const double rate = units_per_second();
  const double left = rate > 0 ? static_cast<double>((total_ - done) * units_per_step_) / rate : 0;
  std::string bar;
  if (tty_) {
    const auto filled = static_cast<int>(kBarWidth * done / std::max<int64_t>(total_, 1));
    bar = " [" + std::string(static_cast<size_t>(filled), '=') +
          std::string(static_cast<size_t>(kBarWidth - filled), ' ') + "]";
  }
  const std::string title = colour_ ? "\033[1m" + title_ + "\033[0m" : title_;
  return fmt::format("{}{} {}/{}  {}  {:.1f} {}/s  {} left", title, bar, done, total_, note, rate, unit_,
                     format_duration(left));
}

void Progress::update(int64_t done, const std::string& note) {
  done_ = done;
  const auto now = Clock::now();
  if (seconds_between(shown_, now) < (tty_ ? kRedrawSeconds : kLineSeconds) && done < total_) {
    return;
  }
  shown_ = now;
  drawn_ = tty_;
  std::fputs((tty_ ? "\r" + line(done, note) + "\033[K" : line(done, note) + "\n").c_str(), stderr);
  std::fflush(stderr);
}

void Progress::message(const std::string& text) {
  std::fputs(((drawn_ ? "\r\033[K" : "") + text + "\n").c_str(), stderr);
  drawn_ = false;
}

void Progress::finish() {
  if (drawn_) {
    std::fputs("\n", stderr);
    drawn_ = false;
  }
}

}  // namespace sfumato
