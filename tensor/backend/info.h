// What the backends and the machine are, in words: for run records and `sfumato info`.
#pragma once

#include <string>

namespace sfumato {

// "avx512", "avx2" or "baseline": what our fast kernels run on here; "none" in a build without them.
std::string instruction_set_name();
// oneDNN's version as it is loaded, "2.6.3"; "none" in a build without it. Defined beside its code.
std::string onednn_version();
// The OpenMP specification of the compiler, "4.5".
std::string openmp_version();
// The processor's name as the system gives it; "unknown" where it does not.
std::string cpu_name();

}  // namespace sfumato
