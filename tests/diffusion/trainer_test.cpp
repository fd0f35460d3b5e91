// Steps whose loss or gradient is not finite: skipped without a trace, and explained.
#include "diffusion/train/trainer.h"

#include <cmath>
#include <cstring>
#include <limits>

#include "catch.h"
#include "diffusion/train/run_directory.h"
#include "tensor/ops/creation.h"
#include "tensor/random.h"
#include "tests/io/io_testing.h"

using namespace sfumato;
using namespace sfumato::testing;

namespace {

TrainConfig tiny_config() {
  TrainConfig config;
  config.batch_size = 4;
  config.micro_batch = 2;
  config.block_out_channels = {8, 8};
  config.attention = {false, true};
  config.layers_per_block = 1;
  config.norm_num_groups = 4;
  return config;
}

const Shape kSample{1, 8, 8};

Tensor batch() { return full({4, 1, 8, 8}, 0.25); }

Tensor with_one(double value) {
  Tensor x = batch();
  x.mutable_data<float>()[100] = static_cast<float>(value);
  return x;
}

// Every byte of a checkpoint's tensors.
std::string bytes_of(const CheckpointContents& contents) {
  std::string bytes;
  for (const NamedTensors* part : {&contents.weights, &contents.optimizer, &contents.ema}) {
    for (const auto& [name, tensor] : *part) {
      const Tensor packed = tensor.contiguous();
      bytes.append(static_cast<const char*>(packed.raw_data()),
                   static_cast<size_t>(packed.numel()) * size_of(packed.dtype()));
    }
  }
  return bytes;
}

}  // namespace

TEST_CASE("trainer: a step that is not finite is skipped and changes nothing but the count", "[diffusion][trainer]") {
  Trainer trainer(tiny_config(), kSample);
  REQUIRE_FALSE(trainer.step(batch()).skipped);
  const std::string before = bytes_of(trainer.checkpoint());
  for (const double value : {std::nan(""), -std::nan(""), std::numeric_limits<double>::infinity()}) {
    CAPTURE(value);
    CHECK(trainer.step(with_one(value)).skipped);
    CHECK((bytes_of(trainer.checkpoint()) == before));
  }
  CHECK(trainer.step_count() == 4);
  // What follows is what would have followed: the skipped steps left nothing behind.
  CHECK_FALSE(trainer.step(batch()).skipped);
  Trainer other(tiny_config(), kSample);
  other.step(batch());
  CheckpointContents contents = other.checkpoint();
  contents.step = 4;
  other.load(contents);
  other.step(batch());
  CHECK((bytes_of(trainer.checkpoint()) == bytes_of(other.checkpoint())));
}

TEST_CASE("trainer: what was not finite is traced to the first bad op", "[diffusion][trainer]") {
  Trainer trainer(tiny_config(), kSample);
  const auto explain = [&](const Tensor& x0) {
    REQUIRE(trainer.step(x0).skipped);
    const std::string before = bytes_of(trainer.checkpoint());
    const std::string words = trainer.explain_skip(x0);
    CHECK((bytes_of(trainer.checkpoint()) == before));
    return words;
  };
  CHECK_THAT(explain(with_one(std::nan(""))), ContainsSubstring("conv2d (anomaly: the result of 'conv2d'"));
  const int64_t steps = trainer.step_count();
  trainer.explain_skip(with_one(std::nan("")));
  CHECK(trainer.step_count() == steps);
  // A fault put into one layer: the op that meets it is named, not those that it spreads to.
  for (const auto& [name, tensor] : trainer.network().state_dict()) {
    if (name == "time_embedding.linear_1.weight") {
      Tensor broken = tensor;
      broken.mutable_data<float>()[3] = std::numeric_limits<float>::infinity();
    }
  }
  CHECK_THAT(explain(batch()), ContainsSubstring("linear"));
}

TEST_CASE("run directory: skipped steps are counted from the metrics that stay", "[diffusion][trainer]") {
  const TemporaryFolder folder;
  const RunDirectory run(folder.path());
  CHECK(run.truncate_metrics(5).total == 0);
  put(run.metrics(),
      "{\"step\":1,\"skipped\":true}\n{\"step\":2}\n{\"step\":3,\"skipped\":true}\n"
      "{\"step\":4,\"skipped\":true}\n{\"step\":5,\"skipped\":true}\n{\"st");
  const SkippedSteps skipped = run.truncate_metrics(4);
  CHECK(skipped.total == 3);
  CHECK(skipped.in_a_row == 2);
  CHECK(run.truncate_metrics(2).in_a_row == 0);
}
