#include "tensor/ref.h"

#include <thread>
#include <vector>

#include "catch.h"

using namespace sfumato;

namespace {

// Lives on the stack and counts how often it would have been deleted.
struct Base : RefCounted<Base> {
  void destroy() noexcept { ++destroyed; }
  int destroyed = 0;
};
struct Derived final : Base {};

}  // namespace

TEST_CASE("ref: the last owner destroys, whoever it is", "[tensor]") {
  Base object;
  auto a = Ref<Base>::adopt(&object);
  CHECK(a.use_count() == 1);
  {
    Ref<Base> b = a;
    CHECK(b == a);
    CHECK(a.use_count() == 2);
    const Ref<Base> c(a.get());
    CHECK(a.use_count() == 3);
    b = nullptr;
    CHECK(a.use_count() == 2);
  }
  CHECK(a.use_count() == 1);
  Ref<Base> moved = std::move(a);
  CHECK(moved.use_count() == 1);
  CHECK(object.destroyed == 0);
  Ref<Base>& itself = moved;
  moved = itself;
  CHECK(object.destroyed == 0);
  moved = nullptr;
  CHECK(object.destroyed == 1);
  CHECK(moved == nullptr);
  CHECK_FALSE(moved);
  CHECK(moved.use_count() == 0);
}

TEST_CASE("ref: a derived object is owned through its base", "[tensor]") {
  Derived object;
  {
    const Ref<Base> base = Ref<Derived>::adopt(&object);
    CHECK(base.use_count() == 1);
  }
  CHECK(object.destroyed == 1);
}

TEST_CASE("ref: owners in several threads destroy once", "[tensor]") {
  for (int round = 0; round < 200; ++round) {
    Base object;
    auto shared = Ref<Base>::adopt(&object);
    std::vector<std::thread> threads;
    threads.reserve(3);
    for (int t = 0; t < 3; ++t) {
      threads.emplace_back([mine = shared] {
        for (int i = 0; i < 50; ++i) {
          Ref<Base> copy = mine;
          copy = nullptr;
        }
      });
    }
    shared = nullptr;
    for (auto& thread : threads) thread.join();
    CHECK(object.destroyed == 1);
  }
}
