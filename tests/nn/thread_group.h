// A process group whose ranks are threads of this process: what several ranks compute, without a launcher.
//
//   on_ranks(4, [](ProcessGroup& group) { ... });        // rethrows what the lowest rank has thrown
//
// Jobs run at once in the thread that starts them. The threads are helpers: they open no parallel regions.
#pragma once

#include <functional>

#include "nn/distributed/process_group.h"

namespace sfumato::testing {

void on_ranks(int size, const std::function<void(ProcessGroup& group)>& body);

}  // namespace sfumato::testing
