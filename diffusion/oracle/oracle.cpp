#include "diffusion/oracle/oracle.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "diffusion/oracle/cholesky.h"
#include "tensor/ops/elementwise.h"
#include "tensor/ops/join.h"
#include "tensor/ops/view.h"
#include "tensor/random.h"

namespace sfumato {

namespace {

// y = A x for a row-major square matrix.
std::vector<double> times(std::span<const double> matrix, std::span<const double> x) {
  std::vector<double> y(x.size());
  for (size_t i = 0; i < x.size(); ++i) {
    for (size_t j = 0; j < x.size(); ++j) y[i] += matrix[i * x.size() + j] * x[j];
  }
  return y;
}

double dot(std::span<const double> a, std::span<const double> b) {
  double sum = 0;
  for (size_t i = 0; i < a.size(); ++i) sum += a[i] * b[i];
  return sum;
}

bool all_finite(std::span<const double> values) {
  return std::all_of(values.begin(), values.end(), [](double x) { return std::isfinite(x); });
}

}  // namespace

// One component at one level: C's factor (or C = scalar I), log(weight) - log det C / 2, and P = S C^-1.
struct Oracle::AtLevel {
  const Component* component;
  double offset;
  double c;                         // of an isotropic component
  double p;                         // likewise
  std::vector<double> lower, gain;  // of the others

  AtLevel(const Component& of, const NoiseLevel& level) : component(&of) {
    const size_t dims = of.mean.size();
    const double a2 = level.signal * level.signal, b2 = level.noise * level.noise;
    c = a2 * of.variance + b2;
    p = of.variance / c;
    double log_determinant = static_cast<double>(dims) * std::log(c);
    if (!of.covariance.empty()) {
      lower = of.covariance;
      for (double& entry : lower) entry *= a2;
      for (size_t i = 0; i < dims; ++i) lower[i * dims + i] += b2;
      cholesky(lower, dims);
      gain = of.covariance;  // symmetric: its rows are its columns, and so are those of S C^-1
      for (size_t row = 0; row < dims; ++row) cholesky_solve(lower, std::span(gain).subspan(row * dims, dims));
      log_determinant = cholesky_log_determinant(lower, dims);
    }
    const double log_2pi = std::log(2 * std::numbers::pi);
    offset = std::log(of.weight) - 0.5 * (log_determinant + static_cast<double>(dims) * log_2pi);
  }

  // S C^-1 v.
  std::vector<double> gain_times(std::span<const double> v) const {
    if (!gain.empty()) return times(gain, v);
    std::vector<double> out(v.begin(), v.end());
    for (double& value : out) value *= p;
    return out;
  }
  // v^T C^-1 v.
  double squared_distance(std::vector<double> v) const {
    if (lower.empty()) return dot(v, v) / c;
    cholesky_forward(lower, v);
    return dot(v, v);
  }
};

// Everything about one row.
struct Oracle::AtPoint {
  const std::vector<AtLevel>& parts;
  NoiseLevel level;
  double log_density = 0;
  std::vector<double> gamma;
  std::vector<std::vector<double>> means;  // m_k
  std::vector<double> mean;                // E[x_0 | x]

  AtPoint(const std::vector<AtLevel>& at_level, const NoiseLevel& at, std::span<const double> x)
      : parts(at_level), level(at), mean(x.size()) {
    std::vector<double> residual(x.size());
    for (const AtLevel& part : parts) {
      const std::vector<double>& mu = part.component->mean;
      for (size_t i = 0; i < x.size(); ++i) residual[i] = x[i] - level.signal * mu[i];
      gamma.push_back(part.offset - 0.5 * part.squared_distance(residual));
      means.push_back(part.gain_times(residual));
      for (size_t i = 0; i < x.size(); ++i) means.back()[i] = mu[i] + level.signal * means.back()[i];
    }
    const double largest = *std::max_element(gamma.begin(), gamma.end());
    double sum = 0;
    for (double& g : gamma) sum += g = std::exp(g - largest);
    log_density = largest + std::log(sum);
    for (size_t k = 0; k < gamma.size(); ++k) {
      gamma[k] /= sum;
      for (size_t i = 0; i < mean.size(); ++i) mean[i] += gamma[k] * means[k][i];
    }
  }

  std::vector<double> covariance_times(std::span<const double> v) const {
    std::vector<double> out(v.size()), away(v.size());
    for (size_t k = 0; k < gamma.size(); ++k) {
      const auto within = parts[k].gain_times(v);
      for (size_t i = 0; i < v.size(); ++i) away[i] = means[k][i] - mean[i];
      const double along = dot(away, v);
      for (size_t i = 0; i < v.size(); ++i) {
        out[i] += gamma[k] * (level.noise * level.noise * within[i] + away[i] * along);
      }
    }
    return out;
  }

  double variance() const {
    double sum = 0;
    for (size_t k = 0; k < gamma.size(); ++k) {
      double within = 0, between = 0;
      const size_t dims = mean.size();
      for (size_t i = 0; i < dims; ++i) {
        within += parts[k].gain.empty() ? parts[k].p : parts[k].gain[i * dims + i];
        between += (means[k][i] - mean[i]) * (means[k][i] - mean[i]);
      }
      sum += gamma[k] * (level.noise * level.noise * within + between);
    }
    return sum;
  }
};

Oracle::Oracle(const Shape& sample_shape, std::vector<Component> components) : shape_(sample_shape) {
  const auto dims = static_cast<size_t>(sample_shape.numel());
  check(dims > 0 && !components.empty(), "oracle: needs at least one component of at least one dimension");
  double sum = 0;
  for (const Component& c : components) {
    check(c.mean.size() == dims && (c.covariance.empty() || c.covariance.size() == dims * dims),
          "oracle: a component has ", c.mean.size(), " means and ", c.covariance.size(),
          " covariances for samples of shape ", sample_shape);
    check(c.weight > 0 && std::isfinite(c.weight) && c.variance >= 0 && std::isfinite(c.variance) &&
              all_finite(c.mean) && all_finite(c.covariance),
          "oracle: a component needs a positive weight, a variance that is not negative, and finite numbers");
    sum += c.weight;
  }
  for (Component& c : components) c.weight /= sum;
  components_ = std::make_shared<const std::vector<Component>>(std::move(components));
}

// f(point, row, out) fills a row of the result: of the sample's shape, or one number.
template <class F>
Tensor Oracle::per_row(std::string_view op, const Tensor& x_t, const NoiseLevel& level, bool scalar, F&& f) const {
  Shape wanted = shape_;
  wanted.insert(0, x_t.dim() > 0 ? x_t.size(0) : 0);
  check(x_t.shape() == wanted && is_floating(x_t.dtype()), op, ": x must be (N, ", shape_, ") floating, got ",
        x_t.shape(), " ", x_t.dtype());
  check(level.noise > 0, op, ": the noise must be positive, got ", level.noise);
  std::vector<AtLevel> parts;
  for (const Component& component : *components_) parts.emplace_back(component, level);
  const std::vector<double> x = x_t.to_vector();
  const auto dims = static_cast<size_t>(shape_.numel());
  std::vector<double> out;
  for (size_t row = 0; row * dims < x.size(); ++row) {
    const AtPoint point(parts, level, std::span(x).subspan(row * dims, dims));
    f(point, row, out);
  }
  return tensor_of(out, scalar ? Shape{x_t.size(0)} : x_t.shape(), x_t.dtype());
}

Tensor Oracle::posterior_mean(const Tensor& x_t, const NoiseLevel& level) const {
  return per_row("posterior_mean", x_t, level, false, [](const AtPoint& point, size_t, std::vector<double>& out) {
    out.insert(out.end(), point.mean.begin(), point.mean.end());
  });
}

Tensor Oracle::posterior_covariance_times(const Tensor& x_t, const Tensor& v, const NoiseLevel& level) const {
  check(v.shape() == x_t.shape(), "posterior_covariance_times: v has shape ", v.shape(), " but x ", x_t.shape());
  const std::vector<double> vectors = v.to_vector();
  const auto dims = static_cast<size_t>(shape_.numel());
  return per_row("posterior_covariance_times", x_t, level, false,
                 [&](const AtPoint& point, size_t row, std::vector<double>& out) {
                   const auto product = point.covariance_times(std::span(vectors).subspan(row * dims, dims));
                   out.insert(out.end(), product.begin(), product.end());
                 });
}

Tensor Oracle::posterior_variance(const Tensor& x_t, const NoiseLevel& level) const {
  return per_row("posterior_variance", x_t, level, true,
                 [](const AtPoint& point, size_t, std::vector<double>& out) { out.push_back(point.variance()); });
}

Tensor Oracle::log_density(const Tensor& x_t, const NoiseLevel& level) const {
  return per_row("log_density", x_t, level, true,
                 [](const AtPoint& point, size_t, std::vector<double>& out) { out.push_back(point.log_density); });
}

Tensor Oracle::score(const Tensor& x_t, const NoiseLevel& level) const {
  return (posterior_mean(x_t, level) * level.signal - x_t) / (level.noise * level.noise);
}

Tensor Oracle::sample(int64_t count) const {
  Shape shape = shape_;
  shape.insert(0, count);
  const std::vector<double> which = rand({count, 1}, "oracle-component", DType::f64).to_vector();
  std::vector<double> values = randn(shape, "oracle-value", DType::f64).to_vector();
  const auto dims = static_cast<size_t>(shape_.numel());
  std::vector<std::vector<double>> roots;
  for (const Component& c : *components_) {
    roots.push_back(c.covariance);
    if (!c.covariance.empty()) cholesky(roots.back(), dims);
  }
  for (size_t row = 0; row < which.size(); ++row) {
    double left = which[row];
    size_t k = 0;
    while (k + 1 < components_->size() && left >= (*components_)[k].weight) left -= (*components_)[k++].weight;
    const Component& c = (*components_)[k];
    const std::span<double> value = std::span(values).subspan(row * dims, dims);
    if (roots[k].empty()) {
      for (double& x : value) x *= std::sqrt(c.variance);
    } else {
      const auto mixed = times(roots[k], value);  // the factor's upper half is zero
      std::copy(mixed.begin(), mixed.end(), value.begin());
    }
    for (size_t i = 0; i < dims; ++i) value[i] += c.mean[i];
  }
  return tensor_of(values, shape, DType::f64);
}

Oracle gaussian_oracle(const Tensor& mean, double variance) {
  return {mean.shape(), {{.weight = 1, .mean = mean.to_vector(), .variance = variance}}};
}

Oracle mixture_oracle(std::span<const double> weights, const Tensor& means, const Tensor& covariances) {
  const auto count = static_cast<int64_t>(weights.size());
  check(means.dim() == 2 && means.size(0) == count, "mixture_oracle: means must be (", count, ", D), got ",
        means.shape());
  const Shape wanted{count, means.size(1), means.size(1)};
  check(covariances.shape() == wanted, "mixture_oracle: covariances must be ", wanted, ", got ", covariances.shape());
  std::vector<Oracle::Component> components;
  for (int64_t k = 0; k < count; ++k) {
    components.push_back({.weight = weights[static_cast<size_t>(k)],
                          .mean = select(means, 0, k).to_vector(),
                          .covariance = select(covariances, 0, k).to_vector()});
  }
  return {{means.size(1)}, std::move(components)};
}

Oracle mixture_oracle(const GaussianMixture& mixture) {
  std::vector<Oracle::Component> components;
  for (const GaussianComponent& c : mixture.components()) {
    components.push_back({.weight = c.weight, .mean = {c.mean}, .variance = c.stddev * c.stddev});
  }
  return {{1}, std::move(components)};
}

Oracle dataset_oracle(const Tensor& points, double stddev) {
  check(points.dim() >= 1 && points.size(0) >= 1, "dataset_oracle: points must be (N, ...), got ", points.shape());
  std::vector<Oracle::Component> components;
  for (int64_t i = 0; i < points.size(0); ++i) {
    components.push_back({.weight = 1, .mean = select(points, 0, i).to_vector(), .variance = stddev * stddev});
  }
  Shape shape = points.shape();
  shape.erase(0);
  return {shape, std::move(components)};
}

NoiseLevel level_at(const NoiseSchedule& schedule, const SigmaTable& table, double t) {
  return t == std::floor(t) ? schedule.level(static_cast<int64_t>(t)) : level_of(table.sigma(t));
}

Denoiser denoiser_of(const Oracle& oracle, const NoiseSchedule& schedule, PredictionType type) {
  return [=, table = SigmaTable(schedule)](const Tensor& x_t, const Tensor& t) {
    const auto at = [&](const Tensor& x, double time) {
      const NoiseLevel level = level_at(schedule, table, time);
      return convert_prediction(PredictionType::sample, type, oracle.posterior_mean(x, level), x, level);
    };
    const std::vector<double> times = t.to_vector();
    check(x_t.dim() >= 1 && static_cast<int64_t>(times.size()) == x_t.size(0), "oracle: ", times.size(),
          " timesteps for a batch of shape ", x_t.shape());
    if (times.empty()) return x_t;
    if (std::all_of(times.begin(), times.end(), [&](double time) { return time == times[0]; })) {
      return at(x_t, times[0]);
    }
    std::vector<Tensor> rows;
    for (int64_t n = 0; n < x_t.size(0); ++n) rows.push_back(at(narrow(x_t, 0, n, 1), times[static_cast<size_t>(n)]));
    return cat(rows, 0);
  };
}

SigmaDenoiser sigma_denoiser(const Oracle& oracle) {
  return [=](const Tensor& x, double sigma) { return oracle.posterior_mean(x, {1, sigma}); };
}

}  // namespace sfumato
