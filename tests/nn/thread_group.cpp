#include "nn/thread_group.h"

#include <condition_variable>
#include <cstring>
#include <deque>
#include <exception>
#include <map>
#include <mutex>
#include <thread>
#include <utility>

#include "tensor/parallel.h"

namespace sfumato::testing {
namespace {

// Messages on their way, by sender and receiver.
class Post {
 public:
  void send(int from, int to, std::span<const std::byte> message) {
    const std::lock_guard lock(mutex_);
    boxes_[{from, to}].emplace_back(message.begin(), message.end());
    arrived_.notify_all();
  }
  void receive(int from, int to, std::span<std::byte> message) {
    std::unique_lock lock(mutex_);
    auto& box = boxes_[{from, to}];
    arrived_.wait(lock, [&] { return !box.empty() || closed_; });
    check(!box.empty(), "thread group: another rank has failed");
    check(box.front().size() == message.size(), "thread group: rank ", to, " expects ", message.size(),
          " bytes of rank ", from, ", which sent ", box.front().size());
    std::copy(box.front().begin(), box.front().end(), message.begin());
    box.pop_front();
  }
  // A rank has failed: the others must not wait for it.
  void close() {
    const std::lock_guard lock(mutex_);
    closed_ = true;
    arrived_.notify_all();
  }

 private:
  std::mutex mutex_;
  std::condition_variable arrived_;
  bool closed_ = false;
  std::map<std::pair<int, int>, std::deque<std::vector<std::byte>>> boxes_;
};

class ThreadRank final : public ProcessGroup, private Channel {
 public:
  ThreadRank(Post& post, int rank, int size) : post_(post), rank_(rank), size_(size) {}
  int rank() const override { return rank_; }
  int size() const override { return size_; }
  void start(Job job) override { job(*this); }
  void wait() override {}
  [[noreturn]] void abort(int /*exit_code*/) override { std::terminate(); }

 private:
  void exchange(int peer, std::span<const std::byte> out, std::span<std::byte> in) override {
    if (!out.empty()) post_.send(rank_, peer, out);
    if (!in.empty()) post_.receive(peer, rank_, in);
  }
  void broadcast(std::span<std::byte> data, int root) override {
    for (int to = 0; rank_ == root && to < size_; ++to) {
      if (to != root) post_.send(root, to, data);
    }
    if (rank_ != root) post_.receive(root, rank_, data);
  }
  void all_gather(std::span<const std::byte> mine, std::span<std::byte> all) override {
    for (int to = 0; to < size_; ++to) post_.send(rank_, to, mine);
    for (int from = 0; from < size_; ++from) {
      post_.receive(from, rank_, all.subspan(static_cast<size_t>(from) * mine.size(), mine.size()));
    }
  }

  Post& post_;
  int rank_, size_;
};

}  // namespace

void on_ranks(int size, const std::function<void(ProcessGroup& group)>& body) {
  num_threads();  // the compute threads are made here, not by a helper
  Post post;
  std::vector<std::exception_ptr> errors(static_cast<size_t>(size));
  std::vector<std::thread> threads;
  threads.reserve(static_cast<size_t>(size));
  for (int rank = 0; rank < size; ++rank) {
    threads.emplace_back([&, rank] {
      const HelperThreadScope helper;
      ThreadRank group(post, rank, size);
      try {
        body(group);
      } catch (...) {
        errors[static_cast<size_t>(rank)] = std::current_exception();
        post.close();
      }
    });
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
  for (const std::exception_ptr& error : errors) {
    if (error) std::rethrow_exception(error);
  }
}

}  // namespace sfumato::testing
