#include "nn/distributed/process_group.h"

#include <cstdlib>
#include <cstring>
#include <string>
#include <utility>

#include "nn/distributed/launcher.h"
#include "nn/distributed/mpi_group.h"

namespace sfumato {
namespace {

// Nobody to talk to: what was sent to all has arrived.
class SingleProcess final : public ProcessGroup, private Channel {
 public:
  int rank() const override { return 0; }
  int size() const override { return 1; }
  void start(Job job) override { job(*this); }
  void wait() override {}
  [[noreturn]] void abort(int exit_code) override { std::exit(exit_code); }

 private:
  void exchange(int /*peer*/, std::span<const std::byte> out, std::span<std::byte> in) override {
    std::memmove(in.data(), out.data(), std::min(in.size(), out.size()));
  }
  void broadcast(std::span<std::byte> /*data*/, int /*root*/) override {}
  void all_gather(std::span<const std::byte> mine, std::span<std::byte> all) override {
    std::memmove(all.data(), mine.data(), mine.size());
  }
};

}  // namespace

void ProcessGroup::run(Job job) {
  start(std::move(job));
  wait();
}

void ProcessGroup::barrier() {
  if (size() > 1) {
    sfumato::all_gather(*this, char{});
  }
}

void ProcessGroup::broadcast(void* data, size_t bytes, int root) {
  if (size() > 1 && bytes > 0) {
    run([&](Channel& channel) { channel.broadcast({static_cast<std::byte*>(data), bytes}, root); });
  }
}

void ProcessGroup::all_gather(const void* mine, size_t bytes, void* all) {
  if (bytes > 0) {
    run([&](Channel& channel) {
      channel.all_gather({static_cast<const std::byte*>(mine), bytes},
                         {static_cast<std::byte*>(all), bytes * static_cast<size_t>(size())});
    });
  }
}

std::unique_ptr<ProcessGroup> single_process() { return std::make_unique<SingleProcess>(); }

std::unique_ptr<ProcessGroup> join_job() {
  const Launch launch = find_launch([](const char* name) { return std::getenv(name); });
  if (!launch.seen) {
    return single_process();
  }
  if (!mpi_is_built_in()) {
    if (launch.size == 1) {
      return single_process();
    }
    throw LaunchError("started by " + launch.by + " as one of several processes, but this build is without MPI");
  }
  if (!launch.can_meet) {
    throw LaunchError(fmt::format("started by {} as one of {} processes that cannot find each other: {}", launch.by,
                                  launch.size, "say srun --mpi=pmix, or use mpirun"));
  }
  auto group = make_mpi_group();
  // Another MPI's launcher: each would find itself alone, do the whole work, and write over the others.
  if (launch.size > 0 && group->size() != launch.size) {
    throw LaunchError(
        fmt::format("started by {} as one of {} processes, but MPI finds {}: use the launcher of the MPI {}", launch.by,
                    launch.size, group->size(), "that this build has"));
  }
  return group;
}

}  // namespace sfumato
