// Whether ops are recorded on the tape, per thread.
//
//   { NoGradGuard guard; y = net(x); }      // nothing is recorded
#pragma once

namespace sfumato {

bool grad_enabled();

// Switches recording on or off while it lives.
class GradModeGuard {
 public:
  explicit GradModeGuard(bool enabled);
  ~GradModeGuard();
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
