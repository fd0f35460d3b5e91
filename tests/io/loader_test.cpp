#include "nn/data/loader.h"

#include <atomic>
#include <chrono>
#include <set>
#include <thread>
#include <vector>

#include "catch.h"
#include "diffusion/data/image_dataset.h"
#include "tensor/allocator.h"
#include "tensor/parallel.h"

using namespace sfumato;

namespace {

// Sample i is the row (i, i + 0.5); label 1000 + i.
class Numbers : public Dataset {
 public:
  explicit Numbers(int64_t size) : size_(size) {}
  int64_t size() const override { return size_; }
  Shape sample_shape() const override { return {1, 1, 2}; }
  void read(int64_t index, float* out, const SampleRandom&) const override {
    ++reads;
    if (index == broken) throw std::runtime_error("sample is broken");
    parallel = may_open_parallel_region();
    if (delay_ms > 0) std::this_thread::sleep_for(std::chrono::milliseconds(delay_ms));
    out[0] = static_cast<float>(index);
    out[1] = static_cast<float>(index) + 0.5f;
  }
  bool has_labels() const override { return true; }
  int64_t label(int64_t index) const override { return 1000 + index; }

  mutable std::atomic<int> reads{0};
  mutable std::atomic<bool> parallel{true};
  int64_t broken = -1;
  int delay_ms = 0;

 private:
  int64_t size_;
};

// Sample i is i. Early rows of a batch take longer than late ones. Two samples may fail: the slow one comes first and
// fails last, where several threads read.
class Tricky : public Dataset {
 public:
  explicit Tricky(int64_t size) : size_(size) {}
  int64_t size() const override { return size_; }
  Shape sample_shape() const override { return {1}; }
  void read(int64_t index, float* out, const SampleRandom&) const override {
    const int now = ++inside_;
    for (int most = most_at_once; now > most && !most_at_once.compare_exchange_weak(most, now);) {
    }
    std::this_thread::sleep_for(std::chrono::microseconds(200 * (10 - index % 10)));
    if (index == slow_failure) {
      slow_is_here_ = true;
      wait_for(quick_has_failed_);
    }
    if (index == quick_failure) {
      wait_for(slow_is_here_);
      quick_has_failed_ = true;
    }
    --inside_;
    if (index == slow_failure || index == quick_failure) throw std::runtime_error("sample " + std::to_string(index));
    *out = static_cast<float>(index);
  }

  mutable std::atomic<int> most_at_once{0};
  int64_t slow_failure = -1, quick_failure = -1;

 private:
  // Not for ever: a single thread never comes to the other sample.
  static void wait_for(const std::atomic<bool>& flag) {
    for (int tries = 0; !flag && tries < 20; ++tries) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }

  int64_t size_;
  mutable std::atomic<int> inside_{0};
  mutable std::atomic<bool> slow_is_here_{false}, quick_has_failed_{false};
};

// The first `count` samples as the loader gives them.
std::vector<double> sequence(DataLoader& loader, size_t count) {
  std::vector<double> values;
  while (values.size() < count * 2) {
    const auto batch = loader.next().images.to_vector();
    values.insert(values.end(), batch.begin(), batch.end());
  }
  values.resize(count * 2);
  return values;
}

std::vector<double> sequence(const LoaderOptions& options, size_t count, int64_t size = 10) {
  DataLoader loader(std::make_shared<Numbers>(size), options);
  return sequence(loader, count);
}

}  // namespace

TEST_CASE("loader: batches have shapes, labels, and numbers that run on", "[io][loader]") {
  DataLoader loader(std::make_shared<Numbers>(10), {.batch_size = 4, .seed = 1, .first_step = 5});
  for (int64_t step = 5; step < 9; ++step) {
    const Batch batch = loader.next();
    CHECK(batch.step == step);
    CHECK(batch.first_sample == step * 4);
    REQUIRE(batch.images.shape() == Shape{4, 1, 1, 2});
    REQUIRE(batch.labels.shape() == Shape{4});
    for (int i = 0; i < 4; ++i) {
      CHECK(static_cast<float>(batch.labels.data<int64_t>()[i] - 1000) == batch.images.data<float>()[2 * i]);
    }
  }
}

TEST_CASE("loader: every epoch holds each sample once, in an order of its own, across batches", "[io][loader]") {
  const auto values = sequence({.batch_size = 7, .seed = 3}, 40);
  std::set<std::vector<double>> orders;
  for (int epoch = 0; epoch < 4; ++epoch) {
    std::vector<double> order(10);
    for (size_t i = 0; i < order.size(); ++i) order[i] = values[(static_cast<size_t>(epoch) * 10 + i) * 2];
    CHECK(std::set<double>(order.begin(), order.end()).size() == 10);
    orders.insert(order);
  }
  CHECK(orders.size() == 4);  // a permutation that ignores the epoch would give 1
}

TEST_CASE("loader: the sequence does not depend on batch size, threads, prefetching or where it starts",
          "[io][loader]") {
  const LoaderOptions one{.batch_size = 1, .seed = 7, .horizontal_flip = true};
  const auto expected = sequence(one, 120);
  for (const int64_t batch : {2, 3, 24, 64}) {  // 24 and 64 are longer than an epoch
    for (const auto& [prefetch, threads] : {std::pair{0, 4}, {3, 0}, {1, 1}, {5, 1}, {1, 4}, {2, 4}, {5, 4}}) {
      INFO(batch << " " << prefetch << " " << threads);
      CHECK(
          sequence({.batch_size = batch, .seed = 7, .horizontal_flip = true, .prefetch = prefetch, .threads = threads},
                   120) == expected);
    }
  }
  const LoaderOptions resumed{.batch_size = 3, .seed = 7, .first_step = 13, .horizontal_flip = true};
  CHECK(sequence(resumed, 120 - 39) == std::vector<double>(expected.begin() + 39 * 2, expected.end()));
  CHECK(sequence({.batch_size = 1, .seed = 8, .horizontal_flip = true}, 120) != expected);
}

TEST_CASE("loader: about half of the samples are mirrored, anew each epoch", "[io][loader]") {
  const auto plain = sequence({.batch_size = 50, .seed = 2}, 400, 100);
  const auto flipped = sequence({.batch_size = 50, .seed = 2, .horizontal_flip = true}, 400, 100);
  int mirrored = 0;
  std::set<std::pair<double, bool>> seen;
  for (size_t i = 0; i < 800; i += 2) {
    const bool same = flipped[i] == plain[i] && flipped[i + 1] == plain[i + 1];
    const bool swapped = flipped[i] == plain[i + 1] && flipped[i + 1] == plain[i];
    REQUIRE(same != swapped);
    mirrored += swapped ? 1 : 0;
    seen.insert({plain[i], swapped});
  }
  CHECK(mirrored > 160);
  CHECK(mirrored < 240);
  CHECK(seen.size() > 150);  // 100 if the same samples were mirrored in every epoch
}

TEST_CASE("loader: without shuffling the order is the dataset's", "[io][loader]") {
  DataLoader loader(std::make_shared<Numbers>(3), {.batch_size = 4, .shuffle = false});
  CHECK(loader.next().images.to_vector() == std::vector<double>{0, 0.5, 1, 1.5, 2, 2.5, 0, 0.5});
  CHECK(loader.next().images.to_vector() == std::vector<double>{1, 1.5, 2, 2.5, 0, 0.5, 1, 1.5});
}

TEST_CASE("loader: reads ahead as far as it was told, in threads that open no parallel region", "[io][loader]") {
  const int threads = GENERATE(1, 3);
  const auto numbers = std::make_shared<Numbers>(100);
  DataLoader loader(numbers, {.batch_size = 5, .prefetch = 3, .threads = threads});
  for (int tries = 0; numbers->reads < 15 && tries < 2000; ++tries) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  CHECK(numbers->reads == 15);  // three batches and no more
  CHECK_FALSE(numbers->parallel);
  loader.next();
  for (int tries = 0; numbers->reads < 20 && tries < 2000; ++tries) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  CHECK(numbers->reads == 20);
}

TEST_CASE("loader: an exception in its thread surfaces in next(), after the good batches and ever after",
          "[io][loader]") {
  const auto numbers = std::make_shared<Numbers>(10);
  numbers->broken = 7;
  for (const auto& [prefetch, threads] : {std::pair{0, 0}, {4, 0}, {1, 1}, {4, 1}, {4, 4}}) {
    DataLoader loader(numbers, {.batch_size = 3, .shuffle = false, .prefetch = prefetch, .threads = threads});
    CHECK(loader.next().step == 0);
    CHECK(loader.next().step == 1);
    CHECK_THROWS_WITH(loader.next(), "sample is broken");
    CHECK_THROWS_WITH(loader.next(), "sample is broken");
  }
}

TEST_CASE("loader: of several failures in a batch the first sample's is reported, whenever it happens",
          "[io][loader]") {
  const auto expect = [](int64_t slow, int64_t quick, int threads, const std::string& message) {
    const auto tricky = std::make_shared<Tricky>(16);
    tricky->slow_failure = slow;
    tricky->quick_failure = quick;
    DataLoader loader(tricky, {.batch_size = 8, .shuffle = false, .prefetch = 4, .threads = threads});
    INFO(slow << " " << quick << " " << threads);
    for (int i = 0; i < 2; ++i) CHECK_THROWS_WITH(loader.next(), message);
  };
  for (const int threads : {0, 1, 2, 8}) {
    expect(3, 6, threads, "sample 3");
    expect(6, 3, threads, "sample 3");
    expect(11, 6, threads, "sample 6");  // 11 is in the batch after
    expect(6, 11, threads, "sample 6");
  }
}

TEST_CASE("loader: several threads read at the same time, and batches of slow samples stay in order", "[io][loader]") {
  const auto tricky = std::make_shared<Tricky>(40);
  DataLoader loader(tricky, {.batch_size = 10, .shuffle = false, .prefetch = 2, .threads = 3});
  for (int step = 0; step < 8; ++step) {
    const Batch batch = loader.next();
    CHECK(batch.step == step);
    for (int i = 0; i < 10; ++i) CHECK(batch.images.data<float>()[i] == static_cast<float>((step * 10 + i) % 40));
  }
  CHECK(tricky->most_at_once >= 2);
  CHECK(tricky->most_at_once <= 3);
}

TEST_CASE("loader: once it runs, batches come from memory that was there", "[io][loader]") {
  DataLoader loader(std::make_shared<Numbers>(1000), {.batch_size = 64, .prefetch = 2, .threads = 2});
  for (int i = 0; i < 10; ++i) loader.next();
  const auto before = allocator_stats();
  for (int i = 0; i < 100; ++i) loader.next();
  const auto after = allocator_stats();
  CHECK(after.allocations - before.allocations > 150);  // images and labels, but for batches read before or not yet
  // The threads may be further ahead than they were at any time before, by the images and labels of two batches.
  CHECK(after.system_calls - before.system_calls <= 4);
}

TEST_CASE("loader: ends its threads at once, whatever they are doing", "[io][loader]") {
  const int threads = GENERATE(1, 4);
  const auto slow = std::make_shared<Numbers>(1000);
  slow->delay_ms = 20;
  const auto begin = std::chrono::steady_clock::now();
  {
    DataLoader reading(slow, {.batch_size = 1000, .threads = threads});  // a batch takes 20 s, or 5
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  CHECK(std::chrono::steady_clock::now() - begin < std::chrono::seconds(2));
  for (int i = 0; i < 50; ++i) {
    DataLoader loader(std::make_shared<Numbers>(10), {.batch_size = 2, .threads = threads});
    if (i % 2 == 0) loader.next();
    DataLoader moved = std::move(loader);
    CHECK(moved.next().step == (i % 2 == 0 ? 1 : 0));
  }
}

TEST_CASE("loader: options out of range are refused", "[io][loader]") {
  const auto numbers = std::make_shared<Numbers>(10);
  CHECK_THROWS_AS(DataLoader(nullptr, {}), Error);
  CHECK_THROWS_AS(DataLoader(std::make_shared<Numbers>(0), {}), Error);
  CHECK_THROWS_AS(DataLoader(numbers, {.batch_size = 0}), Error);
  CHECK_THROWS_AS(DataLoader(numbers, {.first_step = -1}), Error);
  CHECK_THROWS_AS(DataLoader(numbers, {.prefetch = -1}), Error);
  CHECK_THROWS_AS(DataLoader(numbers, {.threads = -1}), Error);
}

TEST_CASE("sample random: a function of seed, purpose and sample, not of the scope in force", "[io][loader]") {
  const auto words = SampleRandom(1, 5).words("crop");
  CHECK(SampleRandom(1, 5).words("crop") == words);
  CHECK(SampleRandom(2, 5).words("crop") != words);
  CHECK(SampleRandom(1, 6).words("crop") != words);
  CHECK(SampleRandom(1, 5).words("flip") != words);
  CHECK(SampleRandom(1, 5).words("crop", 1) != words);
  const RandomScope scope({.seed = 9, .step = 3, .first_sample = 77});
  CHECK(SampleRandom(1, 5).words("crop") == words);
  CHECK(RandomScope::current().first_sample == 77);
}

TEST_CASE("image dataset: bytes become [-1, 1], in the middle of a larger canvas of -1", "[io][data]") {
  ImageData data{tensor_of({0, 255, 51, 102, 1, 2, 3, 4, 5, 6, 7, 8}, {2, 1, 2, 3}, DType::u8),
                 tensor_of({4, 9}, {2}, DType::i64)};
  const SampleRandom random(0, 0);
  const ImageDataset plain(data);
  CHECK(plain.size() == 2);
  CHECK(plain.sample_shape() == Shape{1, 2, 3});
  CHECK(plain.label(1) == 9);
  CHECK(plain.num_classes() == 10);
  float out[25];
  plain.read(0, out, random);
  CHECK(out[0] == -1.0f);
  CHECK(out[1] == 1.0f);
  CHECK(out[2] == Approx(51 / 127.5 - 1));
  CHECK(out[3] == Approx(102 / 127.5 - 1));

  const ImageDataset canvas(data, 5);
  CHECK(canvas.sample_shape() == Shape{1, 5, 5});
  canvas.read(1, out, random);
  for (int y = 0; y < 5; ++y) {
    for (int x = 0; x < 5; ++x) {
      const bool inside = y >= 1 && y < 3 && x >= 1 && x < 4;
      CHECK(out[y * 5 + x] == Approx(inside ? ((y - 1) * 3 + x - 1 + 3) / 127.5 - 1 : -1.0));
    }
  }
  CHECK_THROWS_AS(ImageDataset(data, 2), Error);
  CHECK_THROWS_AS(plain.read(2, out, random), Error);
  CHECK_THROWS_AS(plain.label(-1), Error);
  CHECK_THROWS_AS(ImageDataset({data.images, tensor_of({1}, {1}, DType::i64)}), Error);
  CHECK_THROWS_AS(ImageDataset({zeros({2, 1, 2, 3}), {}}), Error);
  CHECK_THROWS_AS(ImageDataset({data.images, tensor_of({-1, 0}, {2}, DType::i64)}), Error);
  CHECK_THROWS_AS(ImageDataset({data.images, data.labels, {"4", "9"}}), Error);
  CHECK(ImageDataset({data.images, tensor_of({0, 1}, {2}, DType::i64), {"a", "b", "c"}}).num_classes() == 3);
  CHECK_FALSE(ImageDataset({data.images, {}}).has_labels());
}

TEST_CASE("loader: rows that several processes read make up the batch", "[io]") {
  const auto data = std::make_shared<Numbers>(10);
  const auto rows = [&](int64_t first, int64_t count) {
    return DataLoader(data,
                      {.batch_size = 4, .first_row = first, .num_rows = count, .seed = 3, .horizontal_flip = true});
  };
  DataLoader whole = rows(0, 0), low = rows(0, 1), high = rows(1, 3);
  for (int step = 0; step < 6; ++step) {  // over the ends of epochs
    const Batch all = whole.next(), a = low.next(), b = high.next();
    CHECK(a.images.shape() == Shape{1, 1, 1, 2});
    CHECK(b.first_sample == all.first_sample + 1);
    std::vector<double> together = a.images.to_vector(), labels = a.labels.to_vector();
    for (const double value : b.images.to_vector()) together.push_back(value);
    for (const double value : b.labels.to_vector()) labels.push_back(value);
    CHECK(together == all.images.to_vector());
    CHECK(labels == all.labels.to_vector());
  }
  CHECK_THROWS_AS(rows(2, 3), Error);
  CHECK_THROWS_AS(rows(-1, 2), Error);
}
