// Chunks of one size: as many samples as the network gets at once, the last ones past what is asked for computed and
// dropped.
#include "diffusion/likelihood/evaluate.h"

#include <cmath>
#include <numbers>

#include "diffusion/likelihood/decoder.h"
#include "nn/distributed/replicas.h"
#include "tensor/ops/elementwise.h"
#include "tensor/ops/reduce.h"
#include "tensor/random.h"

namespace sfumato {
namespace {

constexpr int64_t kImagesAtOnce = 8, kPointsAtOnce = 256;

struct Chunk {
  int64_t first, rows;  // rows: those that count
  Tensor x;             // f64, always full
  Tensor labels;        // undefined for networks without classes
};

Tensor labels_of(
    const DenoisingNetwork& network, const Dataset& data, const EvaluateOptions& o, int64_t first, int64_t count) {
  if (network.num_classes() == 0) return {};
  check(data.has_labels() || o.null_label.has_value(),
        "evaluate: the network wants classes, which the data have not, and knows no label for none");
  std::vector<double> labels;
  for (int64_t i = first; i < first + count; ++i) {
    labels.push_back(static_cast<double>(data.has_labels() ? data.label(i % data.size()) : *o.null_label));
  }
  return tensor_of(labels, {count}, DType::i64);
}

// Calls numbers = work(chunk), then take(rows, numbers), for every chunk in order. Of several ranks chunk c is the work
// of rank c mod p, and all take the numbers of all chunks.
template <class Work, class Take>
void for_each_chunk(const DenoisingNetwork& network,
                    const Dataset& data,
                    const EvaluateOptions& options,
                    const Work& work,
                    const Take& take) {
  Shape shape = data.sample_shape();
  check(shape == network.sample_shape(), "evaluate: the network is for samples of shape ", network.sample_shape(),
        ", but the data's are ", shape);
  check(options.num >= 1 && options.num <= data.size(), "evaluate: num must be in 1..", data.size(),
        ", the size of the data, got ", options.num);
  const int64_t dims = shape.numel(), size = shape.rank() == 3 ? kImagesAtOnce : kPointsAtOnce;
  shape.insert(0, size);
  const auto rows_from = [&](int64_t first) { return std::min(size, options.num - first); };
  const auto numbers_of = [&](int64_t first) {
    Tensor x = Tensor::empty(shape);
    for (int64_t i = 0; i < size; ++i) {
      const int64_t index = (first + i) % data.size();
      data.read(index, x.mutable_data<float>() + i * dims, SampleRandom(options.seed, index));
    }
    const Chunk chunk{first, rows_from(first), x.to(DType::f64), labels_of(network, data, options, first, size)};
    const RandomScope scope({.seed = options.seed, .step = 0, .first_sample = first});
    std::vector<double> numbers = work(chunk);
    if (options.progress) options.progress(first + chunk.rows, options.num);
    return numbers;
  };
  ProcessGroup* group = options.group;
  const int64_t ranks = group != nullptr ? group->size() : 1, rank = group != nullptr ? group->rank() : 0;
  for (int64_t round = 0; round < options.num; round += ranks * size) {
    const int64_t own = round + rank * size;
    const std::vector<double> mine = own < options.num ? numbers_of(own) : std::vector<double>();
    for (int64_t from = 0; from < ranks && round + from * size < options.num; ++from) {
      std::vector<double> numbers = from == rank ? mine : std::vector<double>();
      if (ranks > 1) broadcast(*group, numbers, static_cast<int>(from));
      take(rows_from(round + from * size), numbers);
    }
  }
}

void append(std::vector<double>& all, const Tensor& values, int64_t rows) {
  const std::vector<double> some = values.to_vector();
  all.insert(all.end(), some.begin(), some.begin() + rows);
}

// (k + u)/128 - 1 of pixels k/127.5 - 1.
Tensor dequantized(const Tensor& x) {
  const Tensor pixel = round(affine(x, 127.5, 127.5));
  return affine(pixel + rand(x.shape(), "dequantize", DType::f64), 1.0 / 128, -1);
}

Estimate scaled(const Estimate& nats, int64_t dims, double scale) {
  return {bits_per_dim(nats.mean, dims, scale), bits_per_dim(nats.error, dims)};
}

}  // namespace

Estimate estimate(std::span<const double> values) {
  const auto n = static_cast<double>(values.size());
  Estimate result;
  for (const double value : values) result.mean += value / n;
  for (const double value : values) result.error += (value - result.mean) * (value - result.mean);
  result.error = values.size() > 1 ? std::sqrt(result.error / (n * (n - 1))) : 0;
  return result;
}

Estimate VlbReport::bits_per_dim(const Estimate& nats) const { return scaled(nats, dims, 1); }

VlbLedger VlbReport::ledger() const {
  VlbLedger ledger{.prior = prior.mean, .terms = {}, .distortion = distortion};
  for (const Estimate& term : terms) ledger.terms.push_back(term.mean);
  return ledger;
}

VlbReport evaluate_vlb(const DenoisingNetwork& network,
                       const NoiseSchedule& schedule,
                       const Dataset& data,
                       const EvaluateOptions& options,
                       const PredictionOptions& prediction,
                       VarianceType variance) {
  VlbReport report;
  report.num = options.num;
  report.dims = data.sample_shape().numel();
  report.discretized = data.sample_shape().rank() == 3;
  const VlbOptions vlb{.prediction = prediction,
                       .variance = variance,
                       .decoder = report.discretized ? VlbDecoder::discretized : VlbDecoder::continuous};
  const auto steps = static_cast<size_t>(schedule.num_timesteps());
  std::vector<std::vector<double>> terms(steps), distortion(steps);
  std::vector<double> prior;
  const auto work = [&](const Chunk& chunk) {
    std::vector<double> numbers;
    const Denoiser denoiser = wide_denoiser(network, chunk.labels);
    append(numbers, vlb_prior_term(schedule, chunk.x), chunk.rows);
    for (size_t t = 0; t < steps; ++t) {
      const VlbTerm term = vlb_term_drawn(denoiser, schedule, chunk.x, static_cast<int64_t>(t), vlb);
      append(numbers, term.nats, chunk.rows);
      append(numbers, term.distortion, chunk.rows);
    }
    return numbers;
  };
  for_each_chunk(network, data, options, work, [&](int64_t rows, const std::vector<double>& numbers) {
    const double* at = numbers.data();
    const auto next = [&](std::vector<double>& all) {
      all.insert(all.end(), at, at + rows);
      at += rows;
    };
    next(prior);
    for (size_t t = 0; t < steps; ++t) {
      next(terms[t]);
      next(distortion[t]);
    }
  });
  std::vector<double> total = prior;
  for (size_t t = 0; t < steps; ++t) {
    for (size_t i = 0; i < total.size(); ++i) total[i] += terms[t][i];
    report.terms.push_back(estimate(terms[t]));
    report.distortion.push_back(estimate(distortion[t]).mean);
  }
  report.prior = estimate(prior);
  report.total = estimate(total);
  return report;
}

Estimate OdeReport::bits_per_dim() const { return scaled(nats, dims, dequantized ? 128 : 1); }

OdeReport evaluate_ode(const DenoisingNetwork& network,
                       const NoiseSchedule& schedule,
                       const Dataset& data,
                       const EvaluateOptions& options,
                       const PredictionOptions& prediction,
                       const OdeLikelihoodOptions& ode) {
  OdeReport report;
  report.num = options.num;
  report.dims = data.sample_shape().numel();
  report.dequantized = data.sample_shape().rank() == 3;
  const SigmaTable table(schedule);
  OdeLikelihoodOptions given = ode;
  given.sigma_min = table.sigma(0);
  given.sigma_max = table.sigma(static_cast<double>(schedule.num_timesteps() - 1));
  const double end = scale_of(given.sigma_max);  // x_T is N(0, I) before it is divided by its signal
  given.prior_log_density = [end](const Tensor& x) { return normal_log_density(x, end); };
  const auto work = [&](const Chunk& chunk) {
    std::vector<double> numbers;
    const Tensor x = report.dequantized ? dequantized(chunk.x) : chunk.x;
    const DifferentiableDenoiser denoiser = differentiable(network, schedule, prediction, chunk.labels);
    append(numbers, -ode_log_likelihood(denoiser, x, given), chunk.rows);
    return numbers;
  };
  for_each_chunk(network, data, options, work, [&](int64_t /*rows*/, const std::vector<double>& numbers) {
    report.per_sample.insert(report.per_sample.end(), numbers.begin(), numbers.end());
  });
  report.nats = estimate(report.per_sample);
  return report;
}

std::optional<VlbLedger> exact_bound(const Oracle& data, const NoiseSchedule& schedule, VarianceType variance) {
  const auto& components = data.components();
  if (components.size() != 1 || !components[0].covariance.empty() || components[0].variance <= 0) return {};
  VlbLedger sum;
  const std::vector<double>& means = components[0].mean;
  for (const double mean : means) {
    const VlbLedger one = gaussian_variational_bound(schedule, mean, components[0].variance, variance);
    sum.terms.resize(one.terms.size());
    sum.prior += one.prior;
    for (size_t t = 0; t < one.terms.size(); ++t) sum.terms[t] += one.terms[t];
    sum.distortion = one.distortion;
  }
  return sum;
}

std::vector<double> exact_ode_nats(const Oracle& truth,
                                   const NoiseSchedule& schedule,
                                   const Dataset& data,
                                   const EvaluateOptions& options) {
  const double lowest = SigmaTable(schedule).sigma(0);
  Shape shape = data.sample_shape();
  const int64_t dims = shape.numel();
  shape.insert(0, options.num);
  Tensor x = Tensor::empty(shape);
  for (int64_t i = 0; i < options.num; ++i) {
    data.read(i, x.mutable_data<float>() + i * dims, SampleRandom(options.seed, i));
  }
  return (-truth.log_density(x.to(DType::f64), {1, lowest})).to_vector();
}

}  // namespace sfumato
