#include "nn/data/loader.h"

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include "tensor/parallel.h"

namespace sfumato {
namespace {

// A batch that is being read. Threads claim its rows in their order and finish them in any.
struct Slot {
  Batch batch;
  std::vector<int64_t> indices;  // the dataset's index of each row; as many as a batch has rows
  int64_t claimed = 0;
  int64_t done = 0;  // of the claimed rows, those read, failed or given up
  std::exception_ptr failure;
  int64_t failed_row = 0;

  // Whether next() may have it. After a failure no more rows are claimed, so those that are in work are the last.
  bool finished() const { return done == claimed && (failure || done == static_cast<int64_t>(indices.size())); }
  // Keeps the failure of the first row: rows before it were claimed before it, so which one that is does not depend on
  // the threads.
  void fail(int64_t row, std::exception_ptr why) {
    if (!failure || row < failed_row) {
      failure = std::move(why);
      failed_row = row;
    }
  }
};

// Knows which samples a step has, and reads them.
class BatchReader {
 public:
  BatchReader(std::shared_ptr<const Dataset> dataset, const LoaderOptions& options)
      : dataset_(std::move(dataset)), options_(options), size_(dataset_->size()), shape_(dataset_->sample_shape()) {}

  // Makes room for the batch of a step. Keeps the permutation of the epoch it last needed: one call at a time.
  void open(Slot& slot, int64_t step) {
    Shape shape = shape_;
    shape.insert(0, options_.num_rows);
    slot.batch.images = Tensor::empty(shape);
    slot.batch.labels = dataset_->has_labels() ? Tensor::empty({options_.num_rows}, DType::i64) : Tensor();
    slot.batch.first_sample = step * options_.batch_size + options_.first_row;
    slot.batch.step = step;
    for (size_t i = 0; i < slot.indices.size(); ++i) {
      slot.indices[i] = index_of(slot.batch.first_sample + static_cast<int64_t>(i));
    }
  }

  // Where the rows of an open batch are written; taken once, for it counts as a modification of the tensors.
  struct Rows {
    float* images;
    int64_t* labels;  // null without labels
  };
  Rows rows(Slot& slot) const {
    return {slot.batch.images.mutable_data<float>(),
            slot.batch.labels.defined() ? slot.batch.labels.mutable_data<int64_t>() : nullptr};
  }

  // Reads one row of an open batch. Safe from several threads for different rows.
  void read(const Slot& slot, const Rows& rows, int64_t row) const {
    const SampleRandom random(options_.seed, slot.batch.first_sample + row);
    const int64_t index = slot.indices[static_cast<size_t>(row)];
    float* out = rows.images + row * shape_.numel();
    dataset_->read(index, out, random);
    if (options_.horizontal_flip && (random.words("flip")[0] >> 31) != 0) {
      mirror(out);
    }
    if (rows.labels != nullptr) {
      rows.labels[row] = dataset_->label(index);
    }
  }

 private:
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

// Batches in work and ready ones stand in a ring, step s in slot s mod prefetch. head_ is the step that next() waits
// for, filling_ the one whose rows are being claimed: head_ <= filling_ <= head_ + prefetch.
class DataLoader::Impl {
 public:
  Impl(std::shared_ptr<const Dataset> dataset, const LoaderOptions& options)
      : reader_(std::move(dataset), options),
        num_rows_(options.num_rows),
        // Few enough rows that threads end a batch together, many enough that claiming costs nothing.
        rows_at_once_(std::max<int64_t>(options.num_rows / (int64_t{4} * std::max(options.threads, 1)), 1)),
        head_(options.first_step),
        filling_(options.first_step),
        slots_(static_cast<size_t>(std::max(options.prefetch, 1))) {
    for (Slot& slot : slots_) {
      slot.indices.resize(static_cast<size_t>(num_rows_));
    }
    // The compute threads are made by whoever asks first; were that one of ours, they would be its own, beside a second
    // set for the caller.
    num_threads();
    try {
      for (int i = 0; options.prefetch > 0 && i < options.threads; ++i) {
        threads_.emplace_back([this] { work(); });
      }
    } catch (...) {  // the system gives no more threads
      end_threads();
      throw;
    }
  }

  ~Impl() { end_threads(); }
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;

  Batch next() {
    Slot& slot = slot_of(head_);
    if (threads_.empty()) {
      reader_.open(slot, head_);
      const auto rows = reader_.rows(slot);
      for (int64_t row = 0; row < num_rows_; ++row) {
        reader_.read(slot, rows, row);
      }
      ++head_;
      return std::move(slot.batch);
    }
    std::unique_lock lock(mutex_);
    ready_.wait(lock, [&] { return slot.finished(); });
    if (slot.failure) {
      std::rethrow_exception(slot.failure);
    }
    Batch batch = std::move(slot.batch);
    slot.claimed = slot.done = 0;
    ++head_;
    lock.unlock();
    room_.notify_all();
    return batch;
  }

 private:
  Slot& slot_of(int64_t step) { return slots_[static_cast<size_t>(step) % slots_.size()]; }

  // A thread: claims rows and reads them until it is told to stop or a row fails.
  void work() {
    const HelperThreadScope helper;
    std::unique_lock lock(mutex_);
    for (;;) {
      room_.wait(lock, [&] { return over_ || filling_ < head_ + static_cast<int64_t>(slots_.size()); });
      if (over_) {
        return;
      }
      Slot& slot = slot_of(filling_);
      if (slot.claimed == 0 && !open(slot)) {
        return;
      }
      const int64_t first = slot.claimed;
      const int64_t count = std::min(rows_at_once_, num_rows_ - first);
      slot.claimed += count;
      filling_ += slot.claimed == num_rows_ ? 1 : 0;
      const auto rows = reader_.rows(slot);
      lock.unlock();
      read(slot, rows, first, count, lock);
      slot.done += count;
      if (slot.finished()) {
        ready_.notify_all();
      }
    }
  }

  // False after a failure. With the lock held.
  bool open(Slot& slot) {
    try {
      reader_.open(slot, filling_);
    } catch (...) {
      slot.fail(0, std::current_exception());
      give_up();
      ready_.notify_all();
    }
    return !slot.failure;
  }

  // Reads some rows and takes the lock again.
  void read(
      Slot& slot, const BatchReader::Rows& rows, int64_t first, int64_t count, std::unique_lock<std::mutex>& lock) {
    int64_t row = first;
    try {
      for (; row < first + count && !stop_.load(std::memory_order_relaxed); ++row) {
        reader_.read(slot, rows, row);
      }
      lock.lock();
    } catch (...) {
      lock.lock();
      slot.fail(row, std::current_exception());
      give_up();
    }
  }

  // No more rows are claimed. With the lock held.
  void give_up() {
    over_ = true;
    room_.notify_all();
  }

  void end_threads() {
    stop_ = true;
    {
      const std::lock_guard lock(mutex_);
      give_up();
    }
    for (std::thread& thread : threads_) {
      thread.join();
    }
  }

  BatchReader reader_;
  const int64_t num_rows_;
  const int64_t rows_at_once_;

  std::mutex mutex_;
  std::condition_variable room_;   // a slot is free, or all is over
  std::condition_variable ready_;  // a slot is finished
  int64_t head_;
  int64_t filling_;
  std::vector<Slot> slots_;
  bool over_ = false;              // claim no more: a row failed, or the loader goes
  std::atomic<bool> stop_{false};  // read no more: the loader goes
  std::vector<std::thread> threads_;
};

DataLoader::DataLoader(std::shared_ptr<const Dataset> dataset, const LoaderOptions& options) {
  check(dataset != nullptr, "DataLoader: no dataset");
  check(dataset->size() > 0, "DataLoader: the dataset is empty");
  check(options.batch_size > 0, "DataLoader: batch_size must be positive, got ", options.batch_size);
  check(options.first_step >= 0, "DataLoader: first_step must not be negative, got ", options.first_step);
  check(options.prefetch >= 0, "DataLoader: prefetch must not be negative, got ", options.prefetch);
  check(options.threads >= 0, "DataLoader: threads must not be negative, got ", options.threads);
  const Shape shape = dataset->sample_shape();
  check(shape.rank() < kMaxRank, "DataLoader: samples of shape ", shape, " leave no room for the batch dimension");
  check(shape.rank() > 0 || !options.horizontal_flip, "DataLoader: a sample of rank 0 cannot be mirrored");
  LoaderOptions all = options;
  all.num_rows = options.num_rows > 0 ? options.num_rows : options.batch_size;
  check(options.first_row >= 0 && options.num_rows >= 0 && options.first_row + all.num_rows <= options.batch_size,
        "DataLoader: rows ", options.first_row, "..", options.first_row + all.num_rows - 1, " of a batch of ",
        options.batch_size);
  impl_ = std::make_unique<Impl>(std::move(dataset), all);
}

DataLoader::~DataLoader() = default;
DataLoader::DataLoader(DataLoader&&) noexcept = default;
DataLoader& DataLoader::operator=(DataLoader&&) noexcept = default;

Batch DataLoader::next() { return impl_->next(); }

}  // namespace sfumato
