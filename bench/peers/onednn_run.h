// oneDNN as its own manual has it used, for the benchmarks beside ours: a primitive that chooses its layouts, operands
// in plain memory, reorders before and after where the two differ. Everything is made once, before the measurement.
//
//   PlainRun run(primitive, {{DNNL_ARG_SRC, plain, wanted, false}, {DNNL_ARG_DST, plain, wanted, true}});
//   run();                        // reorders in, the primitive, reorders out; returns when all is done
#pragma once

#include <unordered_map>
#include <vector>

#include "tensor/backend/onednn/compat.h"

namespace sfumato::bench {

inline const dnnl::engine& peer_engine() {
  static const dnnl::engine& engine = *[] {
    onednn::silence_library();
    return new dnnl::engine(dnnl::engine::kind::cpu, 0);
  }();
  return engine;
}

// Strict f32, like ours; scratch memory is the library's own.
inline dnnl::primitive_attr peer_attributes() {
  dnnl::primitive_attr attributes;
  attributes.set_fpmath_mode(dnnl::fpmath_mode::strict);
  return attributes;
}

struct PlainOperand {
  int argument;
  dnnl::memory::desc plain, wanted;
  bool is_output;
};

class PlainRun {
 public:
  PlainRun(dnnl::primitive primitive, const std::vector<PlainOperand>& operands);
  void operator()();

 private:
  struct Step {
    dnnl::primitive primitive;
    std::unordered_map<int, dnnl::memory> arguments;
  };

  dnnl::stream stream_{peer_engine()};
  std::vector<Step> steps_;
};

}  // namespace sfumato::bench
