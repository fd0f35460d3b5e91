#include "nn/data/loader.h"

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <exception>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include "tensor/parallel.h"

namespace sfumato {
namespace {

// Computes the batch of any step; keeps the permutation of the epoch it last needed.
class BatchReader {
 public:
  BatchReader(std::shared_ptr<const Dataset> dataset, const LoaderOptions& options)
      : dataset_(std::move(dataset)), options_(options), size_(dataset_->size()), shape_(dataset_->sample_shape()) {}

  // `cancelled` is asked before every sample; when it says so, the batch is left half read.
  template <class Cancelled>
  Batch read(int64_t step, const Cancelled& cancelled) {
    Batch batch = empty_batch(step);
    float* images = batch.images.mutable_data<float>();
    int64_t* labels = batch.labels.defined() ? batch.labels.mutable_data<int64_t>() : nullptr;
    const int64_t elements = shape_.numel();
    for (int64_t i = 0; i < options_.batch_size && !cancelled(); ++i) {
      const SampleRandom random(options_.seed, batch.first_sample + i);
      const int64_t index = index_of(random.sample());
      float* out = images + i * elements;
      dataset_->read(index, out, random);
      if (options_.horizontal_flip && (random.words("flip")[0] >> 31) != 0) {
        mirror(out);
      }
      if (labels != nullptr) {
        labels[i] = dataset_->label(index);
      }
    }
    return batch;
  }

 private:
  Batch empty_batch(int64_t step) const {
    Shape shape = shape_;
    shape.insert(0, options_.batch_size);
    Batch batch;
    batch.images = Tensor::empty(shape);
    batch.labels = dataset_->has_labels() ? Tensor::empty({options_.batch_size}, DType::i64) : Tensor();
    batch.first_sample = step * options_.batch_size;
    batch.step = step;
    return batch;
  }

  int64_t index_of(int64_t sample) {
    const int64_t epoch = sample / size_;
    if (!options_.shuffle) {
      return sample % size_;
    }
    if (epoch != epoch_) {
      const RandomScope scope({.seed = options_.seed, .step = epoch, .first_sample = 0});
      order_ = random_permutation(size_, RandomStream::of("shuffle"));
      epoch_ = epoch;
    }
    return order_[static_cast<size_t>(sample % size_)];
  }

  // Reverses every row of a sample.
  void mirror(float* sample) const {
    const int64_t width = shape_[shape_.rank() - 1];
    for (int64_t at = 0; at < shape_.numel(); at += width) {
      std::reverse(sample + at, sample + at + width);
    }
  }

  std::shared_ptr<const Dataset> dataset_;
  LoaderOptions options_;
  int64_t size_;
  Shape shape_;
  int64_t epoch_ = -1;
  std::vector<int64_t> order_;
};

}  // namespace

class DataLoader::Impl {
 public:
  Impl(std::shared_ptr<const Dataset> dataset, const LoaderOptions& options)
      : reader_(std::move(dataset), options),
        step_(options.first_step),
        prefetch_(static_cast<size_t>(options.prefetch)) {
    if (prefetch_ > 0) {
      thread_ = std::thread([this] { run(); });
    }
  }

  ~Impl() {
    {
      const std::lock_guard lock(mutex_);
      stop_ = true;
    }
    changed_.notify_all();
    if (thread_.joinable()) {
      thread_.join();
    }
  }

  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;

  Batch next() {
    if (prefetch_ == 0) {
      Batch batch = reader_.read(step_, [] { return false; });
      ++step_;
      return batch;
    }
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return !ready_.empty() || failure_; });
    if (ready_.empty()) {
      std::rethrow_exception(failure_);
    }
    Batch batch = std::move(ready_.front());
    ready_.pop_front();
    lock.unlock();
    changed_.notify_all();
    return batch;
  }

 private:
  // The thread: keeps `prefetch_` batches ready until it is told to stop or a batch fails.
  void run() {
    const HelperThreadScope helper;
    try {
      for (;; ++step_) {
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [&] { return stop_ || ready_.size() < prefetch_; });
        if (stop_) {
          return;
        }
        lock.unlock();
        Batch batch = reader_.read(step_, [&] { return stopping(); });
        lock.lock();
        ready_.push_back(std::move(batch));
        lock.unlock();
        changed_.notify_all();
      }
    } catch (...) {
      const std::lock_guard lock(mutex_);
      failure_ = std::current_exception();
    }
    changed_.notify_all();
  }

  bool stopping() {
    const std::lock_guard lock(mutex_);
    return stop_;
  }

  // The thread's own once it runs; without one, next()'s.
  BatchReader reader_;
  int64_t step_;

  const size_t prefetch_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Batch> ready_;     // in the order of steps
  std::exception_ptr failure_;  // of the batch after the ready ones
  bool stop_ = false;
  std::thread thread_;
};

DataLoader::DataLoader(std::shared_ptr<const Dataset> dataset, const LoaderOptions& options) {
  check(dataset != nullptr, "DataLoader: no dataset");
  check(dataset->size() > 0, "DataLoader: the dataset is empty");
  check(options.batch_size > 0, "DataLoader: batch_size must be positive, got ", options.batch_size);
  check(options.first_step >= 0, "DataLoader: first_step must not be negative, got ", options.first_step);
  check(options.prefetch >= 0, "DataLoader: prefetch must not be negative, got ", options.prefetch);
  const Shape shape = dataset->sample_shape();
  check(shape.rank() < kMaxRank, "DataLoader: samples of shape ", shape, " leave no room for the batch dimension");
  check(shape.rank() > 0 || !options.horizontal_flip, "DataLoader: a sample of rank 0 cannot be mirrored");
  impl_ = std::make_unique<Impl>(std::move(dataset), options);
}

DataLoader::~DataLoader() = default;
DataLoader::DataLoader(DataLoader&&) noexcept = default;
DataLoader& DataLoader::operator=(DataLoader&&) noexcept = default;

Batch DataLoader::next() { return impl_->next(); }

}  // namespace sfumato
