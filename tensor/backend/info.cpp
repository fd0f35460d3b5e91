#include "tensor/backend/info.h"

#include <fstream>

#ifdef SFUMATO_FAST
#include "tensor/backend/fast/isa.h"
#endif

namespace sfumato {

std::string openmp_version() {
  // _OPENMP is the month of the specification.
  switch (_OPENMP) {
    case 201511: return "4.5";
    case 201811: return "5.0";
    case 202011: return "5.1";
    case 202111: return "5.2";
    default: return std::to_string(_OPENMP);
  }
}

std::string cpu_name() {
  std::ifstream info("/proc/cpuinfo");
  for (std::string line; std::getline(info, line);) {
    const size_t colon = line.find(": ");
    if (line.starts_with("model name") && colon != std::string::npos) {
      return line.substr(colon + 2);
    }
  }
  return "unknown";
}

#ifdef SFUMATO_FAST
std::string instruction_set_name() { return fast::name_of(fast::isa()); }
#else
std::string instruction_set_name() { return "none"; }
std::string onednn_version() { return "none"; }
#endif

}  // namespace sfumato
