// A convolutional network learns to tell ten kinds of garments apart: 88 % of images it has never seen, in seconds.
//
//   example_fashion_classifier                 Fashion-MNIST where Debian's package dataset-fashion-mnist puts it
//   example_fashion_classifier my/mnist        any folder with the same four files
#include <cstdio>

#include "diffusion/data/open.h"
#include "nn/data/loader.h"
#include "nn/init.h"
#include "nn/layers.h"
#include "nn/optim/lr_schedule.h"
#include "nn/optim/optimizer.h"

using namespace sfumato;

namespace {

constexpr int64_t kSteps = 1000;
constexpr int64_t kBatch = 128;
constexpr double kWantedAccuracy = 0.87;

// A module lists its members once, in visit(): parameters, names, state dict and printing all follow from that.
struct Classifier : Module {
  Conv2d conv1{1, 16, 3, {.stride = 2, .padding = 1}};   // 28 x 28 -> 14 x 14
  Conv2d conv2{16, 32, 3, {.stride = 2, .padding = 1}};  // -> 7 x 7
  Linear hidden{32 * 7 * 7, 128}, out{128, 10};

  void visit(Visitor& v) override { v("conv1", conv1)("conv2", conv2)("hidden", hidden)("out", out); }

  // images (N, 1, 28, 28) -> scores (N, 10)
  Variable operator()(const Variable& images) const {
    const Variable h = silu(conv2(silu(conv1(images))));
    return out(silu(hidden(flatten(h, 1))));
  }
};

// The share of `dataset` whose highest score is the right one.
double accuracy(const Classifier& net, const std::shared_ptr<const Dataset>& dataset) {
  const NoGradGuard no_tape;
  DataLoader loader(dataset, {.batch_size = 500, .shuffle = false});
  int64_t right = 0, seen = 0;
  while (seen < dataset->size()) {
    const Batch batch = loader.next();
    const Tensor guesses = argmax(net(batch.images).tensor(), 1);
    for (int64_t i = 0; i < batch.labels.numel() && seen < dataset->size(); ++i, ++seen) {
      right += guesses.data<int64_t>()[i] == batch.labels.data<int64_t>()[i] ? 1 : 0;
    }
  }
  return static_cast<double>(right) / static_cast<double>(seen);
}

}  // namespace

int main(int argc, char** argv) try {
  const std::string data = argc > 1 ? argv[1] : "fashion-mnist";
  const auto train = open_dataset(data);
  const auto test = open_dataset(data, {.split = DataSplit::test});

  Classifier net;
  initialize(net, /*seed=*/0);
  std::printf("%s", to_string(net).c_str());
  FlatParameters flat(net);
  AdamW adam(flat, {.weight_decay = 0.01});
  const LrSchedule schedule{.lr = 3e-3, .warmup_steps = 50, .decay = LrDecay::cosine, .total_steps = kSteps};

  // The loader shuffles, and reads ahead on a thread of its own.
  DataLoader loader(train, {.batch_size = kBatch, .seed = 1});
  for (int64_t step = 1; step <= kSteps; ++step) {
    const Batch batch = loader.next();
    const Variable loss = cross_entropy(net(batch.images), batch.labels);
    flat.zero_grad();
    loss.backward();
    adam.step(flat.gradients(), learning_rate(schedule, step));
    if (step % 200 == 0) {
      std::printf("step %3d  loss %.3f\n", static_cast<int>(step), loss.item());
    }
  }

  const double reached = accuracy(net, test);
  std::printf("right about %.1f %% of %d unseen images\n", 100 * reached, static_cast<int>(test->size()));
  return reached >= kWantedAccuracy ? 0 : 1;
} catch (const std::exception& error) {
  std::fprintf(stderr, "%s\n", error.what());
  return 1;
}
