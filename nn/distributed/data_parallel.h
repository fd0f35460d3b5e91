// DataParallel: one optimiser step over V micro-batches that several ranks share, with the bits of one rank.
//
//   DataParallel parallel(flat, /*leaves=*/V, *group);
//   parallel.reset();
//   for (int64_t i = 0; i < parallel.num_leaves(); ++i) {
//     parallel.begin_leaf();
//     loss(micro_batch(parallel.first_leaf() + i)).backward();
//     parallel.end_leaf();
//   }
//   parallel.step(adam, lr, clip_coefficient(parallel.gradient_norm(), 1.0));
//
// The V gradients are summed over a fixed binary tree ("nn/optim/gradient_tree.h"). Rank r of p owns the subtree of the
// leaves r V/p .. (r+1) V/p - 1; the log2(p) levels above are summed between ranks ("nn/distributed/tree_exchange.h").
//
// Buckets. The flat gradient is cut into buckets of equal size. While the last micro-batch of a rank runs backward,
// each bucket whose gradients are all there goes to the communication thread: it is summed with the rank's other
// micro-batches, exchanged, and back before the backward pass ends, if the network keeps up. All ranks send buckets in
// one order, that in which the first step has finished them on rank 0. When each is sent decides nothing but time.
//
// ZeRO-1 (Rajbhandari et al. 2020): each rank keeps the moments of its slices alone, updates those parameters, and gets
// the others' parameters in place of the others' gradients: the same bytes sent, the same bits, 1/p of the moments.
// Slices then begin at multiples of 64 Ki elements, the chunks over which the gradient's norm is summed.
#pragma once

#include <chrono>
#include <vector>

#include "nn/distributed/process_group.h"
#include "nn/distributed/tree_exchange.h"
#include "nn/optim/gradient_tree.h"
#include "nn/optim/optimizer.h"

namespace sfumato {

struct DataParallelOptions {
  bool zero1 = false;
  // Gradients and their sums are rounded to bf16 and sent as such: another result, the same on any number of ranks.
  bool bf16 = false;
  bool overlap = true;  // false: every bucket after the backward pass, for comparison
  int64_t bucket_bytes = int64_t{1} << 20;
};

// Throws LaunchError naming the nearest numbers that would do, unless `ranks` is a power of two that divides `leaves`.
void check_rank_count(int ranks, int64_t leaves);

class DataParallel {
 public:
  // `parameters` and `group` must outlive it. Throws as check_rank_count() does.
  DataParallel(FlatParameters& parameters,
               int64_t leaves,
               ProcessGroup& group,
               const DataParallelOptions& options = {});
  ~DataParallel();
  DataParallel(const DataParallel&) = delete;
  DataParallel& operator=(const DataParallel&) = delete;

  // The micro-batches of this rank.
  int64_t first_leaf() const { return group_.rank() * tree_.leaves(); }
  int64_t num_leaves() const { return tree_.leaves(); }

  // Forgets an unfinished step; call it before each.
  void reset();
  // Around the backward pass of each micro-batch, in their order.
  void begin_leaf();
  void end_leaf();

  // After the last: the norm of the whole sum, the same on all ranks.
  double gradient_norm();
  // One update with the whole sum. The optimiser must be one that prepare() has seen.
  void step(Optimizer& optimizer, double lr, double grad_scale);

  // For an optimiser that has made no step.
  void prepare(Optimizer& optimizer) const;
  // optimizer.state() with the moments of all ranks. Every rank must call it.
  NamedTensors state_of(const Optimizer& optimizer) const;

  // One value of each of this rank's leaves in, one of each of all V leaves out, in their order.
  std::vector<double> of_all_leaves(std::span<const double> mine) const;

  // For how long this rank has waited, since reset(), for messages and for ranks that are behind.
  double waited_seconds() const { return waited_.count(); }

  // The parameters whose moments this rank keeps.
  std::vector<FlatRange> shard() const;

 private:
  struct Bucket {
    FlatRange range;
    int64_t slots = 0;    // parameters that lie in it, at least in part
    int64_t missing = 0;  // of those, how many have no gradient yet
  };

  void cut_buckets(int64_t bucket_bytes);
  void on_ready(size_t slot);
  void send_ready_buckets();
  void send(const Bucket& bucket);
  void agree_on_order();
  // Calls what waits for others.
  template <class F>
  void wait_in(F&& f) const;

  FlatParameters& parameters_;
  ProcessGroup& group_;
  DataParallelOptions options_;
  GradientTree tree_;
  TreeExchange exchange_;
  std::vector<HookHandle> hooks_;
  std::vector<Bucket> buckets_;
  std::vector<std::vector<size_t>> buckets_of_slot_;
  std::vector<size_t> order_;     // of buckets, once it is known
  std::vector<size_t> finished_;  // in the first step: buckets as they became ready
  size_t sent_ = 0;               // of order_
  bool listening_ = false;        // the last leaf's backward pass is on
  mutable std::chrono::duration<double> waited_{0};
};

}  // namespace sfumato
