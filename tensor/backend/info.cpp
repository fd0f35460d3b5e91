#include "tensor/backend/info.h"

#ifdef SFUMATO_FAST
#include "tensor/backend/fast/isa.h"
#endif

namespace sfumato {

#ifdef SFUMATO_FAST
std::string instruction_set_name() { return fast::name_of(fast::isa()); }
#else
std::string instruction_set_name() { return "none"; }
std::string onednn_version() { return "none"; }
#endif

}  // namespace sfumato
