#include "bench/resident.h"

#include <fstream>
#include <string>

#include "tensor/allocator.h"

namespace sfumato::bench {

void begin_peak_resident() {
  trim();
  std::ofstream("/proc/self/clear_refs") << "5";  // resets VmHWM, see proc(5)
}

double peak_resident_bytes() {
  std::ifstream status("/proc/self/status");
  for (std::string word; status >> word;) {
    if (word == "VmHWM:") {
      double kibibytes = 0;
      status >> kibibytes;
      return kibibytes * 1024;
    }
  }
  return 0;
}

}  // namespace sfumato::bench
