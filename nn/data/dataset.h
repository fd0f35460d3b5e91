// What a data loader reads from: a fixed number of samples, each found by its index.
//
//   class Squares : public Dataset {
//     int64_t size() const override { return 100; }
//     Shape sample_shape() const override { return {1}; }
//     void read(int64_t index, float* out, const SampleRandom&) const override { *out = float(index * index); }
//   };
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "tensor/random.h"
#include "tensor/shape.h"

namespace sfumato {

// Chance for one sample that is read: a function of the seed, of what the numbers are for, and of the sample's place in
// the endless sequence of samples. Thus the same whatever the batch size, and after a resume.
class SampleRandom {
 public:
  SampleRandom(uint64_t seed, int64_t sample) : seed_(seed), sample_(sample) {}

  // How many samples were read before this one since the beginning of training.
  int64_t sample() const { return sample_; }
  // The block-th four random words for `purpose` (see RandomStream in "tensor/random.h").
  std::array<uint32_t, 4> words(std::string_view purpose, uint32_t block = 0) const {
    const RandomScope scope({.seed = seed_, .step = 0, .first_sample = 0});
    return RandomStream::of(purpose).words(sample_, block);
  }

 private:
  uint64_t seed_;
  int64_t sample_;
};

// read() and label() are called from several threads at once. What they give may depend on their arguments alone: then
// a loader gives the same batches whatever the number of its threads.
class Dataset {
 public:
  virtual ~Dataset() = default;
  // Samples in one epoch.
  virtual int64_t size() const = 0;
  // Of every sample; images are (C, H, W).
  virtual Shape sample_shape() const = 0;
  // Writes sample `index` to out[0 .. sample_shape().numel()).
  virtual void read(int64_t index, float* out, const SampleRandom& random) const = 0;
  virtual bool has_labels() const { return false; }
  // In 0 .. num_classes() - 1. Called only if has_labels().
  virtual int64_t label(int64_t /*index*/) const { return 0; }
  // How many classes the labels tell apart; 0 without labels.
  virtual int64_t num_classes() const { return 0; }
  // The name of each class, in the order of labels; empty where they have none.
  virtual std::vector<std::string> class_names() const { return {}; }
};

}  // namespace sfumato
