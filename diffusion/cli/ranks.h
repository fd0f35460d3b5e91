// What `sfumato train` does about several processes, in one place: what they must agree on, and what is said of them.
//
//   greet(group, say);                                   // the table of bindings; warnings
//   const Stop stop = agree(group, {.signal = stop_signal()});   // after each step, the same on every rank
//   share(group, checkpoint);                            // what rank 0 has read
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "diffusion/train/checkpoint.h"
#include "nn/distributed/process_group.h"

namespace sfumato::cli {

using Say = std::function<void(const std::string& line)>;

// Refuses ranks that would compute other bits or another thing (LaunchError): `what` describes this one, a line each.
// Then says where the ranks run and what is wrong with that. Silent for one rank.
void greet(ProcessGroup& group, const std::string& what, const Say& say);

// Why to stop after this step. A signal may reach one rank and clocks differ, so all ranks must agree.
struct Stop {
  int signal = 0;
  bool time_is_up = false;
};
// The signal of the first rank that has one; the time is up where rank 0's is.
Stop agree(ProcessGroup& group, const Stop& mine);

// Gives all ranks what rank 0 has loaded, or nothing if it has not. Their file systems may not be one.
void share(ProcessGroup& group, std::optional<CheckpointContents>& contents);

// "images processed: rank 0: 640, rank 1: 640"; empty for one rank.
std::string images_of_ranks(ProcessGroup& group, int64_t mine);

}  // namespace sfumato::cli
