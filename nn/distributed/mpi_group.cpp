#include "nn/distributed/mpi_group.h"

#ifdef SFUMATO_MPI

#include <mpi.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <csignal>
#include <cstdio>
#include <deque>
#include <mutex>
#include <thread>

#include "tensor/affinity.h"
#include "tensor/parallel.h"

namespace sfumato {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr milliseconds kBeat{1000};
// Looking after the neighbour costs two calls of MPI: not at every poll.
constexpr milliseconds kLook{50};
// One transfer may wait this long for ranks that live: rank 0 may be writing a checkpoint to a slow disk.
constexpr seconds kTransferLimit{1800};
// MPI_Abort has this long; then the process ends by itself and the launcher finds it dead.
constexpr unsigned kAbortSeconds = 10;
// Counts of MPI are ints.
constexpr size_t kPiece = size_t{1} << 30;

enum Tag : int { kData = 1, kHeartbeat = 2 };
enum Beat : char { kAlive = 1, kLeaving = 2 };

// What cannot be mended, on the way to die().
class MpiError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

void require(int code, const char* call) {
  if (code != MPI_SUCCESS) {
    char text[MPI_MAX_ERROR_STRING] = "";
    int length = 0;
    MPI_Error_string(code, text, &length);
    throw MpiError(fmt::format("{}: {}", call, std::string(text, static_cast<size_t>(length))));
  }
}

// Ends the job. Should MPI_Abort hang, the alarm ends this process, and the launcher the others.
[[noreturn]] void end_job(int exit_code) {
  std::signal(SIGALRM, SIG_DFL);
  sigset_t alarms;
  sigemptyset(&alarms);
  sigaddset(&alarms, SIGALRM);
  pthread_sigmask(SIG_UNBLOCK, &alarms, nullptr);
  alarm(kAbortSeconds);
  std::fflush(stderr);
  MPI_Abort(MPI_COMM_WORLD, exit_code);
  _exit(exit_code);
}

// Each rank tells the next one that it lives, and listens to the one before. A transfer that waits cannot tell a rank
// that computes from one that is gone; this can.
class Heart {
 public:
  void start(int rank, int size) {
    rank_ = rank;
    next_ = (rank + 1) % size;
    previous_ = (rank + size - 1) % size;
    require(MPI_Comm_dup(MPI_COMM_WORLD, &ring_), "MPI_Comm_dup");
    MPI_Comm_set_errhandler(ring_, MPI_ERRORS_RETURN);
    last_heard_ = last_look_ = last_sent_ = Clock::now();
    listen();
    send(kAlive);
  }

  // Call often. Throws when the neighbour has been silent for too long.
  void look() {
    const auto now = Clock::now();
    if (now - last_look_ < kLook) {
      return;
    }
    // Whoever was stopped itself (a suspended job) has heard nothing because it did not listen.
    if (now - last_look_ > seconds(5)) {
      last_heard_ = now;
    }
    last_look_ = now;
    hear();
    if (now - last_sent_ >= kBeat) {
      send(kAlive);
      last_sent_ = now;
    }
    if (!neighbour_leaves_ && now - last_heard_ > kSilenceLimit) {
      throw MpiError(fmt::format("rank {} has been silent for {} s", previous_, kSilenceLimit.count()));
    }
  }

  // When all work is done: waits until the neighbour is done too, so that no message is left behind.
  void stop() {
    send(kLeaving);
    while (!neighbour_leaves_) {
      look();
      std::this_thread::sleep_for(milliseconds(1));
    }
    require(MPI_Wait(&sent_, MPI_STATUS_IGNORE), "MPI_Wait");
    MPI_Comm_free(&ring_);
  }

 private:
  void listen() { require(MPI_Irecv(&heard_beat_, 1, MPI_CHAR, previous_, kHeartbeat, ring_, &heard_), "MPI_Irecv"); }

  void hear() {
    while (!neighbour_leaves_) {
      int arrived = 0;
      require(MPI_Test(&heard_, &arrived, MPI_STATUS_IGNORE), "MPI_Test");
      if (arrived == 0) {
        return;
      }
      last_heard_ = last_look_;
      neighbour_leaves_ = heard_beat_ == kLeaving;
      if (!neighbour_leaves_) {
        listen();
      }
    }
  }

  // A beat is a byte, which MPI takes at once; should one be stuck, it says all that a second would.
  void send(Beat beat) {
    if (sent_ != MPI_REQUEST_NULL) {
      int done = 0;
      require(beat == kLeaving ? MPI_Wait(&sent_, MPI_STATUS_IGNORE) : MPI_Test(&sent_, &done, MPI_STATUS_IGNORE),
              "MPI_Test");
      if (sent_ != MPI_REQUEST_NULL) {
        return;
      }
    }
    sent_beat_ = beat;
    require(MPI_Isend(&sent_beat_, 1, MPI_CHAR, next_, kHeartbeat, ring_, &sent_), "MPI_Isend");
  }

  int rank_ = 0, next_ = 0, previous_ = 0;
  MPI_Comm ring_ = MPI_COMM_NULL;
  MPI_Request heard_ = MPI_REQUEST_NULL, sent_ = MPI_REQUEST_NULL;
  char heard_beat_ = 0, sent_beat_ = 0;
  bool neighbour_leaves_ = false;
  Clock::time_point last_heard_, last_look_, last_sent_;
};

class MpiGroup final : public ProcessGroup, private Channel {
 public:
  MpiGroup() : cpus_(compute_cpus()) {
    // Signals are for the thread that computes.
    sigset_t all, previous;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &previous);
    thread_ = std::thread([this] { communicate(); });
    pthread_sigmask(SIG_SETMASK, &previous, nullptr);
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return ready_; });
    if (!refusal_.empty()) {
      lock.unlock();
      thread_.join();
      throw LaunchError(refusal_);
    }
  }

  ~MpiGroup() override {
    {
      const std::lock_guard lock(mutex_);
      leaving_ = true;
    }
    changed_.notify_all();
    thread_.join();
  }

  int rank() const override { return rank_; }
  int size() const override { return size_; }

  void start(Job job) override {
    {
      const std::lock_guard lock(mutex_);
      jobs_.push_back(std::move(job));
      ++unfinished_;
    }
    changed_.notify_all();
  }

  void wait() override {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return unfinished_ == 0; });
  }

  [[noreturn]] void abort(int exit_code) override {
    abort_code_ = exit_code;
    changed_.notify_all();
    std::this_thread::sleep_for(seconds(kAbortSeconds));  // the other thread calls MPI_Abort
    _exit(exit_code);
  }

 private:
  // ---- The thread: all calls of MPI are below. ----

  void communicate() {
    const HelperThreadScope helper;
    allow_cpus(cpus_);
    try {
      if (!initialize()) {
        return;
      }
      work();
      if (size_ > 1) {
        heart_.stop();
      }
      require(MPI_Finalize(), "MPI_Finalize");
    } catch (const std::exception& error) {
      std::fputs(fmt::format("sfumato: rank {}: {}; the job ends\n", rank_, error.what()).c_str(), stderr);
      end_job(/*exit_code=*/1);
    }
  }

  bool initialize() {
    int provided = MPI_THREAD_SINGLE;
    const int code = MPI_Init_thread(nullptr, nullptr, MPI_THREAD_FUNNELED, &provided);
    const bool good = code == MPI_SUCCESS && provided >= MPI_THREAD_FUNNELED;
    if (good) {
      MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);
      MPI_Comm_rank(MPI_COMM_WORLD, &rank_);
      MPI_Comm_size(MPI_COMM_WORLD, &size_);
      if (size_ > 1) {
        heart_.start(rank_, size_);
      }
    } else {
      refusal_ = "MPI cannot be used here: it refuses to be initialised, or knows of one thread only";
    }
    {
      const std::lock_guard lock(mutex_);
      ready_ = true;
    }
    changed_.notify_all();
    return good;
  }

  void work() {
    std::unique_lock lock(mutex_);
    while (!leaving_ || !jobs_.empty()) {
      if (jobs_.empty()) {
        changed_.wait_for(lock, milliseconds(100), [&] { return leaving_ || !jobs_.empty() || abort_code_ >= 0; });
        lock.unlock();
        look_around();
        lock.lock();
        continue;
      }
      const Job job = std::move(jobs_.front());
      jobs_.pop_front();
      lock.unlock();
      job(*this);
      lock.lock();
      if (--unfinished_ == 0) {
        changed_.notify_all();
      }
    }
  }

  void look_around() {
    if (abort_code_ >= 0) {
      end_job(abort_code_);
    }
    if (size_ > 1) {
      heart_.look();
    }
  }

  // Waits by asking now and then: MPI's own waits spin, and take the core from who computes. The first answers often
  // come at once, later ones less so.
  void complete(std::span<MPI_Request> requests, const char* what, int peer) {
    constexpr int kEager = 20;
    constexpr std::chrono::microseconds kShort{20}, kLong{200};
    const auto begin = Clock::now();
    for (int polls = 0;; ++polls) {
      int done = 0;
      require(MPI_Testall(static_cast<int>(requests.size()), requests.data(), &done, MPI_STATUSES_IGNORE), what);
      if (done != 0) {
        return;
      }
      look_around();
      if (Clock::now() - begin > kTransferLimit) {
        throw MpiError(fmt::format("{} with {}: nothing for {} s", what,
                                   peer < 0 ? "all ranks" : "rank " + std::to_string(peer), kTransferLimit.count()));
      }
      if (polls < kEager) {
        std::this_thread::yield();
      } else {
        std::this_thread::sleep_for(polls < 5 * kEager ? kShort : kLong);
      }
    }
  }

  // Both lists of pieces have as many as the longer message needs; those past an end are empty and not sent.
  void exchange(int peer, std::span<const std::byte> out, std::span<std::byte> in) override {
    for (size_t at = 0; at < std::max(out.size(), in.size()); at += kPiece) {
      MPI_Request requests[2];
      size_t count = 0;
      if (at < in.size()) {
        const auto piece = in.subspan(at, std::min(kPiece, in.size() - at));
        require(MPI_Irecv(piece.data(), static_cast<int>(piece.size()), MPI_BYTE, peer, kData, MPI_COMM_WORLD,
                          &requests[count++]),
                "MPI_Irecv");
      }
      if (at < out.size()) {
        const auto piece = out.subspan(at, std::min(kPiece, out.size() - at));
        require(MPI_Isend(piece.data(), static_cast<int>(piece.size()), MPI_BYTE, peer, kData, MPI_COMM_WORLD,
                          &requests[count++]),
                "MPI_Isend");
      }
      complete({requests, count}, "exchange", peer);
    }
  }

  void broadcast(std::span<std::byte> data, int root) override {
    for (size_t at = 0; at < data.size(); at += kPiece) {
      const auto piece = data.subspan(at, std::min(kPiece, data.size() - at));
      MPI_Request request = MPI_REQUEST_NULL;
      require(MPI_Ibcast(piece.data(), static_cast<int>(piece.size()), MPI_BYTE, root, MPI_COMM_WORLD, &request),
              "MPI_Ibcast");
      complete({&request, 1}, "broadcast", -1);
    }
  }

  void all_gather(std::span<const std::byte> mine, std::span<std::byte> all) override {
    if (mine.size() > kPiece) {
      throw MpiError(fmt::format("all_gather: {} bytes of each rank are more than {}", mine.size(), kPiece));
    }
    const int count = static_cast<int>(mine.size());
    MPI_Request request = MPI_REQUEST_NULL;
    require(MPI_Iallgather(mine.data(), count, MPI_BYTE, all.data(), count, MPI_BYTE, MPI_COMM_WORLD, &request),
            "MPI_Iallgather");
    complete({&request, 1}, "all_gather", -1);
  }

  const std::vector<int> cpus_;
  int rank_ = 0, size_ = 1;
  Heart heart_;

  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Job> jobs_;
  int64_t unfinished_ = 0;
  bool ready_ = false, leaving_ = false;
  std::string refusal_;
  std::atomic<int> abort_code_{-1};
  std::thread thread_;
};

}  // namespace

bool mpi_is_built_in() { return true; }

std::string mpi_library() {
  char text[MPI_MAX_LIBRARY_VERSION_STRING] = "";
  int length = 0;
  MPI_Get_library_version(text, &length);  // allowed before MPI_Init
  const std::string version(text, static_cast<size_t>(length));
  return version.substr(0, version.find_first_of(",\n"));
}

std::unique_ptr<ProcessGroup> make_mpi_group() { return std::make_unique<MpiGroup>(); }

}  // namespace sfumato

#else

namespace sfumato {

bool mpi_is_built_in() { return false; }

std::string mpi_library() { return "none"; }

std::unique_ptr<ProcessGroup> make_mpi_group() { throw LaunchError("this build is without MPI"); }

}  // namespace sfumato

#endif
