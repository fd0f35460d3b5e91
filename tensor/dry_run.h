// Whether this thread's ops only pretend (DryRunScope in "tensor/cost.h"). Asked where work is handed out: by
// parallel_for, by the kernels that open parallel regions of their own, and by oneDNN's executor.
#pragma once

namespace sfumato {

namespace detail {
inline thread_local constinit bool dry_run_flag = false;
}

inline bool dry_run() { return detail::dry_run_flag; }

}  // namespace sfumato
