#include "diffusion/data/toy.h"

#include <cmath>
#include <numbers>
#include <set>
#include <vector>

#include "catch.h"
#include "tensor/io/file.h"

using namespace sfumato;

namespace {

struct Point {
  double x, y;
  int64_t label;
};

std::vector<Point> points_of(const std::string& name, DataSplit split = DataSplit::train) {
  const ToyDataset set(name, split);
  std::vector<Point> points;
  for (int64_t i = 0; i < set.size(); ++i) {
    float out[2];
    set.read(i, out, SampleRandom(0, 0));
    points.push_back({out[0], out[1], set.has_labels() ? set.label(i) : -1});
  }
  return points;
}

// Back to the formulas of the header: times the scale, plus the mean.
std::vector<Point> raw_points(const std::string& name, double scale, double mean_x, double mean_y) {
  auto points = points_of(name);
  for (Point& p : points) p = {p.x * scale + mean_x, p.y * scale + mean_y, p.label};
  return points;
}

// Root mean square of f over the points.
template <class F>
double rms(const std::vector<Point>& points, F&& f) {
  double sum = 0;
  for (const Point& p : points) sum += f(p) * f(p);
  return std::sqrt(sum / static_cast<double>(points.size()));
}

}  // namespace

TEST_CASE("toy sets: points are centred, of unit variance, and finite", "[io][data]") {
  for (const std::string& name : ToyDataset::names()) {
    INFO(name);
    const auto points = points_of(name);
    CHECK(points.size() == 65536);
    double x = 0, y = 0, xx = 0, yy = 0;
    for (const Point& p : points) {
      x += p.x, y += p.y, xx += p.x * p.x, yy += p.y * p.y;
    }
    const auto n = static_cast<double>(points.size());
    CHECK(std::abs(x / n) < 0.02);  // five standard errors
    CHECK(std::abs(y / n) < 0.02);
    CHECK((xx + yy) / n / 2 == Approx(1).margin(0.02));
  }
}

TEST_CASE("toy sets: a point depends on the set, the split and its index, on no seed and on no scope", "[io][data]") {
  for (const std::string& name : ToyDataset::names()) {
    const ToyDataset set(name), test(name, DataSplit::test);
    float a[2], b[2];
    set.read(77, a, SampleRandom(1, 5));
    const RandomScope scope({.seed = 9, .step = 3, .first_sample = 77});
    ToyDataset(name).read(77, b, SampleRandom(2, 6));
    CHECK((a[0] == b[0] && a[1] == b[1]));
    test.read(77, b, SampleRandom(1, 5));
    CHECK((a[0] != b[0] && a[1] != b[1]));
    set.read(77 + 8, b, SampleRandom(1, 5));
    CHECK((a[0] != b[0] && a[1] != b[1]));
    CHECK_THROWS_AS(set.read(set.size(), a, SampleRandom(0, 0)), Error);
    CHECK_THROWS_AS(set.read(-1, a, SampleRandom(0, 0)), Error);
  }
  CHECK_THROWS_AS(ToyDataset("no such"), MissingInput);
}

TEST_CASE("toy sets: labels are balanced where there are classes", "[io][data]") {
  for (const auto& [name, classes] : {std::pair{"swissroll", 0},
                                      {"moons", 2},
                                      {"checkerboard", 0},
                                      {"rings", 4},
                                      {"spirals", 2},
                                      {"gaussians8", 8}}) {
    const ToyDataset set(name);
    CHECK(set.has_labels() == (classes > 0));
    CHECK(set.num_classes() == classes);
    std::vector<int64_t> counts(8, 0);
    for (int64_t i = 0; classes > 0 && i < set.size(); ++i) ++counts.at(static_cast<size_t>(set.label(i)));
    for (int i = 0; i < classes; ++i) CHECK(counts[static_cast<size_t>(i)] == set.size() / classes);
    if (classes == 0) CHECK_THROWS_AS(set.label(0), Error);
  }
}

TEST_CASE("toy sets: the points lie on their figures", "[io][data]") {
  const double pi = std::numbers::pi;
  // Radius and angle tell each figure but for the noise; its size is that of the formulas.
  const double roll = std::sqrt((9.75 * pi * pi - 4 - 4 / (9 * pi * pi)) / 2 + 0.25);
  CHECK(rms(raw_points("swissroll", roll, 2, 2 / (3 * pi)), [&](const Point& p) {
          const double turns =
              (std::hypot(p.x, p.y) - std::atan2(p.y, p.x)) / (2 * pi);  // t is the angle and the radius
          return (turns - std::round(turns)) * 2 * pi;
        }) == Approx(0.5).epsilon(0.03));
  const double moons = std::sqrt((1.3125 - 1 / pi) / 2 + 0.0025);
  CHECK(rms(raw_points("moons", moons, 0.5, 0.25), [](const Point& p) {
          return (p.label == 0 ? std::hypot(p.x, p.y) : std::hypot(p.x - 1, p.y - 0.5)) - 1;
        }) == Approx(0.05).epsilon(0.03));
  const double rings = std::sqrt(0.5625 * 30 / 8 + 0.0064);
  CHECK(rms(raw_points("rings", rings, 0, 0), [](const Point& p) {
          return std::hypot(p.x, p.y) - 0.75 * static_cast<double>(p.label + 1);
        }) == Approx(0.08).epsilon(0.03));
  const double gauss = std::sqrt(4.1225);
  CHECK(rms(raw_points("gaussians8", gauss, 0, 0), [&](const Point& p) {
          const double angle = static_cast<double>(p.label) * pi / 4;
          return p.x - std::sqrt(8) * std::cos(angle);
        }) == Approx(0.35).epsilon(0.03));
  // x = -t cos t / 3, y = t sin t / 3 has the angle pi - t.
  CHECK(rms(raw_points("spirals", std::sqrt(pi * pi / 4 + 0.01), 0, 0), [&](const Point& p) {
          const double sign = p.label == 0 ? 1 : -1;
          const double radius = std::hypot(p.x, p.y);
          const double turns = (3 * radius + std::atan2(sign * p.y, sign * p.x) - pi) / (2 * pi);
          const double off = (turns - std::round(turns)) * 2 * pi / 3;
          return radius < 1 ? 0.1 : off;  // near the middle the angle says nothing
        }) == Approx(0.1).epsilon(0.1));
}

TEST_CASE("toy sets: the checkerboard fills its eight squares alike and no other", "[io][data]") {
  std::vector<int> counts(16, 0);
  for (const Point& p : raw_points("checkerboard", std::sqrt(4.0 / 3), 2, 2)) {
    const auto column = static_cast<size_t>(std::clamp(std::floor(p.x), 0.0, 3.0));
    const auto row = static_cast<size_t>(std::clamp(std::floor(p.y), 0.0, 3.0));
    ++counts[row * 4 + column];
  }
  for (size_t i = 0; i < 16; ++i) {
    const bool dark = (i / 4 + i % 4) % 2 == 0;
    INFO(i);
    // 8192 +- 5 standard deviations; rounding to f32 may put a handful of points over an edge.
    CHECK(std::abs(counts[i] - (dark ? 8192 : 0)) < (dark ? 430 : 5));
  }
}
