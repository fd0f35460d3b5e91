// The sum of a flat buffer over all ranks, in the order of the tree of micro-batches, each byte sent as seldom as can
// be.
//
//   const TreeExchange exchange(group->rank(), group->size(), {.grain = 16});
//   group->run([&](Channel& channel) {
//     exchange.reduce(channel, gradients, {0, n});     // this rank's slice of [0, n) now holds the sum
//     exchange.gather(channel, gradients, {0, n});     // and now all of [0, n), on every rank
//   });
//
// 2^k ranks each hold the sum of a subtree; what is left are the k levels above. In round j, rank r and rank r ^ 2^j
// halve the slice that both still sum: each sends the half that the other keeps, and adds what it gets to its own. So
// after round j every slice holds sums over 2^(j+1) neighbouring ranks, which are nodes of the tree, and addition of
// two numbers does not care for their order: the bits are those of one rank. Gathering goes the same way back.
//
//   sent by each rank: 2 (p - 1) / p n elements in 2 log2(p) messages     (Rabenseifner 2004; the least there is)
//
// MPI's own reductions choose their order by size, ranks and version, so none of them is called.
#pragma once

#include <vector>

#include "nn/distributed/process_group.h"
#include "nn/optim/flat_parameters.h"
#include "tensor/tensor.h"

namespace sfumato {

struct TreeExchangeOptions {
  int64_t grain = FlatParameters::kAlignment;  // slices begin at multiples of it, counted from the range's begin
  // Messages are bf16, and every sum is rounded to it: half the bytes. The buffers that come in must be rounded already
  // (GradientTree's `bf16`).
  bool bf16 = false;
};

class TreeExchange {
 public:
  // `size` must be a power of two.
  TreeExchange(int rank, int size, const TreeExchangeOptions& options = {});

  // What is left to this rank of a range after reduce(): about 1 / size of it, perhaps nothing.
  FlatRange slice(const FlatRange& range) const;
  // Sums a contiguous f32 `flat` over the ranks; the rest of the range keeps partial sums. Inside a job.
  void reduce(Channel& channel, const Tensor& flat, const FlatRange& range) const;
  // Gives every rank the slices of the others.
  void gather(Channel& channel, const Tensor& flat, const FlatRange& range) const;

 private:
  // What this rank sums after so many rounds, and what its partner of the last of them does.
  struct Half {
    FlatRange kept, given;
    int partner;
  };
  std::vector<Half> halves(FlatRange range) const;

  int rank_, size_;
  TreeExchangeOptions options_;
};

}  // namespace sfumato
