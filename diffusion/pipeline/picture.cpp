#include "diffusion/pipeline/picture.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "diffusion/image/png.h"
#include "diffusion/plot/figure.h"

namespace sfumato {
namespace {

// The first points of the data, as many as there are samples where it has so many.
Tensor points_of(const Dataset& data, int64_t count) {
  count = std::min(count, data.size());
  Tensor points = Tensor::empty({count, 2});
  for (int64_t i = 0; i < count; ++i) {
    data.read(i, points.mutable_data<float>() + 2 * i, SampleRandom(/*seed=*/0, i));
  }
  return points;
}

}  // namespace

void check_picture(const std::filesystem::path& path, const Shape& sample) {
  if (sample.rank() == 3) {
    check(path.extension() == ".png", "picture: images are drawn as .png, got '", path.string(), "'");
    check(sample[0] == 1 || sample[0] == 3, "picture: images of ", sample[0],
          " channels cannot be drawn (1 and 3 can); a .safetensors file takes any");
    return;
  }
  check(sample == Shape{2}, "picture: samples of shape ", sample,
        " cannot be drawn: images (C, H, W) and points (2) can");
}

void save_picture(const std::filesystem::path& path, const Tensor& samples, const Dataset* data, int64_t columns) {
  Shape sample = samples.shape();
  check(sample.rank() > 0, "picture: expected a batch of samples, got a number");
  sample.erase(0);
  check_picture(path, sample);
  if (sample.rank() == 3) {
    save_image_grid(path, samples, columns);
    return;
  }
  std::vector<std::pair<std::string, Tensor>> sets;
  if (data != nullptr) {
    sets.emplace_back("data", points_of(*data, samples.size(0)));
  }
  sets.emplace_back("samples", samples);
  plot::save_figure(path, plot::scatter_figure("", sets));
}

}  // namespace sfumato
