// Likelihoods of a model over a data set, with standard errors.
//
//   VlbReport bound = evaluate_vlb(*pipeline.network, schedule, *data, {.num = 64}, {.prediction = ..., .variance =
//   ...}); bound.bits_per_dim(bound.total);                            // mean and standard error over images OdeReport
//   ode = evaluate_ode(*pipeline.network, schedule, *data, {.num = 64}, prediction, {.probes = 1});
//
// Sample i of the data is read with noise, dequantisation and probes that are functions of (seed, i), and goes through
// the network with the same neighbours however many samples are asked for: results do not depend on num, nor on
// threads. Sums are in f64 and in the order of the data.
//
// Images (rank 3) are 8-bit pixels in [-1, 1]: the bound ends in the discretised decoder, and the ODE, which has a
// density, is asked about (k + u)/128 - 1 with u uniform in [0, 1), because the density of pixels alone has no bound.
// E log p(x + u) is then at most log P(pixels), and bits/dim = nats / (D ln 2) + 7. Points are taken as they are.
#pragma once

#include <functional>
#include <optional>

#include "diffusion/likelihood/network.h"
#include "diffusion/likelihood/ode_likelihood.h"
#include "diffusion/likelihood/variational_bound.h"
#include "nn/data/dataset.h"
#include "nn/distributed/process_group.h"

namespace sfumato {

struct EvaluateOptions {
  int64_t num = 64;  // the first of the data
  uint64_t seed = 0;
  std::optional<int64_t> null_label = {};                          // for a network with classes where data have none
  std::function<void(int64_t done, int64_t total)> progress = {};  // in samples
  // Ranks that share the work: all make the same call and get the report of one rank, bit for bit.
  ProcessGroup* group = nullptr;
};

// A mean over samples and its standard error.
struct Estimate {
  double mean = 0, error = 0;
};
Estimate estimate(std::span<const double> values);

struct VlbReport {
  int64_t num = 0, dims = 0;
  bool discretized = false;        // else a density
  Estimate total, prior;           // nats per sample
  std::vector<Estimate> terms;     // t = 0..T-1, as in VlbLedger
  std::vector<double> distortion;  // mean squared error per number
  Estimate bits_per_dim(const Estimate& nats) const;
  // As a ledger of the means.
  VlbLedger ledger() const;
};
VlbReport evaluate_vlb(const DenoisingNetwork& network,
                       const NoiseSchedule& schedule,
                       const Dataset& data,
                       const EvaluateOptions& options,
                       const PredictionOptions& prediction,
                       VarianceType variance);

struct OdeReport {
  int64_t num = 0, dims = 0;
  bool dequantized = false;
  Estimate nats;                   // -log p per sample
  std::vector<double> per_sample;  // the same, each
  Estimate bits_per_dim() const;
};
// sigma_min, sigma_max and the prior are the schedule's; those of `ode` are not used.
OdeReport evaluate_ode(const DenoisingNetwork& network,
                       const NoiseSchedule& schedule,
                       const Dataset& data,
                       const EvaluateOptions& options,
                       const PredictionOptions& prediction,
                       const OdeLikelihoodOptions& ode);

// What the terms are for the best network where the data are one Gaussian, the same in all directions.
std::optional<VlbLedger> exact_bound(const Oracle& data, const NoiseSchedule& schedule, VarianceType variance);
// -log q of each of the samples that evaluate_ode() reads, at the schedule's lowest level.
std::vector<double> exact_ode_nats(const Oracle& truth,
                                   const NoiseSchedule& schedule,
                                   const Dataset& data,
                                   const EvaluateOptions& options);

}  // namespace sfumato
