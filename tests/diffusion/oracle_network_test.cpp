// Oracles by name: as networks with gradients, as data, and what is said of names that do not exist.
#include "diffusion/oracle/oracle_network.h"

#include "autograd/gradcheck.h"
#include "catch.h"
#include "diffusion/data/open.h"
#include "diffusion/pipeline/sample.h"
#include "io/io_testing.h"
#include "tensor/io/file.h"
#include "tensor/ops/elementwise.h"
#include "tensor/ops/reduce.h"
#include "tensor/ops/view.h"

using namespace sfumato;
using testing::message_of;

namespace {

Tensor samples_of(const Dataset& data, int64_t first, int64_t step, int64_t count) {
  Tensor points = Tensor::empty({count, 2});
  for (int64_t i = 0; i < count; ++i) {
    data.read(first + step * i, points.mutable_data<float>() + 2 * i, SampleRandom(0, i));
  }
  return points;
}

double mean_of(const Tensor& points, int64_t column) { return mean(select(points, 1, column)).item(); }
double variance_of(const Tensor& points) { return mean(square(points - mean(points, {0}, true))).item(); }

}  // namespace

TEST_CASE("oracle network: E[x_0 | x_t] row by row, with its Jacobian as gradient", "[diffusion]") {
  const NoiseSchedule schedule = linear_schedule(1000);
  const OracleModel model = named_oracle("gaussians8");
  const OracleNetwork network(model, schedule);
  const Tensor x = tensor_of({0.3, -0.2, 1.1, 0.4, -0.7, 0.9, 0.1, 0.2}, {4, 2}, DType::f64);
  const Tensor t = tensor_of({10, 500, 500, 20.5}, {4}), labels = tensor_of({3, 8, 0, 8}, {4}, DType::i64);
  const Tensor output = network(x, t, labels).tensor();
  const SigmaTable table(schedule);
  const Oracle expected[] = {model.classes[3], model.all, model.classes[0], model.all};
  for (int64_t n = 0; n < 4; ++n) {
    const NoiseLevel level = level_at(schedule, table, select(t, 0, n).item());
    const Tensor row = expected[n].posterior_mean(narrow(x, 0, n, 1).contiguous(), level);
    CHECK(select(output, 0, n).to_vector() == select(row, 0, 0).to_vector());
  }
  CHECK(gradcheck([&](std::span<const Variable> in) { return network(in[0], t, labels); }, {x}));
}

TEST_CASE("oracle gaussians8 is what the data set of that name is drawn from", "[diffusion]") {
  const auto points = open_dataset("gaussians8"), drawn = open_dataset("oracle:gaussians8");
  CHECK(drawn->num_classes() == 8);
  CHECK(drawn->label(11) == points->label(11));
  for (int64_t k = 0; k < 8; ++k) {
    const Tensor a = samples_of(*points, k, 8, 2000), b = samples_of(*drawn, k, 8, 2000);
    // Standard errors: 0.0039 of a mean, 1.4 % of a variance (4000 numbers), each for both sets.
    for (int64_t column : {0, 1}) CHECK(mean_of(a, column) == Approx(mean_of(b, column)).margin(0.02));
    CHECK(variance_of(a) == Approx(variance_of(b)).epsilon(0.1));
  }
}

TEST_CASE("oracle models are sampled like model folders", "[diffusion]") {
  const Pipeline pipeline = load_pipeline("oracle:gaussian=0.3:0.7");
  const Tensor points = draw_samples(pipeline, {.num = 2000, .sampler = "heun", .steps = 18});
  CHECK(mean_of(points, 0) == Approx(0.3).margin(4 * 0.7 / std::sqrt(2000)));
  CHECK(variance_of(points) == Approx(0.49).epsilon(4 * std::sqrt(2.0 / 4000)));
  const Pipeline empirical = load_pipeline("oracle:empirical=moons");
  const Tensor found =
      draw_samples(empirical, {.num = 20, .sampler = "heun", .steps = 18, .spacing = "karras", .chunk = 20});
  const Tensor known = samples_of(*open_dataset("moons"), 0, 1, 1024);
  for (int64_t n = 0; n < 20; ++n) {  // every sample is a point, or between some at the lowest level, sigma = 0.01
    const Tensor distance = sum(square(known - narrow(found, 0, n, 1)), {1});
    CHECK(amin(distance).item() < 0.03 * 0.03);
  }
  const Pipeline eight = load_pipeline("oracle:gaussians8");
  const ClassList classes = load_classes("oracle:gaussians8", *eight.network);
  CHECK(classes.count == 8);
  CHECK(classes.null_label == 8);
}

TEST_CASE("oracle names: unknown ones are answered with the nearest and all there are", "[diffusion]") {
  const std::string message = message_of<MissingInput>([] { load_pipeline("oracle:gmm3d"); });
  CHECK_THAT(message, ContainsSubstring("did you mean 'gmm2d'"));
  for (const OracleKind& kind : oracle_kinds()) {
    CHECK_THAT(message, ContainsSubstring(std::string(kind.name)));
    CHECK(named_oracle(kind.name).all.sample_shape().numel() > 0);
  }
  CHECK_THROWS_AS(named_oracle("gaussian=1"), Error);
  CHECK_THROWS_AS(named_oracle("gaussian=0:-1"), Error);
  CHECK_THROWS_AS(named_oracle("gaussian=x:1"), Error);
  CHECK_THROWS_AS(named_oracle("gmm2d=3"), Error);
  CHECK_THROWS_AS(open_dataset("oracle:gmm2d", {.image_size = 8}), Error);
}
