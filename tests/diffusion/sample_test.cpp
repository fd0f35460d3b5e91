// draw_samples: every sampler by name, and images that do not depend on their batch.
#include "diffusion/pipeline/sample.h"

#include "catch.h"
#include "diffusion/oracle/oracle.h"
#include "diffusion/samplers/table.h"
#include "nn/init.h"
#include "tensor/ops/elementwise.h"
#include "tensor/ops/reduce.h"
#include "tensor/ops/view.h"
#include "tensor/random.h"

using namespace sfumato;

namespace {

constexpr std::string_view kSmallUnet =
    R"({"sample_size": 8, "in_channels": 1, "out_channels": 1, "layers_per_block": 1, "norm_num_groups": 4,
        "block_out_channels": [8, 16], "down_block_types": ["DownBlock2D", "AttnDownBlock2D"],
        "up_block_types": ["AttnUpBlock2D", "UpBlock2D"]})";

std::unique_ptr<DenoisingNetwork> small_unet() {
  auto net = network_from_json(kSmallUnet, "config.json");
  initialize(*net, 3);
  for (Variable& parameter : net->parameters()) {
    Tensor values = parameter.tensor();
    values.copy_from(randn(values.shape(), "weights") * 0.2);
  }
  return net;
}

SchedulerConfig short_schedule() {
  SchedulerConfig config;
  config.schedule.num_train_timesteps = 100;
  config.schedule.beta_end = 0.2;
  return config;
}

bool same_bits(const Tensor& a, const Tensor& b) { return a.to_vector() == b.to_vector(); }

}  // namespace

TEST_CASE("sample: an image has the same bits alone and among 7, 8 or 64", "[diffusion]") {
  const auto net = small_unet();
  const SchedulerConfig config = short_schedule();
  for (const NamedSampler& sampler : named_samplers()) {
    CAPTURE(std::string(sampler.name));
    const auto draw = [&](int64_t num) {
      return draw_samples(*net, config, {.num = num, .sampler = std::string(sampler.name), .steps = 2, .seed = 5});
    };
    // The whole row of counts once without and once with noise; for the others what crosses a chunk's end.
    const bool in_full = sampler.name == "ddim" || sampler.name == "ddpm";
    const Tensor all = draw(in_full ? 64 : sampler.name == "ode" ? 2 : 9);
    CHECK(same_bits(draw(1), narrow(all, 0, 0, 1)));
    for (const int64_t num : {7, 8}) {
      if (in_full) CHECK(same_bits(draw(num), narrow(all, 0, 0, num)));
    }
  }
}

TEST_CASE("sample: permuted starts give permuted images", "[diffusion]") {
  const auto net = small_unet();
  const SchedulerConfig config = short_schedule();
  const Tensor x_T = initial_noise({11, 1, 8, 8}, 3);
  Tensor reversed = Tensor::empty(x_T.shape());
  for (int64_t i = 0; i < 11; ++i) narrow(reversed, 0, i, 1).copy_from(narrow(x_T, 0, 10 - i, 1));
  for (const std::string sampler : {"ddim", "heun", "dpm++3m", "unipc", "plms"}) {
    const auto draw = [&](const Tensor& start) {
      return draw_samples(*net, config, {.sampler = sampler, .steps = 3, .x_T = start});
    };
    const Tensor images = draw(x_T), other = draw(reversed);
    CAPTURE(sampler);
    for (int64_t i = 0; i < 11; ++i) CHECK(same_bits(narrow(images, 0, i, 1), narrow(other, 0, 10 - i, 1)));
  }
}

TEST_CASE("sample: every sampler by name draws the right distribution from a perfect network", "[diffusion]") {
  // N(0.3, 0.25) in 16 dimensions, 400 samples: the variance's standard error is 1.8 %.
  const Oracle data = gaussian_oracle(full({16}, 0.3, DType::f64), 0.25);
  const NoiseSchedule schedule = linear_schedule(1000);
  const Tensor x_T = initial_noise({400, 16}, 2, 0, DType::f64);
  for (const NamedSampler& sampler : named_samplers()) {
    for (const auto type : {PredictionType::epsilon, PredictionType::v_prediction}) {
      const bool on_timesteps = sampler.name == "ddpm" || sampler.name == "ddim";
      if (sampler.name == "ode") continue;  // one row at a time is slow here; the exact flow is its test
      int64_t last = 0;
      const Tensor x = sampler.run(denoiser_of(data, schedule, type), schedule, x_T,
                                   {.steps = sampler.name == "ddpm" ? 1000 : 100,
                                    .spacing = on_timesteps ? "trailing" : "karras",
                                    .prediction = {.type = type},
                                    .noise = step_noise(6, 0, DType::f64),
                                    .progress = [&](int64_t done, int64_t) { last = done; }});
      CAPTURE(std::string(sampler.name), name_of(type));
      CHECK(last > 0);
      CHECK(mean(x).item() == Approx(0.3).margin(0.03));
      // 100 steps are few for Euler, DDIM and the reverse SDEs, which are of order 1.
      const bool is_coarse = sampler.name == "euler" || sampler.name == "ddim" || sampler.default_steps >= 100;
      CHECK(mean(square(x - 0.3)).item() == Approx(0.25).epsilon(is_coarse ? 0.2 : 0.07));
    }
  }
}

TEST_CASE("sample: names, defaults and refusals", "[diffusion]") {
  CHECK_THROWS_WITH(find_sampler("eular"), ContainsSubstring("unknown sampler 'eular' (ddpm, ddim, euler"));
  CHECK(steps_of(find_sampler("ddpm"), 0, 400) == 400);
  CHECK(steps_of(find_sampler("ddim"), 0, 400) == 50);
  CHECK(steps_of(find_sampler("ddim"), 0, 20) == 20);
  CHECK(steps_of(find_sampler("ddim"), 7, 20) == 7);
  const auto net = small_unet();
  CHECK_THROWS_AS(draw_samples(*net, short_schedule(), {.sampler = "ddim", .spacing = "karras"}), Error);
  CHECK(draw_samples(*net, short_schedule(), {.num = 2, .sampler = "heun", .steps = 2, .spacing = "karras"}).shape() ==
        Shape{2, 1, 8, 8});
}
