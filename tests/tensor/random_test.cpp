#include "tensor/random.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <set>
#include <vector>

#include "autograd/gradcheck.h"
#include "autograd/variable.h"
#include "catch.h"
#include "tensor/backend/backend.h"
#include "tensor/ops/view.h"
#include "tensor/parallel.h"
#ifdef SFUMATO_FAST
#include "tensor/backend/fast/random.h"
#endif

using namespace sfumato;

namespace {

using Values = std::vector<double>;
using Words = std::array<uint32_t, 4>;

double mean_of(const Values& v, int power) {
  double total = 0;
  for (const double x : v) total += std::pow(x, power);
  return total / static_cast<double>(v.size());
}

// The largest distance between the empirical and the given distribution function, times sqrt(n).
template <class Cdf>
double kolmogorov_smirnov(Values v, Cdf&& cdf) {
  std::sort(v.begin(), v.end());
  const auto n = static_cast<double>(v.size());
  double worst = 0;
  for (size_t i = 0; i < v.size(); ++i) {
    const double at = cdf(v[i]);
    worst = std::max({worst, at - static_cast<double>(i) / n, static_cast<double>(i + 1) / n - at});
  }
  return worst * std::sqrt(n);
}

double normal_cdf(double x) { return 0.5 * std::erfc(-x / std::sqrt(2.0)); }

// P(sqrt(n) D > 2.2) is about 2 exp(-2 * 2.2^2) = 1e-4; the seeds are fixed, so a pass stays a pass.
constexpr double kKsBound = 2.2;

RandomState state(uint64_t seed, int64_t step = 0, int64_t first_sample = 0) { return {seed, step, first_sample}; }

}  // namespace

TEST_CASE("random: Philox4x32-10 gives the published vectors", "[random]") {
  // Random123's kat_vectors: counter, key, result.
  RandomStream zero;
  CHECK(zero.words(0, 0) == Words{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8});
  const RandomStream ones{~uint64_t{0}, 0xffffffff, 0xffffffff, 0xffffffff};
  CHECK(ones.words(0, 0xffffffff) == Words{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd});
  // counter (243f6a88 85a308d3 13198a2e 03707344), key (a4093822 299f31d0): the digits of pi
  const RandomStream pi{0x299f31d0a4093822, 0x85a308d3, 0x13198a2e, 0x03707344};
  CHECK(pi.words(0, 0x243f6a88) == Words{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1});
  CHECK(RandomStream{pi.key, 0x85a308d0, pi.step, pi.draw}.words(3, 0x243f6a88) == pi.words(0, 0x243f6a88));
}

#ifdef SFUMATO_FAST
TEST_CASE("random: the vector kernel's words are Random123's", "[random]") {
  const RandomStream stream{0x0123456789abcdef, 77, 5, 9};
  for (const uint32_t first : {0u, 3u, 0xfffffff9u}) {  // the last wraps around, as counters do
    for (const int64_t blocks : {1, 2, 7, 8, 9, 64, 67}) {
      std::vector<uint32_t> words(static_cast<size_t>(4 * blocks) + 1, 0xabababab);
      fast::philox_words({stream.key, 78, stream.step, stream.draw}, first, blocks, words.data());
      for (int64_t b = 0; b < blocks; ++b) {
        const Words expected = stream.words(1, first + static_cast<uint32_t>(b));
        CHECK(std::equal(expected.begin(), expected.end(), words.begin() + 4 * b));
      }
      CHECK(words.back() == 0xabababab);  // nothing is written behind the end
    }
  }
}
#endif

TEST_CASE("random: both backends draw the same bits", "[random]") {
  const RandomStream stream = RandomStream::of("noise");
  const auto draw_all = [&] {
    return std::vector<Values>{rand({3, 1001}, stream).to_vector(), randn({3, 1001}, stream).to_vector(),
                               randn({2, 33}, stream, DType::f64).to_vector(),
                               randint(0, 1000, {3, 77}, stream).to_vector(),
                               dropout_with(ones({5, 1003}), 0.3, stream).to_vector()};
  };
  BackendScope plain(Backend::reference);
  const auto expected = draw_all();
  if (fast_backend_available()) {
    BackendScope vectors(Backend::fast);
    CHECK(draw_all() == expected);
  }
}

TEST_CASE("random: a batch drawn whole or in parts, by any number of threads, has the same bits", "[random]") {
  const auto draw_rows = [](int64_t rows, int64_t first) {
    RandomScope scope(state(42, 7, first));
    const RandomStream mask = RandomStream::of("dropout", "mid.0");
    const Tensor input = ones({rows, 3, 67, 41}, DType::f64);
    return std::vector<Values>{rand({rows, 3, 67, 41}, "u").to_vector(),
                               randn({rows, 3, 67, 41}, "noise").to_vector(),
                               randn({rows, 3, 67, 41}, "noise", DType::f64).to_vector(),
                               randint(0, 1000, {rows}, "t").to_vector(),
                               dropout_with(input, 0.1, mask).to_vector(),
                               dropout_with(input.to(DType::f32), 0.1, mask).to_vector()};
  };
  const int threads = num_threads();
  set_num_threads(1);
  const auto whole = draw_rows(8, 0);
  set_num_threads(3);
  const auto again = draw_rows(8, 0);
  const auto head = draw_rows(4, 0);
  const auto tail = draw_rows(4, 4);
  set_num_threads(threads);
  for (size_t i = 0; i < whole.size(); ++i) {
    CHECK(again[i] == whole[i]);
    Values joined = head[i];
    joined.insert(joined.end(), tail[i].begin(), tail[i].end());
    CHECK(joined == whole[i]);
    CHECK(head[i] != tail[i]);
  }
}

TEST_CASE("random: seed, purpose, path, step and sample each give other numbers", "[random]") {
  std::set<Values> seen;
  const auto note = [&](const RandomState& s, std::string_view purpose, std::string_view path) {
    RandomScope scope(s);
    return seen.insert(rand({1, 4}, RandomStream::of(purpose, path)).to_vector()).second;
  };
  CHECK(note(state(1), "noise", ""));
  CHECK(note(state(2), "noise", ""));
  CHECK(note(state(1, 1), "noise", ""));
  CHECK(note(state(1, 0, 1), "noise", ""));
  CHECK(note(state(1), "dropout", ""));
  CHECK(note(state(1), "noise", "down.0"));
  CHECK(note(state(1), "noise", "down.1"));
  CHECK_FALSE(note(state(1), "noise", ""));  // and the same again gives the same
}

TEST_CASE("random: scopes nest and end", "[random]") {
  CHECK(RandomScope::current().seed == 0);
  {
    RandomScope outer(state(5, 6, 7));
    {
      RandomScope inner(state(8));
      CHECK(RandomScope::current().seed == 8);
      CHECK(RandomScope::current().first_sample == 0);
    }
    CHECK(RandomScope::current().seed == 5);
    CHECK(RandomStream::of("x").step == 6);
    CHECK(RandomStream::of("x").first_sample == 7);
    CHECK(RandomStream::of("x").draw == 0);
    CHECK(RandomStream::of("x").key == hash_seed(5, "x"));
  }
  CHECK(RandomScope::current().seed == 0);
  CHECK(hash_seed(0, "a") != hash_seed(1, "a"));
  CHECK(hash_seed(0, "a") != hash_seed(0, "b"));
}

TEST_CASE("rand: uniform in [0, 1)", "[random]") {
  for (const DType dtype : {DType::f32, DType::f64}) {
    const Values v = rand({4, 50000}, "uniform", dtype).to_vector();
    const double n = 200000;
    CHECK(*std::min_element(v.begin(), v.end()) >= 0);
    CHECK(*std::max_element(v.begin(), v.end()) < 1);
    // Five standard deviations of the means of u and u^2: sqrt(1/12/n), sqrt((1/5 - 1/9)/n).
    CHECK(std::abs(mean_of(v, 1) - 0.5) < 5 * std::sqrt(1.0 / 12 / n));
    CHECK(std::abs(mean_of(v, 2) - 1.0 / 3) < 5 * std::sqrt((1.0 / 5 - 1.0 / 9) / n));
    CHECK(kolmogorov_smirnov(v, [](double x) { return x; }) < kKsBound);
  }
  // All 24 bits are used: of 200,000 draws the finest bit is set in half.
  int64_t odd = 0;
  for (const double u : rand({200000}, "bits").to_vector()) odd += static_cast<int64_t>(u * 0x1p24) & 1;
  CHECK(std::abs(static_cast<double>(odd) - 100000) < 5 * std::sqrt(50000.0));
}

TEST_CASE("randn: standard normal, neighbours independent", "[random]") {
  for (const DType dtype : {DType::f32, DType::f64}) {
    const Values v = randn({4, 50000}, "normal", dtype).to_vector();
    const double n = 200000;
    // Five standard deviations of the means of x, x^2, x^3, x^4: variances 1, 2, 15, 96.
    CHECK(std::abs(mean_of(v, 1)) < 5 * std::sqrt(1 / n));
    CHECK(std::abs(mean_of(v, 2) - 1) < 5 * std::sqrt(2 / n));
    CHECK(std::abs(mean_of(v, 3)) < 5 * std::sqrt(15 / n));
    CHECK(std::abs(mean_of(v, 4) - 3) < 5 * std::sqrt(96 / n));
    CHECK(kolmogorov_smirnov(v, normal_cdf) < kKsBound);
    for (size_t lag = 1; lag <= 4; ++lag) {  // the pair of one Box-Muller call, and neighbours of other words
      double product = 0;
      for (size_t i = lag; i < v.size(); ++i) product += v[i] * v[i - lag];
      CHECK(std::abs(product / n) < 5 / std::sqrt(n));
    }
  }
}

TEST_CASE("randint: every value of a small range equally often, wide ranges too", "[random]") {
  const Values v = randint(-3, 4, {70000}, "t").to_vector();
  std::vector<double> count(7, 0);
  for (const double x : v) {
    REQUIRE(x >= -3);
    REQUIRE(x < 4);
    ++count[static_cast<size_t>(x + 3)];
  }
  double chi2 = 0;
  for (const double c : count) chi2 += (c - 10000) * (c - 10000) / 10000;
  CHECK(chi2 < 33);  // 6 degrees of freedom: exceeded once in 1e5
  const int64_t low = std::numeric_limits<int64_t>::min();
  const Tensor wide = randint(low, std::numeric_limits<int64_t>::max(), {1000}, "wide");
  int64_t negative = 0;
  for (int64_t i = 0; i < 1000; ++i) negative += wide.data<int64_t>()[i] < 0;
  CHECK(std::abs(static_cast<double>(negative) - 500) < 5 * std::sqrt(250.0));
  CHECK(randint(5, 6, {3}, "one").to_vector() == Values{5, 5, 5});
  CHECK_THROWS_WITH(randint(3, 3, {1}, "t"), ContainsSubstring("randint: the range [3, 3) is empty"));
}

TEST_CASE("random: shapes of rank 0, with zeros, and with partial blocks", "[random]") {
  CHECK(rand({}, "x").shape() == Shape{});
  CHECK(rand({}, "x").item() == rand({1, 1}, "x").item());
  CHECK(randn({0, 3}, "x").shape() == Shape{0, 3});
  CHECK(randn({3, 0}, "x").shape() == Shape{3, 0});
  CHECK(randint(0, 2, {0}, "x").numel() == 0);
  // A row's elements do not depend on how long the row is.
  const Values longer = randn({1, 11}, "x").to_vector();
  const Values shorter = randn({1, 6}, "x").to_vector();
  CHECK(std::equal(shorter.begin(), shorter.end(), longer.begin()));
  CHECK_THROWS_WITH(rand({2}, "x", DType::i64), ContainsSubstring("rand: not defined for dtype i64"));
}

TEST_CASE("random_permutation: a permutation, uniform, of the stream alone", "[random]") {
  for (const int64_t n : {0, 1, 2, 127, 128, 129, 1000}) {
    std::vector<int64_t> order = random_permutation(n, RandomStream::of("shuffle"));
    CHECK(order == random_permutation(n, RandomStream::of("shuffle")));
    std::sort(order.begin(), order.end());
    for (int64_t i = 0; i < n; ++i) REQUIRE(order[static_cast<size_t>(i)] == i);
  }
  // All 24 orders of four, 24,000 draws: chi-squared with 23 degrees of freedom exceeds 67 once in 3e6.
  std::vector<double> count(256, 0);
  RandomStream stream = RandomStream::of("shuffle");
  for (stream.step = 0; stream.step < 24000; ++stream.step) {
    const auto order = random_permutation(4, stream);
    ++count[static_cast<size_t>(order[0] * 64 + order[1] * 16 + order[2] * 4 + order[3])];
  }
  double chi2 = 0;
  for (const double c : count) chi2 += c > 0 ? (c - 1000) * (c - 1000) / 1000 : 0;
  CHECK(std::count_if(count.begin(), count.end(), [](double c) { return c > 0; }) == 24);
  CHECK(chi2 < 67);
}

TEST_CASE("dropout: drops the right share, scales the rest, follows the words", "[random]") {
  const RandomStream stream = RandomStream::of("dropout", "block.1");
  const Tensor x = linspace(1, 2, 2 * 100003).reshape({2, 100003});
  for (const double p : {0.0, 0.1, 0.5, 0.999}) {
    const Tensor y = dropout_with(x, p, stream);
    const float scale = static_cast<float>(1.0 / (1.0 - p));
    int64_t dropped = 0;
    int64_t wrong = 0;
    for (int64_t row = 0; row < 2; ++row) {
      for (int64_t i = 0; i < 100003; ++i) {
        const uint32_t word = stream.words(row, static_cast<uint32_t>(i / 4))[static_cast<size_t>(i % 4)];
        const bool drop = static_cast<double>(word) < std::floor(p * 0x1p32);
        const int64_t at = row * 100003 + i;
        wrong += y.data<float>()[at] != (drop ? 0.0f : x.data<float>()[at] * scale);
        dropped += drop;
      }
    }
    CHECK(wrong == 0);
    CHECK(std::abs(static_cast<double>(dropped) - 200006 * p) <= 5 * std::sqrt(200006 * p * (1 - p)));
  }
  const Tensor f64 = dropout_with(ones({3, 1001}, DType::f64), 0.3, stream);
  const Tensor f32 = dropout_with(ones({3, 1001}), 0.3, stream);
  for (int64_t i = 0; i < f64.numel(); ++i) {
    CHECK((f64.data<double>()[i] == 0) == (f32.data<float>()[i] == 0));  // one mask for both types
  }
  const Tensor view = transpose(reshape(arange(0, 12), {3, 4}), 0, 1);
  CHECK(dropout_with(view, 0.5, stream).to_vector() == dropout_with(view.clone(), 0.5, stream).to_vector());
  CHECK(dropout_with(zeros({0, 4}), 0.5, stream).shape() == Shape{0, 4});
  CHECK(dropout_with(scalar(2), 0.0, stream).item() == 2);
  CHECK_THROWS_WITH(dropout_with(x, 1.0, stream), ContainsSubstring("dropout: p must be in [0, 1), got 1"));
  CHECK_THROWS_AS(dropout_with(x, -0.1, stream), std::invalid_argument);
  CHECK_THROWS_AS(dropout_with(x, std::nan(""), stream), std::invalid_argument);
}

TEST_CASE("dropout: gradients of first and second order", "[autograd][random]") {
  const RandomStream stream = RandomStream::of("dropout", "net");
  const auto f = [&](std::span<const Variable> v) { return square(dropout(v[0], 0.4, stream)); };
  const Tensor x = linspace(-1, 1, 12, DType::f64).reshape({3, 4});
  std::string why;
  const bool first = gradcheck(f, {x}, {}, &why);
  INFO(why);
  CHECK(first);
  CHECK(gradgradcheck(f, {x}));
  const Variable v(x, true);
  CHECK(dropout(v, 0, stream).state() == v.state());  // p = 0 costs nothing
}
