// Which CPUs a process computes on, for helper threads that must not be pinned to one of them and for people who want
// to see how a launcher has bound their processes.
//
//   std::vector<int> cpus = compute_cpus();         // {0, 1, 2, 3}
//   format_cpus(cpus);                               // "0-3"
//   std::thread helper([&] { allow_cpus(cpus); ... });
//
// OpenMP may bind each of its threads to one CPU (OMP_PROC_BIND), the first thread of the process among them, and a
// thread that is made later inherits that binding: it would share a core with the first while others idle.
#pragma once

#include <span>
#include <string>
#include <vector>

namespace sfumato {

// The CPUs that the compute threads may run on together, ascending. Opens a parallel region: not for helper threads.
std::vector<int> compute_cpus();
// Lets the calling thread run on these. What the system refuses is left as it was.
void allow_cpus(std::span<const int> cpus);
// "0-3,8" for {0, 1, 2, 3, 8}.
std::string format_cpus(std::span<const int> cpus);

}  // namespace sfumato
