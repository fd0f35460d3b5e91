// A plan is a oneDNN primitive ready to run on plain tensors: with it come the reorders into and out of the layouts
// that it prefers, and the sizes of all the scratch memory. Plans are kept in a cache under a key of ours.
//
//   Key key{kMatmul, batch, m, n, k};
//   auto plan = cached_plan(key, [&] { return make_matmul_plan(...); });
//   plan->run({a, b, out});                 // pointers in the order of add_operand()
//
// Running is thread-safe: a plan is never changed, and scratch memory is the caller's (Debian's oneDNN is built without
// concurrent execution on library scratchpads).
#pragma once

#include <array>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <optional>

#include "tensor/backend/onednn/compat.h"

namespace sfumato::onednn {

// The first word of every key. Each of them is a family of plans whose further words mean the same.
enum class PlanKind : int64_t { matmul, conv_forward, conv_backward_input, conv_backward_weight };

// Everything that a plan depends on. The number of threads, which oneDNN bakes into its primitives, is added here.
class Key {
 public:
  Key(PlanKind kind, std::initializer_list<int64_t> words);
  size_t hash() const;
  friend bool operator==(const Key& a, const Key& b) { return a.count_ == b.count_ && a.words_ == b.words_; }

 private:
  std::array<int64_t, 24> words_{};
  size_t count_ = 0;
};

const dnnl::engine& cpu_engine();
// Strict f32 arithmetic, scratchpads from the caller.
dnnl::primitive_attr plain_attributes();

class Plan {
 public:
  // Makes the primitive. `descriptor` is a P::primitive_desc.
  template <class P>
  static Plan of(const typename P::primitive_desc& descriptor) {
    return Plan(P(descriptor), descriptor.scratchpad_desc());
  }

  // Operands arrive as `plain`, and the primitive takes them as `wanted`; a reorder is made when the two differ.
  void add_input(int argument, const dnnl::memory::desc& plain, const dnnl::memory::desc& wanted);
  void add_output(int argument, const dnnl::memory::desc& plain, const dnnl::memory::desc& wanted);

  // One pointer per operand, in the order they were added. Inputs are not written.
  void run(std::initializer_list<const void*> pointers) const;

 private:
  struct Operand {
    int argument = 0;
    bool is_output = false;
    dnnl::memory::desc plain, wanted, reorder_scratchpad;
    std::optional<dnnl::reorder> reorder;
  };
  static constexpr size_t kMaxOperands = 4;

  Plan(dnnl::primitive primitive, const dnnl::memory::desc& scratchpad);
  void add(int argument, const dnnl::memory::desc& plain, const dnnl::memory::desc& wanted, bool is_output);

  dnnl::primitive primitive_;
  dnnl::memory::desc scratchpad_;
  std::array<Operand, kMaxOperands> operands_;
  size_t operand_count_ = 0;
};

namespace detail {
std::shared_ptr<const Plan> find_plan(const Key& key);
std::shared_ptr<const Plan> keep_plan(const Key& key, Plan plan);
}  // namespace detail

// The plan under `key`, made by make() at the first call. At most 1,024 are kept: a program whose shapes never repeat
// would otherwise grow without end. When there are more all are dropped.
template <class Make>
std::shared_ptr<const Plan> cached_plan(const Key& key, Make&& make) {
  if (auto plan = detail::find_plan(key)) {
    return plan;
  }
  return detail::keep_plan(key, make());
}

}  // namespace sfumato::onednn
