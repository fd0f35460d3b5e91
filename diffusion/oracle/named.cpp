// The table of oracles, and how their arguments are read.
#include "diffusion/oracle/named.h"

#include <fmt/format.h>

#include <charconv>
#include <cmath>
#include <numbers>

#include "diffusion/data/open.h"
#include "diffusion/data/toy.h"
#include "diffusion/train/nearest.h"
#include "tensor/io/file.h"
#include "tensor/ops/elementwise.h"
#include "tensor/ops/join.h"

namespace sfumato {
namespace {

constexpr std::string_view kPrefix = "oracle:";
// Points of a data set that an empirical oracle knows: each costs a distance per evaluation.
constexpr int64_t kPoints = 1024;

double number_of(std::string_view text, std::string_view of) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  check(error == std::errc() && end == text.data() + text.size() && std::isfinite(value), "oracle ", of, ": '", text,
        "' is not a number");
  return value;
}

OracleModel gaussian(std::string_view argument) {
  const std::string_view text = argument.empty() ? "0:0.5" : argument;
  const size_t colon = text.find(':');
  check(colon != std::string_view::npos, "oracle gaussian: '", text, "' is not mean:std, as in 0.3:1");
  const double mean = number_of(text.substr(0, colon), "gaussian"), std = number_of(text.substr(colon + 1), "gaussian");
  check(std > 0, "oracle gaussian: the standard deviation must be positive, got ", std);
  return {gaussian_oracle(full({2}, mean, DType::f64), std * std)};
}

OracleModel mixture(std::string_view argument) {
  return {mixture_oracle(GaussianMixture::parse(argument.empty() ? "0.3:-2:0.5,0.7:1:0.3" : argument))};
}

void refuse_argument(std::string_view name, std::string_view argument) {
  check(argument.empty(), "oracle ", name, ": takes no argument, got '", argument, "'");
}

// A long, a slanted and a round one.
OracleModel gmm2d(std::string_view argument) {
  refuse_argument("gmm2d", argument);
  const std::vector<double> weights{0.5, 0.3, 0.2};
  const Tensor means = tensor_of({-0.8, 0.4, 0.9, 0.6, 0.3, -1.0}, {3, 2}, DType::f64);
  const Tensor covariances =
      tensor_of({0.20, 0.12, 0.12, 0.10, 0.05, -0.04, -0.04, 0.20, 0.03, 0, 0, 0.03}, {3, 2, 2}, DType::f64);
  return {mixture_oracle(weights, means, covariances)};
}

// What ToyDataset draws from: see "diffusion/data/toy.h".
OracleModel gaussians8(std::string_view argument) {
  refuse_argument("gaussians8", argument);
  const double scale = ToyDataset("gaussians8").scale().scale, radius = 2 * std::numbers::sqrt2 / scale;
  std::vector<Oracle> classes;
  std::vector<Oracle::Component> all;
  for (int k = 0; k < 8; ++k) {
    const double angle = std::numbers::pi * k / 4, std = 0.35 / scale;
    all.push_back({.mean = {radius * std::cos(angle), radius * std::sin(angle)}, .variance = std * std});
    classes.push_back({{2}, {all.back()}});
  }
  return {{{2}, std::move(all)}, std::move(classes)};
}

// The uniform mixture along the curve, by the midpoint rule: neighbours are a fifth of a standard deviation apart, so
// the density is that of the data to some 1e-6.
OracleModel swissroll(std::string_view argument) {
  refuse_argument("swissroll", argument);
  const ToyScale to = ToyDataset("swissroll").scale();
  constexpr int kNodes = 1024;
  std::vector<Oracle::Component> components;
  for (int i = 0; i < kNodes; ++i) {
    const double t = 1.5 * std::numbers::pi * (1 + 2 * (i + 0.5) / kNodes), std = 0.5 / to.scale;
    components.push_back({.mean = {(t * std::cos(t) - to.mean_x) / to.scale, (t * std::sin(t) - to.mean_y) / to.scale},
                          .variance = std * std});
  }
  return {{{2}, std::move(components)}};
}

OracleModel empirical(std::string_view argument) {
  const auto data = open_dataset(argument.empty() ? "swissroll" : std::string(argument));
  Shape shape = data->sample_shape();
  const int64_t dims = shape.numel();
  shape.insert(0, std::min(kPoints, data->size()));
  Tensor points = Tensor::empty(shape);
  for (int64_t i = 0; i < shape[0]; ++i) data->read(i, points.mutable_data<float>() + i * dims, SampleRandom(0, i));
  return {dataset_oracle(points.to(DType::f64))};
}

constexpr OracleKind kKinds[] = {
    {"gaussian", "MEAN:STD (0:0.5)", "one Gaussian in the plane, the same in both directions", gaussian},
    {"mixture", "WEIGHT:MEAN:STD,... (0.3:-2:0.5,0.7:1:0.3)", "a mixture of Gaussians on the line", mixture},
    {"gmm2d", "", "three Gaussians in the plane with full covariances", gmm2d},
    {"gaussians8", "", "what the data gaussians8 are drawn from, with its 8 classes", gaussians8},
    {"swissroll", "", "what the data swissroll are drawn from", swissroll},
    {"empirical", "DATA (swissroll)", "the first 1024 samples of a data set: what a network that memorises them is",
     empirical},
};

}  // namespace

std::span<const OracleKind> oracle_kinds() { return kKinds; }

OracleModel named_oracle(std::string_view spec) {
  const size_t equals = spec.find('=');
  const std::string_view name = spec.substr(0, equals);
  std::vector<std::string> names;
  for (const OracleKind& kind : kKinds) {
    if (kind.name == name) return kind.make(equals == std::string_view::npos ? "" : spec.substr(equals + 1));
    names.emplace_back(kind.name);
  }
  throw MissingInput(fmt::format("oracle '{}': there is none of that name (did you mean '{}'? there are {})", name,
                                 nearest(name, names), fmt::join(names, ", ")));
}

std::string_view oracle_spec(std::string_view text) {
  return text.starts_with(kPrefix) ? text.substr(kPrefix.size()) : std::string_view();
}

}  // namespace sfumato
