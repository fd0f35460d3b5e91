// Likelihoods over data sets: closed forms where there are some, the adapter of networks, and bits that do not depend
// on how many samples are asked for.
#include "diffusion/likelihood/evaluate.h"

#include "catch.h"
#include "diffusion/model/mlp.h"
#include "diffusion/model/unet.h"
#include "diffusion/oracle/oracle_network.h"
#include "nn/init.h"
#include "tensor/ops/elementwise.h"
#include "tensor/ops/view.h"
#include "tensor/parallel.h"
#include "tensor/random.h"

using namespace sfumato;

namespace {

template <class Network>
void scatter_weights(Network& net) {
  initialize(net, 3);
  for (Variable& parameter : net.parameters()) {
    Tensor values = parameter.tensor();
    values.copy_from(randn(values.shape(), "weights", values.dtype()) * 0.3);
  }
}

// 8-bit pixels that depend on the index alone.
class Noise : public Dataset {
 public:
  int64_t size() const override { return 20; }
  Shape sample_shape() const override { return {1, 4, 4}; }
  void read(int64_t index, float* out, const SampleRandom&) const override {
    for (int64_t i = 0; i < 16; ++i) out[i] = static_cast<float>((index * 37 + i * 11) % 256) / 127.5F - 1;
  }
};

UNet small_unet() {
  UNetConfig config;
  config.sample_size = 4;
  config.in_channels = config.out_channels = 1;
  config.block_out_channels = {8, 8};
  config.set_levels({false, true}, Resampling::conv);
  config.layers_per_block = 1;
  config.norm_num_groups = 4;
  UNet net(config);
  scatter_weights(net);
  net.eval();
  return net;
}

void check_same(const VlbReport& a, const VlbReport& b) {
  CHECK(a.total.mean == b.total.mean);
  CHECK(a.total.error == b.total.error);
  for (size_t t = 0; t < a.terms.size(); ++t) CHECK(a.terms[t].mean == b.terms[t].mean);
}

}  // namespace

TEST_CASE("evaluate: mean and standard error of a few numbers", "[diffusion]") {
  const Estimate e = estimate(std::vector<double>{1, 2, 6});
  CHECK(e.mean == Approx(3));
  CHECK(e.error == Approx(std::sqrt((4.0 + 1 + 9) / 2 / 3)));
  CHECK(estimate(std::vector<double>{5}).error == 0);
}

TEST_CASE("evaluate: the bound of a Gaussian is the exact ledger within its error bars", "[diffusion]") {
  const NoiseSchedule schedule = linear_schedule(100, 1e-3, 0.2);
  const OracleModel gaussian = named_oracle("gaussian=0.3:0.5");
  const OracleNetwork network(gaussian, schedule);
  const OracleDataset data(gaussian, 7);
  for (const auto variance : {VarianceType::fixed_small, VarianceType::fixed_large}) {
    const VlbReport report =
        evaluate_vlb(network, schedule, data, {.num = 1000}, {.type = PredictionType::sample}, variance);
    const VlbLedger exact = *exact_bound(gaussian.all, schedule, variance);
    CHECK_FALSE(report.discretized);
    CHECK(report.total.mean == Approx(exact.total()).margin(4 * report.total.error));
    CHECK(report.prior.mean == Approx(exact.prior).margin(4 * report.prior.error));
    size_t outside = 0;
    for (size_t t = 0; t < exact.terms.size(); ++t) {
      outside += std::abs(report.terms[t].mean - exact.terms[t]) > 4 * report.terms[t].error ? 1 : 0;
      CHECK(report.distortion[t] == Approx(exact.distortion[t]).epsilon(0.2));
    }
    CHECK(outside == 0);
  }
  CHECK_FALSE(exact_bound(named_oracle("gmm2d").all, schedule, VarianceType::fixed_small).has_value());
}

TEST_CASE("evaluate: the flow's likelihood of a closed form is its density, sample by sample", "[diffusion]") {
  const NoiseSchedule schedule = linear_schedule(1000, 1e-4, 0.04);  // A_T 2e-9: x_T is standard normal indeed
  const OracleModel gmm = named_oracle("gmm2d");
  const OracleNetwork network(gmm, schedule);
  const OracleDataset data(gmm, 7);
  const EvaluateOptions options{.num = 10};
  const OdeReport report = evaluate_ode(network, schedule, data, options, {.type = PredictionType::sample}, {});
  const std::vector<double> exact = exact_ode_nats(gmm.all, schedule, data, options);
  for (size_t i = 0; i < exact.size(); ++i) CHECK(report.per_sample[i] == Approx(exact[i]).margin(3e-4));
  CHECK(report.bits_per_dim().mean == Approx(report.nats.mean / 2 / std::log(2)));
}

TEST_CASE("evaluate: a network's divergence is that of its denoiser", "[diffusion]") {
  MlpDenoiser net({.sample_dim = 3, .width = 8, .depth = 1, .time_embedding_dim = 8});
  scatter_weights(net);
  net.to(DType::f64);
  const NoiseSchedule schedule = linear_schedule(1000);
  const Tensor x = tensor_of({0.4, -1, 0.2, 1.5, 0.1, -0.3}, {2, 3}, DType::f64);
  const Tensor v = tensor_of({1, -1, 0.5, 2, 0.3, -0.7}, {2, 3}, DType::f64);
  for (const auto type : {PredictionType::epsilon, PredictionType::sample, PredictionType::v_prediction}) {
    const PredictionOptions prediction{.type = type};
    const SigmaDenoiser plain = sigma_denoiser(wide_denoiser(net), SigmaTable(schedule), prediction);
    const DifferentiableDenoiser found = differentiable(net, schedule, prediction);
    for (const double sigma : {0.05, 1.0, 20.0}) {
      const DenoiserProduct at = found(x, sigma, v);
      const std::vector<double> x0 = plain(x, sigma).to_vector(), product = at.product.to_vector();
      const std::vector<double> of_it = at.x0.to_vector();
      for (size_t i = 0; i < x0.size(); ++i) {
        CHECK(of_it[i] == Approx(x0[i]).epsilon(1e-12));
        Tensor up = x.clone(), down = x.clone();  // v^T dD/dx_i by central differences
        up.mutable_data<double>()[i] += 1e-5;
        down.mutable_data<double>()[i] -= 1e-5;
        const std::vector<double> slope = ((plain(up, sigma) - plain(down, sigma)) * v / 2e-5).to_vector();
        double sum = 0;
        for (size_t j = i / 3 * 3; j < i / 3 * 3 + 3; ++j) sum += slope[j];
        CHECK(product[i] == Approx(sum).epsilon(1e-6).margin(1e-8));
      }
    }
  }
}

TEST_CASE("evaluate: results depend neither on how many samples there are nor on threads", "[diffusion]") {
  const UNet net = small_unet();
  const NoiseSchedule schedule = linear_schedule(10, 0.05, 0.4);
  const Noise data;
  const PredictionOptions prediction;
  const auto ode = [&](int64_t num) {
    return evaluate_ode(net, schedule, data, {.num = num}, prediction,
                        {.ode = {.rtol = 1e-3, .atol = 1e-3}, .probes = 1});
  };
  const auto vlb = [&](int64_t num) {
    return evaluate_vlb(net, schedule, data, {.num = num}, prediction, VarianceType::fixed_large);
  };
  const OdeReport nine = ode(9), three = ode(3);
  for (size_t i = 0; i < 3; ++i) CHECK(nine.per_sample[i] == three.per_sample[i]);
  const VlbReport bound = vlb(3);
  CHECK(bound.discretized);
  CHECK(vlb(1).total.mean != bound.total.mean);
  const int threads = num_threads();
  set_num_threads(threads == 1 ? 2 : 1);
  check_same(bound, vlb(3));
  const OdeReport other = ode(3);
  set_num_threads(threads);
  for (size_t i = 0; i < 3; ++i) CHECK(other.per_sample[i] == three.per_sample[i]);
}

TEST_CASE("evaluate: what does not fit is refused", "[diffusion]") {
  const UNet net = small_unet();
  const NoiseSchedule schedule = linear_schedule(10);
  CHECK_THROWS_AS(evaluate_ode(net, schedule, OracleDataset(named_oracle("gmm2d"), 1), {.num = 1}, {}, {}), Error);
  CHECK_THROWS_AS(evaluate_ode(net, schedule, Noise(), {.num = 21}, {}, {}), Error);
  CHECK_THROWS_AS(evaluate_ode(net, schedule, Noise(), {.num = 1}, {.thresholding = true}, {}), Error);
}
