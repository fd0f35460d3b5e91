// Classifier-free guidance: its algebra on closed-form denoisers, and networks with classes as denoisers.
#include "diffusion/guidance/guidance.h"

#include "catch.h"
#include "diffusion/model/mlp.h"
#include "diffusion/model/unet.h"
#include "diffusion/pipeline/classes.h"
#include "diffusion/pipeline/sample.h"
#include "diffusion/samplers/ddim.h"
#include "io/io_testing.h"
#include "nn/init.h"
#include "tensor/io/file.h"
#include "tensor/ops/elementwise.h"
#include "tensor/ops/join.h"
#include "tensor/ops/reduce.h"
#include "tensor/ops/view.h"
#include "tensor/random.h"

using namespace sfumato;
using testing::message_of;

namespace {

double largest_difference(const Tensor& a, const Tensor& b) { return amax(abs(sub(a, b))).item(); }

// The best noise prediction for data N(mean, variance) in every coordinate.
Denoiser gaussian_oracle(const NoiseSchedule& schedule, double mean, double variance) {
  return [&schedule, mean, variance](const Tensor& x_t, const Tensor& t) {
    const NoiseLevel level = schedule.level(static_cast<int64_t>(t.to_vector()[0]));
    const double total = level.signal * level.signal * variance + level.noise * level.noise;
    return affine(x_t, level.noise / total, -level.noise * level.signal * mean / total);
  };
}

template <class Network>
void scatter_weights(Network& net) {  // fresh networks have zeros where a block's output is
  initialize(net, 3);
  for (Variable& parameter : net.parameters()) {
    Tensor values = parameter.tensor();
    values.copy_from(randn(values.shape(), "weights") * 0.3);
  }
  net.eval();
}

}  // namespace

TEST_CASE("guidance: u + scale (c - u), and no call that is not needed", "[diffusion][guidance]") {
  int conditional_calls = 0, unconditional_calls = 0;
  const Denoiser c = [&](const Tensor& x, const Tensor&) { return ++conditional_calls, mul(x, 3.0); };
  const Denoiser u = [&](const Tensor& x, const Tensor&) { return ++unconditional_calls, mul(x, 2.0); };
  const Tensor x = randn({4, 3}, "x", DType::f64), t = zeros({4});
  CHECK(largest_difference(guided(c, u, 2.5)(x, t), mul(x, 4.5)) < 1e-12);
  CHECK((conditional_calls == 1 && unconditional_calls == 1));
  CHECK(largest_difference(guided(c, u, 1)(x, t), mul(x, 3.0)) == 0);
  CHECK((conditional_calls == 2 && unconditional_calls == 1));
  CHECK(largest_difference(guided(c, u, 0)(x, t), mul(x, 2.0)) == 0);
  CHECK((conditional_calls == 2 && unconditional_calls == 2));
  CHECK_THROWS_AS(guided(c, u, std::nan("")), Error);
}

TEST_CASE("guidance: a learned variance is that of the class", "[diffusion][guidance]") {
  const Denoiser c = [](const Tensor& x, const Tensor&) { return cat({mul(x, 3.0), mul(x, 10.0)}, 1); };
  const Denoiser u = [](const Tensor& x, const Tensor&) { return cat({mul(x, 2.0), mul(x, 20.0)}, 1); };
  const Tensor x = randn({2, 3, 4, 4}, "x"), output = guided(c, u, 2)(x, zeros({2}));
  REQUIRE(output.shape() == Shape{2, 6, 4, 4});
  CHECK(largest_difference(narrow(output, 1, 0, 3), mul(x, 4.0)) < 1e-5);
  CHECK(largest_difference(narrow(output, 1, 3, 3), mul(x, 10.0)) == 0);
}

TEST_CASE("guidance: with points for a class and for all data, DDIM ends in their extrapolation",
          "[diffusion][guidance]") {
  // For data that are one point m, eps* = (x - s m) / n: linear in m. So guiding between the points 0.4 and 0.1 is the
  // oracle of the point 0.1 + scale (0.4 - 0.1).
  const NoiseSchedule schedule = linear_schedule(100, 1e-3, 0.2);
  const Denoiser c = gaussian_oracle(schedule, 0.4, 0), u = gaussian_oracle(schedule, 0.1, 0);
  const Tensor x_T = initial_noise({3, 2}, /*seed=*/1, /*first_sample=*/0, DType::f64);
  for (const double scale : {0.0, 1.0, 2.0, 4.0}) {
    const Tensor samples = ddim_sample(guided(c, u, scale), schedule, x_T, {});
    CHECK(largest_difference(samples, full({3, 2}, 0.1 + scale * 0.3, DType::f64)) < 1e-6);
  }
}

TEST_CASE("guidance: of a network, by its null label", "[diffusion][guidance]") {
  MlpDenoiser net({.width = 12, .depth = 1, .time_embedding_dim = 8, .num_classes = 3});
  scatter_weights(net);
  const Tensor x = randn({4, 2}, "x"), t = full({4}, 7.0), labels = tensor_of({0, 1, 1, 0}, {4}, DType::i64);
  const Tensor c = net(x, t, labels).tensor(), u = net(x, t, full({4}, 2, DType::i64)).tensor();
  CHECK(largest_difference(c, u) > 1e-3);
  CHECK(largest_difference(denoiser_of(net, labels)(x, t), c) == 0);
  CHECK(largest_difference(guided(net, labels, 2, 3.0)(x, t), u + (c - u) * 3.0) < 1e-6);
  CHECK_THAT(message_of<Error>([&] { guided(net, labels, 3, 2.0); }), ContainsSubstring("null label 3"));
  CHECK_THAT(message_of<Error>([&] { denoiser_of(net)(x, t); }), ContainsSubstring("labels are missing"));
}

TEST_CASE("draw_samples: a sample depends on its seed, index, label and nothing else", "[diffusion][guidance]") {
  MlpDenoiser net({.width = 12, .depth = 1, .time_embedding_dim = 8, .num_classes = 3});
  scatter_weights(net);
  SchedulerConfig scheduler;
  scheduler.clip_sample = false;
  const Tensor labels = labels_by_class({1, 0}, 5);
  SampleOptions options{.num = 10, .sampler = "ddim", .steps = 3, .seed = 4, .chunk = 4, .labels = labels};
  options.guidance_scale = 2;
  CHECK_THAT(message_of<Error>([&] { draw_samples(net, scheduler, options); }), ContainsSubstring("guidance"));
  options.null_label = 2;
  const Tensor all = draw_samples(net, scheduler, options);
  options.num = 7;
  options.labels = narrow(labels, 0, 0, 7).contiguous();
  CHECK(largest_difference(draw_samples(net, scheduler, options), narrow(all, 0, 0, 7)) == 0);
  options.labels = labels_by_class({0}, 7);
  const Tensor other = draw_samples(net, scheduler, options);
  CHECK(largest_difference(narrow(other, 0, 0, 5), narrow(all, 0, 0, 5)) > 1e-3);
  CHECK(largest_difference(narrow(other, 0, 5, 2), narrow(all, 0, 5, 2)) == 0);
  options.num = 8;
  CHECK_THAT(message_of<Error>([&] { draw_samples(net, scheduler, options); }), ContainsSubstring("labels must be (8"));
}

TEST_CASE("classes: by name and number, to JSON and back; what does not fit is refused", "[diffusion][guidance]") {
  const ClassList shoes{.count = 3, .names = {"Sandal", "2", "Boot"}, .null_label = 3};
  CHECK(shoes.find("Boot") == 2);
  CHECK(shoes.find("0") == 0);
  CHECK(shoes.find("2") == 1);  // a name goes before a number
  CHECK_THAT(message_of<Error>([&] { shoes.find("Clog"); }),
             ContainsSubstring("'Clog'") && ContainsSubstring("Sandal"));
  CHECK_THROWS_AS(shoes.find("3"), Error);
  CHECK_THROWS_AS(shoes.find("-1"), Error);
  CHECK_THROWS_AS(shoes.find("99999999999999999999"), Error);
  CHECK(ClassList::from_json(shoes.to_json(), "c").to_json() == shoes.to_json());
  for (const char* bad : {"[]", "{}", R"({"count": 0})", R"({"count": 2, "names": ["a"]})",
                          R"({"count": 2, "names": [1, 2]})", R"({"count": 2, "null_label": "last"})"}) {
    CHECK_THROWS_AS(ClassList::from_json(bad, "c"), FormatError);
  }
  const testing::TemporaryFolder folder;
  const MlpDenoiser net({.num_classes = 3});
  CHECK(load_classes(folder.path(), net).count == 3);
  testing::put(folder / "classes.json", R"({"count": 2, "null_label": 2})");
  CHECK(load_classes(folder.path(), net).null_label == 2);
  testing::put(folder / "classes.json", R"({"count": 2, "null_label": 3})");
  CHECK_THROWS_AS(load_classes(folder.path(), net), FormatError);
  testing::put(folder / "classes.json", R"({"count": 4})");
  CHECK_THROWS_AS(load_classes(folder.path(), net), FormatError);
}
