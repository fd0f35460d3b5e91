#include "diffusion/train/checkpoint_writer.h"

#include <csignal>
#include <utility>

#include "tensor/io/file.h"
#include "tensor/parallel.h"

namespace sfumato {
namespace {

// Copies into the buffers of the last snapshot where they fit.
void copy_tensors(const NamedTensors& from, NamedTensors& to) {
  to.resize(from.size());
  for (size_t i = 0; i < from.size(); ++i) {
    const Tensor& tensor = from[i].second;
    Tensor& copy = to[i].second;
    to[i].first = from[i].first;
    if (copy.defined() && copy.shape() == tensor.shape() && copy.dtype() == tensor.dtype()) {
      copy.copy_from(tensor);
    } else {
      copy = tensor.clone();
    }
  }
}

}  // namespace

CheckpointWriter::CheckpointWriter(CheckpointFolder folder, const CheckpointPolicy& policy)
    : folder_(std::move(folder)), policy_(policy) {
  // Signals are for the training loop: this thread would only be interrupted by them.
  sigset_t all, previous;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &previous);
  thread_ = std::thread([this] { work(); });
  pthread_sigmask(SIG_SETMASK, &previous, nullptr);
}

CheckpointWriter::~CheckpointWriter() {
  {
    std::lock_guard lock(mutex_);
    ending_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

void CheckpointWriter::work() {
  const HelperThreadScope helper;
  std::unique_lock lock(mutex_);
  for (;;) {
    changed_.wait(lock, [&] { return busy_ || ending_; });
    if (!busy_) {
      return;
    }
    lock.unlock();
    std::exception_ptr error;
    try {
      folder_.save(snapshot_, policy_);
    } catch (...) {
      error = std::current_exception();
    }
    lock.lock();
    error_ = error;
    busy_ = false;
    changed_.notify_all();
  }
}

void CheckpointWriter::take_snapshot(const CheckpointContents& contents) {
  snapshot_.step = contents.step;
  snapshot_.environment = contents.environment;
  copy_tensors(contents.weights, snapshot_.weights);
  copy_tensors(contents.optimizer, snapshot_.optimizer);
  copy_tensors(contents.ema, snapshot_.ema);
}

void CheckpointWriter::save(const CheckpointContents& contents) {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return !busy_; });
  take_snapshot(contents);
  busy_ = true;
  lock.unlock();
  changed_.notify_all();
}

std::optional<std::string> CheckpointWriter::problem() {
  std::lock_guard lock(mutex_);
  if (busy_ || error_ == nullptr) {
    return std::nullopt;
  }
  try {
    std::rethrow_exception(std::exchange(error_, nullptr));
  } catch (const std::exception& error) {
    return error.what();
  }
}

void CheckpointWriter::wait() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return !busy_; });
  if (error_ != nullptr) {
    std::rethrow_exception(std::exchange(error_, nullptr));
  }
}

}  // namespace sfumato
