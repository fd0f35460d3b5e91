// Diffusion from end to end on points in the plane: noise a spiral, learn to see the noise, walk back from pure noise.
//
//   example_swiss_roll                  trains for a few seconds and says how far samples are from the spiral
//   example_swiss_roll picture.svg      and draws data and samples side by side (.svg or .png)
#include <cstdio>

#include "diffusion/data/open.h"
#include "diffusion/model/time_embedding.h"
#include "diffusion/objective/objective.h"
#include "diffusion/plot/figure.h"
#include "diffusion/process/gaussian.h"
#include "diffusion/samplers/ancestral.h"
#include "nn/data/loader.h"
#include "nn/optim/ema.h"
#include "nn/optim/lr_schedule.h"
#include "nn/optim/optimizer.h"
#include "tensor/parallel.h"

using namespace sfumato;

namespace {

constexpr int64_t kSteps = 3000;
constexpr int64_t kBatch = 256;
constexpr int64_t kPoints = 2000;  // that are drawn and measured

// What the network is asked for. With epsilon it is the noise itself; v mixes noise and data, which is easier at both
// ends (Salimans & Ho 2022).
constexpr PredictionType kPrediction = PredictionType::v_prediction;

// The network: where a point is and how noisy it is -> the prediction.
struct Denoising : Module {
  Linear point{2, 128}, time{32, 128}, middle1{128, 128}, middle2{128, 128}, out{128, 2};

  void visit(Visitor& v) override {
    v("point", point)("time", time)("middle1", middle1)("middle2", middle2)("out", out);
  }
  // x_t (N, 2), t (N) -> (N, 2)
  Variable operator()(const Variable& x_t, const Tensor& t) const {
    const Tensor features = timestep_embedding(t, 32, /*flip_sin_to_cos=*/false, /*freq_shift=*/1);
    const Variable h = silu(point(x_t) + time(features));
    return out(silu(middle2(silu(middle1(h)))));
  }
};

// Algorithm 1 of Ho et al. 2020.
void train(Denoising& net, Ema& ema, FlatParameters& flat, const NoiseSchedule& schedule, DataLoader& points) {
  Adam adam(flat);
  const LrSchedule rate{.lr = 3e-3, .warmup_steps = 50, .decay = LrDecay::cosine, .total_steps = kSteps};
  for (int64_t step = 1; step <= kSteps; ++step) {
    const RandomScope scope({.seed = 1, .step = step});
    const Tensor x_0 = points.next().images;
    const Tensor t = randint(0, schedule.num_timesteps(), {kBatch}, "t");
    const Tensor noise = randn(x_0.shape(), "noise");
    const Tensor x_t = q_sample(schedule, x_0, t, noise);
    const Variable loss = mse_loss(net(x_t, t), training_target(schedule, kPrediction, x_0, noise, t));
    flat.zero_grad();
    loss.backward();
    adam.step(flat.gradients(), learning_rate(rate, step));
    ema.update();
    if (step % 500 == 0) {
      std::printf("step %4d  loss %.3f\n", static_cast<int>(step), loss.item());
    }
  }
}

// The mean distance from a point of `from` (N, 2) to the nearest of `to` (M, 2).
double mean_distance(const Tensor& from, const Tensor& to) {
  const Tensor difference = unsqueeze(from, 1) - unsqueeze(to, 0);  // (N, M, 2)
  return mean(sqrt(amin(sum(square(difference), {2}), {1}))).item();
}

Tensor some_points(const std::shared_ptr<const Dataset>& dataset, uint64_t seed) {
  return DataLoader(dataset, {.batch_size = kPoints, .seed = seed}).next().images;
}

}  // namespace

int main(int argc, char** argv) try {
  set_num_threads(1);  // work this small is not worth waiting for a second thread
  const auto dataset = open_dataset("swissroll");
  const NoiseSchedule schedule = cosine_schedule(/*num_timesteps=*/200);
  Denoising net;
  initialize(net, /*seed=*/0);
  FlatParameters flat(net);
  Ema ema(flat, {.decay = 0.995});
  DataLoader points(dataset, {.batch_size = kBatch, .seed = 1});
  train(net, ema, flat, schedule, points);

  // Algorithm 2, with the averaged weights.
  const EmaScope averaged(ema);
  const Denoiser denoiser = [&](const Tensor& x_t, const Tensor& t) {
    const NoGradGuard no_tape;
    return net(x_t, t).tensor();
  };
  const Tensor start = initial_noise({kPoints, 2}, /*seed=*/2);
  const Tensor samples = ancestral_sample(denoiser, schedule, start,
                                          {.prediction = {.type = kPrediction}, .noise = step_noise(/*seed=*/2)});

  // On the spiral (each sample is near some point) and all over it (each point is near some sample)?
  const Tensor data = some_points(dataset, 3);
  const double to_data = mean_distance(samples, data), to_samples = mean_distance(data, samples);
  std::printf("distance to the nearest point of the data: samples %.3f, other data %.3f, noise %.3f\n", to_data,
              mean_distance(some_points(dataset, 4), data), mean_distance(start, data));
  std::printf("distance from the data to the nearest sample: %.3f\n", to_samples);
  if (argc > 1) {
    plot::save_figure(argv[1], plot::scatter_figure("A swiss roll", {{"data", data}, {"samples", samples}}));
  }
  return to_data < 0.05 && to_samples < 0.05 ? 0 : 1;
} catch (const std::exception& error) {
  std::fprintf(stderr, "%s\n", error.what());
  return 1;
}
