// CheckpointWriter: saves checkpoints from a thread of its own while training goes on.
//
//   CheckpointWriter writer(CheckpointFolder(run / "checkpoints"), {.keep = 2});
//   writer.save(trainer.checkpoint());         // copies the tensors, then returns
//   if (auto problem = writer.problem()) warn(*problem);
//   writer.wait();                             // before the process ends; throws what the last save failed with
//
// The copy goes into buffers that are kept and used again, so a run needs its state twice and no more. A save that
// fails leaves the older checkpoints, and training goes on: problem() tells once.
#pragma once

#include <condition_variable>
#include <exception>
#include <mutex>
#include <optional>
#include <thread>

#include "diffusion/train/checkpoint.h"

namespace sfumato {

class CheckpointWriter {
 public:
  CheckpointWriter(CheckpointFolder folder, const CheckpointPolicy& policy);
  // Finishes a save in progress.
  ~CheckpointWriter();
  CheckpointWriter(const CheckpointWriter&) = delete;
  CheckpointWriter& operator=(const CheckpointWriter&) = delete;

  // Waits for a save in progress, copies `contents`, and hands the copy to the thread.
  void save(const CheckpointContents& contents);
  // What a finished save failed with since the last call, if it did.
  std::optional<std::string> problem();
  // Waits for a save in progress; throws IoError when it failed and problem() has not told yet.
  void wait();

 private:
  void work();
  void take_snapshot(const CheckpointContents& contents);

  const CheckpointFolder folder_;
  const CheckpointPolicy policy_;
  CheckpointContents snapshot_;
  std::mutex mutex_;
  std::condition_variable changed_;
  bool busy_ = false, ending_ = false;
  std::exception_ptr error_;
  std::thread thread_;
};

}  // namespace sfumato
