#include "nn/distributed/data_parallel.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <numeric>

#include "tensor/ops/optim.h"
#include "tensor/ops/view.h"

namespace sfumato {
namespace {

int64_t leaves_of_each(int ranks, int64_t leaves) {
  check_rank_count(ranks, leaves);
  return leaves / ranks;
}

int64_t grain_of(const DataParallelOptions& options) {
  return options.zero1 ? kSquaresChunk : FlatParameters::kAlignment;
}

}  // namespace

void check_rank_count(int ranks, int64_t leaves) {
  const auto wanted = static_cast<uint64_t>(ranks);
  if (std::has_single_bit(wanted) && leaves % ranks == 0) {
    return;
  }
  // V is a power of two, so every smaller one divides it.
  const auto most = static_cast<uint64_t>(leaves);
  const uint64_t below = std::min(std::bit_floor(wanted), most), above = std::bit_ceil(wanted);
  throw LaunchError(
      fmt::format("the number of ranks must be a power of two that divides batch_size / micro_batch = {}, "
                  "got {} (nearest: {}{})",
                  leaves, ranks, below, above <= most ? fmt::format(" or {}", above) : ""));
}

DataParallel::DataParallel(FlatParameters& parameters,
                           int64_t leaves,
                           ProcessGroup& group,
                           const DataParallelOptions& options)
    : parameters_(parameters),
      group_(group),
      options_(options),
      tree_(parameters.size(), leaves_of_each(group.size(), leaves), options.bf16),
      exchange_(group.rank(), group.size(), {.grain = grain_of(options), .bf16 = options.bf16}) {
  check(options.bucket_bytes > 0, "DataParallel: bucket_bytes must be positive, got ", options.bucket_bytes);
  cut_buckets(options.bucket_bytes);
  if (group.size() > 1 && options.overlap) {
    hooks_ = parameters.on_gradient([this](size_t slot) { on_ready(slot); });
  }
}

DataParallel::~DataParallel() {
  group_.wait();
  for (HookHandle& hook : hooks_) {
    hook.remove();
  }
}

// Under ZeRO-1 a bucket has a chunk for every rank, else some would have no share of it.
void DataParallel::cut_buckets(int64_t bucket_bytes) {
  const int64_t grain = grain_of(options_);
  int64_t length = bucket_bytes / static_cast<int64_t>(sizeof(float));
  length = std::max(length, options_.zero1 ? grain * group_.size() : grain);
  length = (length + grain - 1) / grain * grain;
  for (int64_t begin = 0; begin < parameters_.size(); begin += length) {
    buckets_.push_back({.range = {begin, std::min(begin + length, parameters_.size())}});
  }
  for (const FlatParameters::Slot& slot : parameters_.slots()) {
    std::vector<size_t>& touched = buckets_of_slot_.emplace_back();
    const int64_t end = slot.offset + std::max<int64_t>(slot.shape.numel(), 1);
    for (int64_t b = slot.offset / length; b * length < end; ++b) {
      touched.push_back(static_cast<size_t>(b));
      ++buckets_[touched.back()].slots;
    }
  }
}

template <class F>
void DataParallel::wait_in(F&& f) const {
  const auto begin = std::chrono::steady_clock::now();
  f();
  waited_ += std::chrono::steady_clock::now() - begin;
}

void DataParallel::reset() {
  group_.wait();
  tree_.reset();
  listening_ = false;
  waited_ = {};
}

void DataParallel::begin_leaf() {
  parameters_.begin_gradients(tree_.next_buffer());
  if (group_.size() > 1 && tree_.pushed() == tree_.leaves() - 1) {
    for (Bucket& bucket : buckets_) {
      bucket.missing = bucket.slots;
    }
    finished_.clear();
    sent_ = 0;
    listening_ = true;
  }
}

void DataParallel::on_ready(size_t slot) {
  if (!listening_) {
    return;
  }
  for (const size_t b : buckets_of_slot_[slot]) {
    if (--buckets_[b].missing == 0) {
      finished_.push_back(b);
    }
  }
  send_ready_buckets();
}

void DataParallel::send_ready_buckets() {
  for (; sent_ < order_.size() && buckets_[order_[sent_]].missing == 0; ++sent_) {
    send(buckets_[order_[sent_]]);
  }
}

void DataParallel::send(const Bucket& bucket) {
  group_.start([this, range = bucket.range](Channel& channel) {
    const Tensor& sums = tree_.sum_range(range.begin, range.end);
    exchange_.reduce(channel, sums, range);
    if (!options_.zero1) {
      exchange_.gather(channel, sums, range);
    }
  });
}

// What the pass has not reached is zero by now.
void DataParallel::end_leaf() {
  parameters_.gradients();
  if (listening_) {
    listening_ = false;
    if (order_.empty()) {
      agree_on_order();
    }
    for (Bucket& bucket : buckets_) {
      bucket.missing = 0;
    }
    send_ready_buckets();
    wait_in([&] { group_.wait(); });
  }
  tree_.push();
}

// The order in which the first step has finished the buckets; those that the pass did not reach come last.
void DataParallel::agree_on_order() {
  std::vector<size_t> order = finished_;
  for (size_t b = 0; b < buckets_.size(); ++b) {
    if (std::find(finished_.begin(), finished_.end(), b) == finished_.end()) {
      order.push_back(b);
    }
  }
  group_.broadcast(order.data(), order.size() * sizeof(size_t));
  order_ = std::move(order);
}

std::vector<FlatRange> DataParallel::shard() const {
  if (!options_.zero1) {
    return {{0, parameters_.size()}};
  }
  std::vector<FlatRange> ranges;
  for (const Bucket& bucket : buckets_) {
    if (const FlatRange slice = exchange_.slice(bucket.range); slice.size() > 0) {
      ranges.push_back(slice);
    }
  }
  return ranges;
}

double DataParallel::gradient_norm() {
  if (!options_.zero1) {
    return std::sqrt(sum_of_squares(tree_.total()));
  }
  // Every rank knows the chunks of its shard; a rank sends as many numbers as the largest shard has.
  const int64_t chunks = (parameters_.size() + kSquaresChunk - 1) / kSquaresChunk;
  std::vector<double> sums(static_cast<size_t>(chunks), 0.0);
  for (const FlatRange& range : shard()) {
    const auto found = squares_of_chunks(narrow(tree_.total(), 0, range.begin, range.size()));
    std::copy(found.begin(), found.end(), sums.begin() + range.begin / kSquaresChunk);
  }
  std::vector<double> all(sums.size() * static_cast<size_t>(group_.size()));
  wait_in([&] { group_.all_gather(sums.data(), sums.size() * sizeof(double), all.data()); });
  // A chunk is in one shard, so one of the terms is its sum and the others are 0.
  std::vector<double> merged(sums.size(), 0.0);
  for (size_t i = 0; i < all.size(); ++i) {
    merged[i % sums.size()] += all[i];
  }
  return std::sqrt(sum_over_tree(std::move(merged)));
}

void DataParallel::step(Optimizer& optimizer, double lr, double grad_scale) {
  optimizer.step(tree_.total(), lr, grad_scale);
  if (options_.zero1 && group_.size() > 1) {
    const TreeExchange exact(group_.rank(), group_.size(), {.grain = grain_of(options_)});
    wait_in([&] {
      group_.run([&](Channel& channel) {
        for (const Bucket& bucket : buckets_) {
          exact.gather(channel, parameters_.values(), bucket.range);
        }
      });
    });
  }
}

void DataParallel::prepare(Optimizer& optimizer) const {
  if (options_.zero1) {
    optimizer.keep_only(shard());
  }
}

NamedTensors DataParallel::state_of(const Optimizer& optimizer) const {
  if (!options_.zero1) {
    return optimizer.state();
  }
  const TreeExchange exact(group_.rank(), group_.size(), {.grain = grain_of(options_)});
  return optimizer.state([&](Tensor& flat) {
    group_.run([&](Channel& channel) {
      for (const Bucket& bucket : buckets_) {
        exact.gather(channel, flat, bucket.range);
      }
    });
  });
}

std::vector<double> DataParallel::of_all_leaves(std::span<const double> mine) const {
  check(static_cast<int64_t>(mine.size()) == tree_.leaves(), "DataParallel: a value of each of ", tree_.leaves(),
        " micro-batches, got ", mine.size());
  std::vector<double> all(mine.size() * static_cast<size_t>(group_.size()));
  wait_in([&] { group_.all_gather(mine.data(), mine.size_bytes(), all.data()); });
  return all;
}

}  // namespace sfumato
