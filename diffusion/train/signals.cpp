#include "diffusion/train/signals.h"

#include <unistd.h>
#include <csignal>
#include <initializer_list>

namespace sfumato {
namespace {

volatile std::sig_atomic_t received = 0;

void on_signal(int number) {
  constexpr int kInterrupted = 130;
  if (number == SIGINT && received == SIGINT) {
    _exit(kInterrupted);
  }
  received = number;
}

}  // namespace

void install_stop_handlers() {
  struct sigaction action {};
  action.sa_handler = on_signal;
  action.sa_flags = SA_RESTART;
  sigemptyset(&action.sa_mask);
  for (const int number : {SIGINT, SIGTERM, SIGUSR1}) {
    sigaction(number, &action, nullptr);
  }
}

int stop_signal() { return received; }

}  // namespace sfumato
