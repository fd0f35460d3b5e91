// Replicas: tensors that every rank is to have alike.
//
//   broadcast(*group, checkpoint.weights);            // names, shapes and values of rank 0
//   check_replicas(*group, flat.views(flat.values()), "weights after step 100");
//
// Ranks that drift apart train on, silently, towards nothing. Here they are found out: by their hash every so many
// steps, and by name when it comes to it.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "nn/distributed/process_group.h"
#include "nn/module.h"

namespace sfumato {

// Makes `tensors` those of rank 0, whatever they were. Others' are new tensors.
void broadcast(ProcessGroup& group, NamedTensors& tensors);
void broadcast(ProcessGroup& group, std::string& text);
// Makes `values` those of rank `root`, however many there are.
void broadcast(ProcessGroup& group, std::vector<double>& values, int root);

// Compares the XXH3-128 of all values; the names must be the same everywhere. Throws InternalError, on every rank, with
// the first tensor that differs and the ranks whose bytes are not those of most: "weights after step 100: ranks differ,
// first in 'conv_in.weight', on rank 2".
void check_replicas(ProcessGroup& group, const NamedTensors& tensors, std::string_view what);

// The same of a text that describes how a rank computes, one thing a line: throws LaunchError with the first line that
// differs from rank 0's.
void check_same_text(ProcessGroup& group, const std::string& text);

}  // namespace sfumato
