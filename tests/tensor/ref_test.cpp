#include "tensor/ref.h"

#include <thread>
#include <vector>

#include "catch.h"

using namespace sfumato;

namespace {

struct Base : RefCounted<Base> {
  explicit Base(int& destroyed_) : destroyed(&destroyed_) {}
  virtual ~Base() = default;
  void destroy() noexcept {
    ++*destroyed;
    delete this;
  }
  int* destroyed;
};
struct Derived final : Base {
  using Base::Base;
};

}  // namespace

TEST_CASE("ref: the last owner destroys, whoever it is", "[tensor]") {
  int destroyed = 0;
  auto a = Ref<Base>::adopt(new Base(destroyed));
  CHECK(a.use_count() == 1);
  {
    const Ref<Base> b = a;
    CHECK(b == a);
    CHECK(a.use_count() == 2);
    const Ref<Base> c(a.get());
    CHECK(a.use_count() == 3);
  }
  CHECK(a.use_count() == 1);
  Ref<Base> moved = std::move(a);
  CHECK(moved.use_count() == 1);
  CHECK(destroyed == 0);
  Ref<Base>& itself = moved;
  moved = itself;
  CHECK(destroyed == 0);
  moved = nullptr;
  CHECK(destroyed == 1);
  CHECK(moved == nullptr);
  CHECK_FALSE(moved);
  CHECK(moved.use_count() == 0);
}

TEST_CASE("ref: a derived object is owned through its base", "[tensor]") {
  int destroyed = 0;
  {
    const Ref<Base> base = Ref<Derived>::adopt(new Derived(destroyed));
    CHECK(base.use_count() == 1);
  }
  CHECK(destroyed == 1);
}

TEST_CASE("ref: owners in several threads destroy once", "[tensor]") {
  int destroyed = 0;
  for (int round = 0; round < 200; ++round) {
    auto shared = Ref<Base>::adopt(new Base(destroyed));
    std::vector<std::thread> threads;
    for (int t = 0; t < 3; ++t) {
      threads.emplace_back([mine = shared] {
        for (int i = 0; i < 50; ++i) const Ref<Base> copy = mine;
      });
    }
    shared = nullptr;
    for (auto& thread : threads) thread.join();
  }
  CHECK(destroyed == 200);
}
