#include "tensor/affinity.h"

#include <sched.h>

#include "tensor/parallel.h"

namespace sfumato {

std::vector<int> compute_cpus() {
  cpu_set_t all;
  CPU_ZERO(&all);
#pragma omp parallel num_threads(num_threads())
  {
    cpu_set_t mine;
    CPU_ZERO(&mine);
    if (sched_getaffinity(0, sizeof(mine), &mine) == 0) {
#pragma omp critical
      CPU_OR(&all, &all, &mine);
    }
  }
  std::vector<int> cpus;
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (CPU_ISSET(cpu, &all)) {
      cpus.push_back(cpu);
    }
  }
  return cpus;
}

void allow_cpus(std::span<const int> cpus) {
  cpu_set_t set;
  CPU_ZERO(&set);
  for (const int cpu : cpus) {
    CPU_SET(cpu, &set);
  }
  sched_setaffinity(0, sizeof(set), &set);
}

std::string format_cpus(std::span<const int> cpus) {
  std::string text;
  for (size_t i = 0; i < cpus.size();) {
    size_t last = i;
    while (last + 1 < cpus.size() && cpus[last + 1] == cpus[last] + 1) {
      ++last;
    }
    text += (text.empty() ? "" : ",") + std::to_string(cpus[i]);
    if (last > i) {
      text += "-" + std::to_string(cpus[last]);
    }
    i = last + 1;
  }
  return text;
}

}  // namespace sfumato
