// Launch: whether this process was started as one of several, told from what launchers leave in the environment.
//
//   Launch launch = find_launch([](const char* name) { return std::getenv(name); });
//   launch.seen;                                     // under mpirun or srun
//
// MPI is not initialised to find out: a program that was started plainly should not wait for it, nor need it.
#pragma once

#include <functional>
#include <string>

namespace sfumato {

struct Launch {
  bool seen = false;
  int size = 0;           // of the job, as the launcher says; 0: it does not say
  bool can_meet = false;  // it has left what processes need to find each other; plain srun has not
  std::string by;         // "mpirun"
};

// `variable` looks up the environment; null for what is not there.
Launch find_launch(const std::function<const char*(const char* name)>& variable);

}  // namespace sfumato
