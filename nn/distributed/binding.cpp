#include "nn/distributed/binding.h"

#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cstdlib>
#include <map>
#include <thread>

#include "tensor/affinity.h"
#include "tensor/parallel.h"

namespace sfumato {
namespace {

using CpuSet = decltype(RankPlace::cpus);

std::vector<int> list_of(const CpuSet& set) {
  std::vector<int> cpus;
  for (int cpu = 0; cpu < RankPlace::kMostCpus; ++cpu) {
    const uint64_t word = set[static_cast<size_t>(cpu) / 64];
    if ((word >> (cpu % 64) & 1u) != 0) {
      cpus.push_back(cpu);
    }
  }
  return cpus;
}

int count_of(const CpuSet& set) {
  int count = 0;
  for (const uint64_t word : set) {
    count += std::popcount(word);
  }
  return count;
}

std::string plural(int64_t count, const char* what) {
  return fmt::format("{} {}{}", count, what, count == 1 ? "" : "s");
}

struct Host {
  CpuSet cpus{};
  int ranks = 0, threads = 0, host_cpus = 0;
};

std::map<std::string, Host> hosts_of(const std::vector<RankPlace>& places) {
  std::map<std::string, Host> hosts;
  for (const RankPlace& place : places) {
    Host& host = hosts[place.host.data()];
    for (size_t i = 0; i < host.cpus.size(); ++i) {
      host.cpus[i] |= place.cpus[i];
    }
    ++host.ranks;
    host.threads += place.threads;
    host.host_cpus = place.host_cpus;
  }
  return hosts;
}

}  // namespace

std::vector<RankPlace> gather_places(ProcessGroup& group) {
  RankPlace mine;
  gethostname(mine.host.data(), mine.host.size() - 1);
  for (const int cpu : compute_cpus()) {
    mine.cpus[static_cast<size_t>(cpu) / 64] |= uint64_t{1} << (cpu % 64);
  }
  mine.threads = num_threads();
  mine.host_cpus = std::getenv("SLURM_JOB_ID") != nullptr ? 0 : static_cast<int>(std::thread::hardware_concurrency());
  return all_gather(group, mine);
}

std::string binding_table(const std::vector<RankPlace>& places) {
  size_t width = 4;
  for (const RankPlace& place : places) {
    width = std::max(width, std::string_view(place.host.data()).size());
  }
  std::string table = fmt::format("{:>5}  {:<{}}  {:>7}  {}\n", "rank", "host", width, "threads", "CPUs");
  for (size_t rank = 0; rank < places.size(); ++rank) {
    const RankPlace& place = places[rank];
    table += fmt::format("{:>5}  {:<{}}  {:>7}  {}\n", rank, place.host.data(), width, place.threads,
                         format_cpus(list_of(place.cpus)));
  }
  return table;
}

std::vector<std::string> binding_warnings(const std::vector<RankPlace>& places) {
  std::vector<std::string> warnings;
  for (size_t rank = 0; rank < places.size(); ++rank) {
    const RankPlace& place = places[rank];
    if (const int cpus = count_of(place.cpus); cpus < place.threads) {
      warnings.push_back(
          fmt::format("rank {} on {} has {} for {} ({}): mpirun --map-by slot:PE={} binds it to more, "
                      "--bind-to none to none; srun takes --cpus-per-task={}",
                      rank, place.host.data(), plural(place.threads, "thread"), plural(cpus, "CPU"),
                      format_cpus(list_of(place.cpus)), place.threads, place.threads));
    }
  }
  if (!warnings.empty()) {
    return warnings;  // the hosts' sums follow from it
  }
  for (const auto& [name, host] : hosts_of(places)) {
    const int cpus = count_of(host.cpus);
    if (host.threads > cpus) {
      warnings.push_back(fmt::format("{} has {} on {}: give each rank fewer (--threads)", name,
                                     plural(host.threads, "thread"), plural(cpus, "CPU")));
    } else if (cpus < host.host_cpus) {
      warnings.push_back(
          fmt::format("{} of {}'s {} will idle: mpirun binds each rank to one core unless told otherwise "
                      "(--map-by slot:PE={})",
                      host.host_cpus - cpus, name, plural(host.host_cpus, "CPU"), host.host_cpus / host.ranks));
    }
  }
  return warnings;
}

}  // namespace sfumato
