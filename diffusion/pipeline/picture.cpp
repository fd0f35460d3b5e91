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

void save_picture(const std::filesystem::path& path, const Tensor& samples, const Dataset* data) {
  if (samples.dim() == 4) {
    check(path.extension() == ".png", "picture: images are drawn as .png, got '", path.string(), "'");
    save_image_grid(path, samples);
    return;
  }
  check(samples.dim() == 2 && samples.size(1) == 2,
        "picture: expected images (N, C, H, W) or points in the plane (N, 2), got ", samples.shape());
  std::vector<std::pair<std::string, Tensor>> sets;
  if (data != nullptr) {
    sets.emplace_back("data", points_of(*data, samples.size(0)));
  }
  sets.emplace_back("samples", samples);
  plot::save_figure(path, plot::scatter_figure("", sets));
}

}  // namespace sfumato
