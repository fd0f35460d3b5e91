// oneDNN 2.6 (Debian 12) and 3.x (Debian 13) behind one face: every difference between the two is in this file.
//
//   auto pd = describe<dnnl::matmul>(engine, attr, a_desc, b_desc, out_desc);
//
// Primitive descriptors: 2.x P::primitive_desc(P::desc(args...), attr, engine[, hint]),
//                        3.x P::primitive_desc(engine, args...[, hint], attr).
// memory::desc: public fields in 2.x, opaque in 3.x; the code beside this file only builds, compares and sizes them.
// Failing calls throw in both; 3.x also prints on stdout.
#pragma once

#include <cstdlib>
#include <oneapi/dnnl/dnnl.hpp>

namespace sfumato::onednn {

// P's descriptor of a primitive without a hint: matmul, forward convolution.
template <class P, class... Args>
typename P::primitive_desc describe(const dnnl::engine& engine, const dnnl::primitive_attr& attr, const Args&... args) {
#if DNNL_VERSION_MAJOR >= 3
  return typename P::primitive_desc(engine, args..., attr);
#else
  return typename P::primitive_desc(typename P::desc(args...), attr, engine);
#endif
}

// The same for a backward primitive, whose hint is the forward primitive's descriptor.
template <class P, class Hint, class... Args>
typename P::primitive_desc describe_backward(const dnnl::engine& engine,
                                             const dnnl::primitive_attr& attr,
                                             const Hint& hint,
                                             const Args&... args) {
#if DNNL_VERSION_MAJOR >= 3
  return typename P::primitive_desc(engine, args..., hint, attr);
#else
  return typename P::primitive_desc(typename P::desc(args...), attr, engine, hint);
#endif
}

// 3.x reports errors on stdout by default, where a program's results belong; we throw them. Whoever asks for
// oneDNN's log in the environment gets it.
inline void silence_library() {
  if (std::getenv("ONEDNN_VERBOSE") == nullptr && std::getenv("DNNL_VERBOSE") == nullptr) {
    dnnl::set_verbose(0);
  }
}

}  // namespace sfumato::onednn
