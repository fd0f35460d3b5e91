// The data loader: reads batches ahead on threads of its own.
//
//   DataLoader loader(dataset, {.batch_size = 128, .seed = 42, .horizontal_flip = true, .threads = 4});
//   for (;;) {
//     Batch batch = loader.next();     // batch.images is f32 (128, C, H, W)
//     train_on(batch);
//   }
//
// Samples form one endless sequence, numbered from 0 at the beginning of training: number k is item k mod N of epoch
// k / N, and each epoch is a permutation of its own, drawn from (seed, "shuffle", epoch). Step s reads numbers s B ..
// s B + B - 1. So no sample is dropped or repeated at an epoch's end (a batch may straddle it), and any step can be
// computed without those before it: resuming at step s gives what a run from 0 would have got there.
//
// Which thread reads a sample decides nothing but time: batches, their order, and which exception is reported when
// several samples fail are the same for every number of threads and batches ahead.
#pragma once

#include <cstdint>
#include <memory>

#include "nn/data/dataset.h"
#include "tensor/tensor.h"

namespace sfumato {

struct Batch {
  Tensor images;             // f32 (B, sample shape...); of a part of the rows, so many
  Tensor labels;             // i64 (B), or undefined when the dataset has none
  int64_t first_sample = 0;  // the number of row 0 in the sequence of samples
  int64_t step = 0;
};

struct LoaderOptions {
  int64_t batch_size = 1;
  // Of each batch, the rows that are read: several processes share one by reading different rows. 0: all.
  int64_t first_row = 0, num_rows = 0;
  uint64_t seed = 0;
  int64_t first_step = 0;  // the step of the first next()
  bool horizontal_flip =
      false;            // mirror every other sample (drawn from (seed, "flip", sample)) along its last dimension
  bool shuffle = true;  // false: every epoch in the dataset's order
  int prefetch = 2;     // batches read ahead; 0 reads in next() itself, without a thread
  // That read; 0 as prefetch 0. They compete with the network for the cores: more pay only where next() is seen to
  // wait.
  int threads = 2;
};

class DataLoader {
 public:
  // Throws for an empty dataset or options out of range.
  DataLoader(std::shared_ptr<const Dataset> dataset, const LoaderOptions& options);
  // Waits for the samples that are being read, then ends the threads.
  ~DataLoader();
  DataLoader(DataLoader&&) noexcept;
  DataLoader& operator=(DataLoader&&) noexcept;

  // The batch of the next step. An exception thrown while that batch was read is rethrown here, and by every later
  // call; if several samples failed, that of the first.
  Batch next();

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace sfumato
