#include "diffusion/data/toy.h"

#include <fmt/ranges.h>

#include <array>
#include <cmath>
#include <numbers>

#include "tensor/io/file.h"

namespace sfumato {
namespace {

constexpr double kPi = std::numbers::pi;

struct Point {
  double x, y;
};

// What chance gives one point.
struct Draw {
  double u, v;  // uniform in [0, 1)
  Point noise;  // standard normal
};

Point on_circle(double radius, double angle) { return {radius * std::cos(angle), radius * std::sin(angle)}; }
Point add_noise(Point p, double sigma, const Draw& draw) {
  return {p.x + sigma * draw.noise.x, p.y + sigma * draw.noise.y};
}

Point swiss_roll(const Draw& draw, int64_t) {
  const double t = 1.5 * kPi * (1 + 2 * draw.u);
  return add_noise(on_circle(t, t), 0.5, draw);
}

Point moons(const Draw& draw, int64_t label) {
  const Point upper = on_circle(1, kPi * draw.u);
  return add_noise(label == 0 ? upper : Point{1 - upper.x, 0.5 - upper.y}, 0.05, draw);
}

Point checkerboard(const Draw& draw, int64_t) {
  const double column = std::floor(4 * draw.u);
  const double pair = std::floor(2 * draw.v);  // of rows
  return {4 * draw.u, 2 * pair + std::fmod(column, 2) + (2 * draw.v - pair)};
}

Point rings(const Draw& draw, int64_t label) {
  return add_noise(on_circle(0.75 * static_cast<double>(label + 1), 2 * kPi * draw.u), 0.08, draw);
}

Point spirals(const Draw& draw, int64_t label) {
  const double t = 3 * kPi * std::sqrt(draw.u);
  const double sign = label == 0 ? 1 : -1;
  return add_noise({-sign * t * std::cos(t) / 3, sign * t * std::sin(t) / 3}, 0.1, draw);
}

Point gaussians(const Draw& draw, int64_t label) {
  return add_noise(on_circle(2 * std::numbers::sqrt2, 2 * kPi * static_cast<double>(label) / 8), 0.35, draw);
}

double join_words(uint32_t high, uint32_t low) {
  return static_cast<double>((static_cast<uint64_t>(high) << 32 | low) >> 11) * 0x1p-53;
}

Draw draw_point(const RandomStream& stream, int64_t index) {
  const auto a = stream.words(index, 0), b = stream.words(index, 1);
  // Box & Muller (1958); 1 - u lies in (0, 1].
  const double radius = std::sqrt(-2 * std::log(1 - join_words(b[0], b[1])));
  return {join_words(a[0], a[1]), join_words(a[2], a[3]), on_circle(radius, 2 * kPi * join_words(b[2], b[3]))};
}

}  // namespace

// `mean` and `scale` are what the raw points have: E and sqrt(mean of the variances), from the formulas' integrals.
struct ToyDataset::Kind {
  std::string_view name;
  int64_t classes;  // 0: none
  Point (*make)(const Draw& draw, int64_t label);
  Point mean;
  double scale;
};

namespace {

const std::array<ToyDataset::Kind, 6>& kinds() {
  static const std::array<ToyDataset::Kind, 6> table{{
      // Over t in [1.5 pi, 4.5 pi]: E[t cos t] = 2, E[t sin t] = 2 / (3 pi), E[t^2] = 9.75 pi^2.
      {"swissroll",
       0,
       swiss_roll,
       {2, 2 / (3 * kPi)},
       std::sqrt((9.75 * kPi * kPi - 4 - 4 / (9 * kPi * kPi)) / 2 + 0.25)},
      // Both moons together have variance 3/4 in x and 9/16 - 1/pi in y.
      {"moons", 2, moons, {0.5, 0.25}, std::sqrt((0.75 + 0.5625 - 1 / kPi) / 2 + 0.0025)},
      {"checkerboard", 0, checkerboard, {2, 2}, std::sqrt(16.0 / 12)},
      {"rings", 4, rings, {0, 0}, std::sqrt(0.5625 * (1 + 4 + 9 + 16) / 4 / 2 + 0.0064)},
      {"spirals", 2, spirals, {0, 0}, std::sqrt(kPi * kPi / 4 + 0.01)},
      {"gaussians8", 8, gaussians, {0, 0}, std::sqrt(4 + 0.1225)},
  }};
  return table;
}

const ToyDataset::Kind& find_kind(std::string_view name) {
  for (const auto& kind : kinds()) {
    if (kind.name == name) {
      return kind;
    }
  }
  throw MissingInput(
      fmt::format("data: there is no set of points '{}' (there are {})", name, fmt::join(ToyDataset::names(), ", ")));
}

// Nobody's seed: the points are data, not chance of a run.
RandomStream stream_of(std::string_view name, DataSplit split) {
  const RandomScope scope({.seed = 0x5f0a70, .step = 0, .first_sample = 0});
  return RandomStream::of(name, split == DataSplit::train ? "train" : "test");
}

}  // namespace

ToyDataset::ToyDataset(std::string_view name, DataSplit split)
    : kind_(&find_kind(name)), stream_(stream_of(name, split)) {}

std::vector<std::string> ToyDataset::names() {
  std::vector<std::string> all;
  for (const auto& kind : kinds()) {
    all.emplace_back(kind.name);
  }
  return all;
}

ToyScale ToyDataset::scale() const { return {kind_->mean.x, kind_->mean.y, kind_->scale}; }

void ToyDataset::read(int64_t index, float* out, const SampleRandom&) const {
  check(index >= 0 && index < size(), "ToyDataset: index ", index, " is out of range for ", size(), " points");
  const Point raw = kind_->make(draw_point(stream_, index), has_labels() ? label(index) : 0);
  out[0] = static_cast<float>((raw.x - kind_->mean.x) / kind_->scale);
  out[1] = static_cast<float>((raw.y - kind_->mean.y) / kind_->scale);
}

bool ToyDataset::has_labels() const { return kind_->classes > 0; }
int64_t ToyDataset::num_classes() const { return kind_->classes; }

int64_t ToyDataset::label(int64_t index) const {
  check(has_labels(), "ToyDataset: ", kind_->name, " has no labels");
  check(index >= 0 && index < size(), "ToyDataset: index ", index, " is out of range for ", size(), " points");
  return index % kind_->classes;
}

}  // namespace sfumato
