// Sets of points in the plane that a small network learns in seconds, and a plot judges.
//
//   auto points = std::make_shared<ToyDataset>("swissroll");
//   DataLoader loader(points, {.batch_size = 512, .seed = 1});     // batches are f32 (512, 2)
//
// With u, v uniform in [0, 1) and e a standard normal pair, each drawn for the point alone, a raw point is
//
//   swissroll    (t cos t, t sin t) + 0.5 e,  t = 3/2 pi (1 + 2 u)       scikit-learn's make_swiss_roll, seen from its
//   end moons        (cos a, sin a) or (1 - cos a, 1/2 - sin a), + 0.05 e,  a = pi u        scikit-learn's make_moons
//   checkerboard (4 u, 2 floor(2 v) + (floor(4 u) mod 2) + (2 v mod 1))            8 squares of a board of 4 x 4
//   rings        r (cos a, sin a) + 0.08 e,  a = 2 pi u,  r = 0.75, 1.5, 2.25 or 3
//   spirals      +- (-t cos t, t sin t) / 3 + 0.1 e,  t = 3 pi sqrt(u)                two arms, one for each sign
//   gaussians8   2 sqrt(2) (cos a, sin a) + 0.35 e,  a = 2 pi k / 8,  k = 0 .. 7
//
// (the last four as in FFJORD, Grathwohl et al. 2019, up to scale). It is then centred by the mean and divided by one
// number so that the mean of its two coordinates' variances is 1. Labels: the moon, ring, arm or Gaussian, which is the
// index modulo their number; swissroll and checkerboard have none.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "diffusion/data/image_data.h"
#include "nn/data/dataset.h"

namespace sfumato {

// What a set is centred by and divided by: a raw point becomes ((x - mean_x) / scale, (y - mean_y) / scale).
struct ToyScale {
  double mean_x, mean_y, scale;
};

// Point `index` is a function of (name, split, index): no seed changes it.
class ToyDataset : public Dataset {
 public:
  // Throws MissingInput naming the sets that exist.
  explicit ToyDataset(std::string_view name, DataSplit split = DataSplit::train);

  static std::vector<std::string> names();
  ToyScale scale() const;

  // Enough that a network sees no pattern in which points there are.
  int64_t size() const override { return int64_t{1} << 16; }
  Shape sample_shape() const override { return {2}; }
  void read(int64_t index, float* out, const SampleRandom& random) const override;
  bool has_labels() const override;
  int64_t label(int64_t index) const override;
  int64_t num_classes() const override;

  struct Kind;  // how the points of a set are made

 private:
  const Kind* kind_;
  RandomStream stream_;
};

}  // namespace sfumato
