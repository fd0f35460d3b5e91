// Whether ops are recorded on the tape, per thread.
//
//   { NoGradGuard guard; y = net(x); }      // nothing is recorded
#pragma once

namespace sfumato {

namespace detail {
inline thread_local constinit bool grad_mode = true;
}

inline bool grad_enabled() { return detail::grad_mode; }

// Switches recording on or off while it lives.
class GradModeGuard {
 public:
  explicit GradModeGuard(bool enabled) : previous_(detail::grad_mode) { detail::grad_mode = enabled; }
  ~GradModeGuard() { detail::grad_mode = previous_; }
  GradModeGuard(const GradModeGuard&) = delete;
  GradModeGuard& operator=(const GradModeGuard&) = delete;

 private:
  bool previous_;
};

class NoGradGuard : GradModeGuard {
 public:
  NoGradGuard() : GradModeGuard(false) {}
};

}  // namespace sfumato
