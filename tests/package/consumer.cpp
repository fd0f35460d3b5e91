// A program on every layer of the installed library, such that each of the libraries that it is linked with is needed:
// autograd, a network with its weights on disk, and a sampler run on a closed-form denoiser.
#include <cmath>
#include <cstdio>
#include <filesystem>

#include "autograd/variable.h"
#include "diffusion/image/png.h"
#include "diffusion/model/unet.h"
#include "diffusion/process/gaussian.h"
#include "diffusion/samplers/ddim.h"
#include "nn/init.h"
#include "nn/state_dict.h"
#include "tensor/tensor.h"

using namespace sfumato;

namespace {

bool gradient_is_right() {
  Variable x(full({3}, 2.0), /*requires_grad=*/true);
  Variable y = sum(mul(x, x));
  y.backward();
  return x.grad().tensor().to_vector() == std::vector<double>{4, 4, 4};
}

// A small network answers the same after its weights have been to disk and back.
bool network_is_right() {
  UNetConfig config;
  config.sample_size = 8;
  config.in_channels = config.out_channels = 1;
  config.block_out_channels = {8, 8};
  config.set_levels({false, true});
  config.layers_per_block = 1;
  config.norm_num_groups = 4;
  UNet first(config), second(config);
  initialize(first, /*seed=*/1);
  save_state_dict("weights.safetensors", first);
  load_state_dict("weights.safetensors", second);
  first.eval();
  second.eval();
  const Tensor x = randn({2, 1, 8, 8}, "x"), t = full({2}, 5);
  return first(x, t).tensor().to_vector() == second(x, t).tensor().to_vector();
}

// All data are one image, 0.5 everywhere: the best denoiser is known, and sampling ends in that image.
bool sampling_is_right() {
  const NoiseSchedule schedule = linear_schedule(100, 1e-3, 0.2);
  const Denoiser oracle = [&](const Tensor& x_t, const Tensor& t) {
    const NoiseLevel level = schedule.level(static_cast<int64_t>(t.to_vector()[0]));
    return affine(x_t, 1 / level.noise, -0.5 * level.signal / level.noise);
  };
  const Tensor samples = ddim_sample(oracle, schedule, initial_noise({4, 1, 8, 8}, /*seed=*/3));
  save_image_grid("samples.png", samples);
  for (const double value : samples.to_vector()) {
    if (std::abs(value - 0.5) > 1e-4) {
      return false;
    }
  }
  return std::filesystem::file_size("samples.png") > 0;
}

}  // namespace

int main() {
  const bool gradient = gradient_is_right(), network = network_is_right(), sampling = sampling_is_right();
  std::printf("gradient %d, network %d, sampling %d\n", gradient, network, sampling);
  return gradient && network && sampling ? 0 : 1;
}
