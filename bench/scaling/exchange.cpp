// What an exchange between ranks costs: the network's parameters for the model of bench/scaling/model.awk.
//
//   mpirun -n 2 build/release/bench/sfumato_exchange
//
// A line for each size of a bucket: bytes, seconds from start to end, and seconds of processor that rank 0 has used for
// it; medians of kRounds. Seconds do not include waiting for a rank that comes late: all meet before each exchange.
#include <sys/resource.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <vector>

#include "nn/distributed/tree_exchange.h"

using namespace sfumato;

namespace {

constexpr size_t kRounds = 21;
constexpr std::array kElements{4, 1 << 12, 1 << 14, 1 << 16, 1 << 18, 1 << 20};

double processor_seconds() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + 1e-6 * static_cast<double>(t.tv_usec);
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

double median(std::vector<double> values) {
  std::nth_element(values.begin(), values.begin() + kRounds / 2, values.end());
  return values[kRounds / 2];
}

}  // namespace

int main() {
  const auto group = join_job();
  const TreeExchange exchange(group->rank(), group->size());
  for (const int64_t elements : kElements) {
    const Tensor flat = zeros({elements});
    std::vector<double> seconds, processor;
    for (size_t round = 0; round < kRounds; ++round) {
      group->barrier();
      const auto begin = std::chrono::steady_clock::now();
      const double used = processor_seconds();
      group->run([&](Channel& channel) {
        exchange.reduce(channel, flat, {0, elements});
        exchange.gather(channel, flat, {0, elements});
      });
      seconds.push_back(std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count());
      processor.push_back(processor_seconds() - used);
    }
    if (group->is_root()) {
      fmt::print("{} {:.9f} {:.9f}\n", elements * 4, median(seconds), median(processor));
    }
  }
}
