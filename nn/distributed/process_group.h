// ProcessGroup: the processes that work on one job, be it one or a thousand.
//
//   std::unique_ptr<ProcessGroup> group = join_job();          // alone, unless a launcher has started us
//   group->broadcast(seeds.data(), seeds.size() * sizeof(int64_t));
//   std::vector<double> losses = all_gather(*group, my_loss);   // one of each rank, in their order
//   group->start([&](Channel& channel) { channel.exchange(peer, out, in); });   // while this thread computes
//   group->wait();
//
// Every process calls the same things in the same order. A process that started alone has a group of one, where all of
// this costs nothing; the same program runs both ways.
//
// Behind a group of several is one thread that makes every call of MPI ("mpi_group.cpp"): messages travel while the
// others compute, and MPI is asked for nothing but FUNNELED. What the thread cannot mend (an error of MPI, a process
// that has been silent for kSilenceLimit) ends the whole job with its cause on stderr. Nothing waits for ever.
#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <span>
#include <type_traits>
#include <vector>

#include "tensor/check.h"

namespace sfumato {

// The job was started in a way that it cannot run in (exit code 78): so many processes, without MPI, or apart.
class LaunchError : public Error {
 public:
  using Error::Error;
};

// Every process tells its neighbour that it lives; one that has not for so long ends the job.
inline constexpr std::chrono::seconds kSilenceLimit{30};

// What a started job may do: move bytes. Only inside jobs.
class Channel {
 public:
  virtual ~Channel() = default;
  // Sends `out` to a rank and receives `in` from it, at once in both directions; either may be empty.
  virtual void exchange(int peer, std::span<const std::byte> out, std::span<std::byte> in) = 0;
  // `data` of `root` to all.
  virtual void broadcast(std::span<std::byte> data, int root) = 0;
  // `mine` of each rank, of one length, into `all` in the order of ranks.
  virtual void all_gather(std::span<const std::byte> mine, std::span<std::byte> all) = 0;
};

class ProcessGroup {
 public:
  using Job = std::function<void(Channel&)>;

  virtual ~ProcessGroup() = default;
  virtual int rank() const = 0;
  virtual int size() const = 0;
  bool is_root() const { return rank() == 0; }

  // Jobs run one after another in the order of their start. They must not throw. What they touch must live, and be left
  // alone, until wait() returns.
  virtual void start(Job job) = 0;
  virtual void wait() = 0;
  void run(Job job);

  void barrier();
  void broadcast(void* data, size_t bytes, int root = 0);
  void all_gather(const void* mine, size_t bytes, void* all);

  // Ends the job on every rank with this exit code; who calls it has said why.
  [[noreturn]] virtual void abort(int exit_code) = 0;
};

// The group of this process: of all that the launcher started, else of this one alone. Call it once, before any other
// thread is made. Throws LaunchError where a launcher started several processes that cannot find each other: they would
// each do the whole work, and write over one another.
std::unique_ptr<ProcessGroup> join_job();
// A group of one.
std::unique_ptr<ProcessGroup> single_process();

// One value of each rank, in their order.
template <class T>
std::vector<T> all_gather(ProcessGroup& group, const T& mine) {
  static_assert(std::is_trivially_copyable_v<T>);
  std::vector<T> all(static_cast<size_t>(group.size()), mine);
  group.all_gather(&mine, sizeof(T), all.data());
  return all;
}

}  // namespace sfumato
