// Where the ranks of a job run: which host, which CPUs, how many threads. Bindings that cost speed are found here.
//
//   const std::vector<RankPlace> places = gather_places(*group);
//   binding_table(places);          // rank  host   CPUs  threads
//                                   //    0  node1  0-7   8
//   binding_warnings(places);       // "rank 1 on node1 has 8 threads for 1 CPU (4): ..."
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "nn/distributed/process_group.h"

namespace sfumato {

struct RankPlace {
  static constexpr int kMostCpus = 1024;

  std::array<char, 64> host{};  // ends in a zero
  std::array<uint64_t, kMostCpus / 64> cpus{};
  int32_t threads = 0;
  int32_t host_cpus =
      0;  // how many the host has; 0: a batch system gives out parts of hosts, so that it does not matter
};

// Of all ranks, in their order.
std::vector<RankPlace> gather_places(ProcessGroup& group);
std::string binding_table(const std::vector<RankPlace>& places);
// A line for each binding that wastes something.
std::vector<std::string> binding_warnings(const std::vector<RankPlace>& places);

}  // namespace sfumato
