#include "nn/distributed/tree_exchange.h"

#include <bit>

#include "tensor/ops/optim.h"
#include "tensor/ops/view.h"

namespace sfumato {
namespace {

Tensor part(const Tensor& flat, const FlatRange& range) { return narrow(flat, 0, range.begin, range.size()); }

std::span<const std::byte> bytes_of(const Tensor& x) {
  return {static_cast<const std::byte*>(x.raw_data()), static_cast<size_t>(x.numel()) * size_of(x.dtype())};
}

std::span<std::byte> writable_bytes_of(Tensor& x) {
  return {static_cast<std::byte*>(x.mutable_raw_data()), static_cast<size_t>(x.numel()) * size_of(x.dtype())};
}

}  // namespace

TreeExchange::TreeExchange(int rank, int size, const TreeExchangeOptions& options)
    : rank_(rank), size_(size), options_(options) {
  check(size >= 1 && std::has_single_bit(static_cast<unsigned>(size)) && rank >= 0 && rank < size,
        "TreeExchange: ranks must be 0..p-1 with p a power of two, got rank ", rank, " of ", size);
}

std::vector<TreeExchange::Half> TreeExchange::halves(FlatRange range) const {
  std::vector<Half> all;
  for (int bit = 1; bit < size_; bit *= 2) {
    const int64_t grains = (range.size() + options_.grain - 1) / options_.grain;
    const int64_t middle = std::min(range.begin + (grains + 1) / 2 * options_.grain, range.end);
    const FlatRange low{range.begin, middle}, high{middle, range.end};
    const bool keeps_low = (rank_ & bit) == 0;
    all.push_back({keeps_low ? low : high, keeps_low ? high : low, rank_ ^ bit});
    range = all.back().kept;
  }
  return all;
}

FlatRange TreeExchange::slice(const FlatRange& range) const {
  const std::vector<Half> all = halves(range);
  return all.empty() ? range : all.back().kept;
}

void TreeExchange::reduce(Channel& channel, const Tensor& flat, const FlatRange& range) const {
  const DType on_the_wire = options_.bf16 ? DType::bf16 : DType::f32;
  for (const Half& half : halves(range)) {
    Tensor sum = part(flat, half.kept);
    const Tensor out = part(flat, half.given).to(on_the_wire);  // f32: the same memory
    Tensor in = Tensor::empty({half.kept.size()}, on_the_wire);
    channel.exchange(half.partner, bytes_of(out), writable_bytes_of(in));
    if (sum.numel() == 0) {
      continue;
    }
    add_(sum, in.to(DType::f32));
    if (options_.bf16) {
      sum.copy_from(sum.to(DType::bf16));
    }
  }
}

void TreeExchange::gather(Channel& channel, const Tensor& flat, const FlatRange& range) const {
  const std::vector<Half> all = halves(range);
  for (auto half = all.rbegin(); half != all.rend(); ++half) {
    // `kept` is whole by now: the rounds before this one have filled it.
    Tensor given = part(flat, half->given);
    if (options_.bf16) {
      const Tensor out = part(flat, half->kept).to(DType::bf16);
      Tensor in = Tensor::empty({half->given.size()}, DType::bf16);
      channel.exchange(half->partner, bytes_of(out), writable_bytes_of(in));
      given.copy_from(in);
    } else {
      channel.exchange(half->partner, bytes_of(part(flat, half->kept)), writable_bytes_of(given));
    }
  }
}

}  // namespace sfumato
