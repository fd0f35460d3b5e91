#include "diffusion/process/mixture.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <numbers>

#include "tensor/random.h"

namespace sfumato {
namespace {

// Takes the text before `divider`, or all of it.
std::string_view take(std::string_view& text, char divider) {
  const size_t length = std::min(text.find(divider), text.size());
  const std::string_view part = text.substr(0, length);
  text.remove_prefix(std::min(length + 1, text.size()));
  return part;
}

bool parse_number(std::string_view text, double& number) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  return error == std::errc() && end == text.data() + text.size();
}

GaussianComponent parse_component(std::string_view text) {
  std::string_view rest = text;
  const std::string_view weight = take(rest, ':'), mean = take(rest, ':');
  GaussianComponent component;
  check(parse_number(weight, component.weight) && parse_number(mean, component.mean) &&
            parse_number(rest, component.stddev),
        "mixture: '", text, "' is not weight:mean:std, as in 0.3:-2:0.5");
  return component;
}

}  // namespace

GaussianMixture::GaussianMixture(std::vector<GaussianComponent> components) : components_(std::move(components)) {
  check(!components_.empty(), "mixture: there is no component");
  double sum = 0;
  for (const GaussianComponent& c : components_) {
    check(std::isfinite(c.weight) && std::isfinite(c.mean) && std::isfinite(c.stddev) && c.weight > 0 && c.stddev > 0,
          "mixture: a component needs a positive weight, a mean and a positive std, got ", c.weight, ":", c.mean, ":",
          c.stddev);
    sum += c.weight;
  }
  check(std::isfinite(sum), "mixture: the weights' sum is too large");
  for (GaussianComponent& c : components_) {
    c.weight /= sum;
  }
}

GaussianMixture GaussianMixture::parse(std::string_view text) {
  check(!text.ends_with(','), "mixture: '", text, "' ends in a comma");
  std::vector<GaussianComponent> components;
  do {
    components.push_back(parse_component(take(text, ',')));
  } while (!text.empty());
  return GaussianMixture(std::move(components));
}

double GaussianMixture::mean() const {
  double sum = 0;
  for (const GaussianComponent& c : components_) {
    sum += c.weight * c.mean;
  }
  return sum;
}

double GaussianMixture::variance() const {
  const double center = mean();
  double sum = 0;
  for (const GaussianComponent& c : components_) {
    sum += c.weight * (c.stddev * c.stddev + (c.mean - center) * (c.mean - center));
  }
  return sum;
}

double GaussianMixture::density(double x) const {
  double sum = 0;
  for (const GaussianComponent& c : components_) {
    const double z = (x - c.mean) / c.stddev;
    sum += c.weight * std::exp(-0.5 * z * z) / (c.stddev * std::sqrt(2 * std::numbers::pi));
  }
  return sum;
}

GaussianMixture GaussianMixture::diffused(const NoiseLevel& level) const {
  GaussianMixture out = *this;
  for (GaussianComponent& c : out.components_) {
    c.mean *= level.signal;
    c.stddev = std::hypot(level.signal * c.stddev, level.noise);
  }
  return out;
}

Tensor GaussianMixture::sample(int64_t count) const {
  const Tensor which = rand({count, 1}, "mixture-component", DType::f64);
  const Tensor noise = randn({count, 1}, "mixture-value", DType::f64);
  Tensor out = Tensor::empty({count}, DType::f64);
  for (int64_t i = 0; i < count; ++i) {
    double left = which.data<double>()[i];
    size_t k = 0;
    while (k + 1 < components_.size() && left >= components_[k].weight) {
      left -= components_[k++].weight;
    }
    out.mutable_data<double>()[i] = components_[k].mean + components_[k].stddev * noise.data<double>()[i];
  }
  return out;
}

GaussianMixture reverse_kernel(const GaussianMixture& data, const NoiseSchedule& schedule, int64_t t, double x_t) {
  const double beta = schedule.beta(t), root = std::sqrt(schedule.alpha(t));
  std::vector<GaussianComponent> components = data.diffused(schedule.level(t - 1)).components();
  std::vector<double> log_weights;
  for (GaussianComponent& c : components) {
    const double v = c.stddev * c.stddev, u = root * root * v + beta, residual = x_t - root * c.mean;
    log_weights.push_back(std::log(c.weight) - 0.5 * (residual * residual / u + std::log(u)));
    c.mean += root * v / u * residual;
    c.stddev = std::sqrt(beta * v / u);
  }
  // A component that underflows keeps the least weight there is.
  const double largest = *std::max_element(log_weights.begin(), log_weights.end());
  for (size_t k = 0; k < components.size(); ++k) {
    components[k].weight = std::max(std::exp(log_weights[k] - largest), 1e-300);
  }
  return GaussianMixture(std::move(components));
}

}  // namespace sfumato
