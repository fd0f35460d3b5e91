// What calls take from the heap: an op its result and nothing else, a recorded op two small objects more, a backward
// pass of a small graph nothing but what its rules compute.
#include "autograd/variable.h"
#include "catch.h"
#include "tensor/backend/backend.h"
#include "tensor/heap_counter.h"
#include "tensor/ops/elementwise.h"
#include "tensor/ops/view.h"

using namespace sfumato;

namespace {

struct Taken {
  uint64_t news;
  uint64_t tensors;
};

// What a call takes once caches are warm.
template <class F>
Taken taken_by(F&& f) {
  f();
  const HeapCount count;
  f();
  return {count.news(), count.tensors()};
}

}  // namespace

TEST_CASE("overhead: an elementwise op takes the memory of its result and nothing else", "[tensor]") {
  for (const Backend side : {Backend::reference, backend()}) {
    const BackendScope scope(side);
    for (const DType dtype : {DType::f32, DType::f64}) {
      const Tensor a = full({4, 4}, 1, dtype), b = full({4, 4}, 2, dtype), row = full({4}, 3, dtype);
      CAPTURE(side == Backend::reference, dtype);
      const auto check_one = [](const Taken& taken) {
        CHECK(taken.news == 0);
        CHECK(taken.tensors == 1);
      };
      check_one(taken_by([&] { return a + b; }));
      check_one(taken_by([&] { return a + row; }));
      check_one(taken_by([&] { return transpose(a, 0, 1) * b; }));
      check_one(taken_by([&] { return a * 2.0; }));
      check_one(taken_by([&] { return exp(a); }));
    }
  }
}

TEST_CASE("overhead: views take no memory at all", "[tensor]") {
  const Tensor x = full({4, 6}, 1);
  const Taken taken = taken_by([&] {
    return reshape(slice(transpose(x, 0, 1), 0, 1, 3), {2, 2, 2}).size(0) + expand(x, {3, 4, 6}).stride(0) +
           x.contiguous().dim();
  });
  CHECK(taken.news == 0);
  CHECK(taken.tensors == 0);
}

TEST_CASE("overhead: a recorded op takes its result, a node and a handle", "[autograd]") {
  const Variable constant(full({16}, 1)), w(full({16}, 2), true), b(full({16}, 3), true);
  const Taken unrecorded = taken_by([&] { return constant + constant; });
  CHECK(unrecorded.news == 1);
  CHECK(unrecorded.tensors == 1);
  for (const Taken& taken :
       {taken_by([&] { return w + b; }), taken_by([&] { return constant * w; }), taken_by([&] { return exp(w); })}) {
    CHECK(taken.news == 2);
    CHECK(taken.tensors == 1);
  }
}

TEST_CASE("overhead: the engine takes nothing for a small graph", "[autograd]") {
  const Variable cotangent(full({16}, 1));
  Variable w(full({16}, 2), true), b(full({16}, 3), true);
  const Taken taken = taken_by([&] {
    w.zero_grad();
    b.zero_grad();
    (w + b).backward(cotangent);
  });
  CHECK(taken.news == 2 + 2);  // recording, and a gradient for either leaf: both share the cotangent's memory
  CHECK(taken.tensors == 1);
}

TEST_CASE("overhead: a chain of four ops and its backward pass", "[autograd]") {
  const Variable x(full({16}, 1));
  Variable w(full({16}, 2), true), b(full({16}, 3), true);
  const Taken forward = taken_by([&] { return sum(relu(x * w + b)); });
  CHECK(forward.news == 4 * 2);
  CHECK(forward.tensors <= 4 + 1);  // the sum keeps a partial result per segment
  const Taken both = taken_by([&] {
    w.zero_grad();
    b.zero_grad();
    sum(relu(x * w + b)).backward();
  });
  // A handle for the seed, for each view and product of a rule, and for the gradient that both leaves share.
  CHECK(both.news <= forward.news + 7);
  CHECK(both.tensors <= forward.tensors + 6);
}
