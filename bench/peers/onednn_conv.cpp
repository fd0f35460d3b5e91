// Convolutions by oneDNN alone, from and to plain NCHW, reorders included: what a program without a backend of its own
// would get. No suffix: the algorithm that convolution_auto picks; /direct and /winograd (oneDNN 2 on AVX-512 only) as
// ours.
#include <utility>

#include "bench/measure.h"
#include "bench/ops/shapes.h"
#include "bench/peers/onednn_run.h"
#include "bench/registry.h"

namespace sfumato::bench {
namespace {

using dnnl::algorithm;
using dnnl::memory;
using Tag = memory::format_tag;

memory::dims dims_of(const Shape& shape) { return {shape.begin(), shape.end()}; }
memory::desc any(const Shape& shape) { return {dims_of(shape), memory::data_type::f32, Tag::any}; }
// In a tensor's own order: nchw for images, oihw for weights.
memory::desc plain(const Shape& shape) { return {dims_of(shape), memory::data_type::f32, Tag::abcd}; }

// What the primitives are described by.
struct Problem {
  const ConvShape& shape;
  memory::dims strides, dilates, padding_begin, padding_end;

  explicit Problem(const ConvShape& s)
      : shape(s), strides{s.stride, s.stride}, dilates{0, 0}, padding_begin{s.kernel / 2, s.kernel / 2} {
    // What the last output needs, not more.
    const int64_t end = (s.y()[2] - 1) * s.stride + s.kernel - s.size - s.kernel / 2;
    padding_end = {end, end};
  }
  dnnl::convolution_forward::primitive_desc forward(algorithm how) const {
    return onednn::describe<dnnl::convolution_forward>(
        peer_engine(), peer_attributes(), dnnl::prop_kind::forward_training, how, any(shape.x()), any(shape.weight()),
        any(shape.y()), strides, dilates, padding_begin, padding_end);
  }
  template <class P>
  typename P::primitive_desc backward(algorithm how) const {
    return onednn::describe_backward<P>(peer_engine(), peer_attributes(), forward(how), how, any(shape.x()),
                                        any(shape.weight()), any(shape.y()), strides, dilates, padding_begin,
                                        padding_end);
  }
};

PlainRun forward(const ConvShape& s, algorithm how) {
  const auto chosen = Problem(s).forward(how);
  return {dnnl::convolution_forward(chosen),
          {{DNNL_ARG_SRC, plain(s.x()), chosen.src_desc(), false},
           {DNNL_ARG_WEIGHTS, plain(s.weight()), chosen.weights_desc(), false},
           {DNNL_ARG_DST, plain(s.y()), chosen.dst_desc(), true}}};
}

PlainRun backward_input(const ConvShape& s, algorithm how) {
  const auto chosen = Problem(s).backward<dnnl::convolution_backward_data>(how);
  return {dnnl::convolution_backward_data(chosen),
          {{DNNL_ARG_DIFF_DST, plain(s.y()), chosen.diff_dst_desc(), false},
           {DNNL_ARG_WEIGHTS, plain(s.weight()), chosen.weights_desc(), false},
           {DNNL_ARG_DIFF_SRC, plain(s.x()), chosen.diff_src_desc(), true}}};
}

PlainRun backward_weight(const ConvShape& s, algorithm how) {
  const auto chosen = Problem(s).backward<dnnl::convolution_backward_weights>(how);
  return {dnnl::convolution_backward_weights(chosen),
          {{DNNL_ARG_SRC, plain(s.x()), chosen.src_desc(), false},
           {DNNL_ARG_DIFF_DST, plain(s.y()), chosen.diff_dst_desc(), false},
           {DNNL_ARG_DIFF_WEIGHTS, plain(s.weight()), chosen.diff_weights_desc(), true}}};
}

using MakePass = PlainRun (*)(const ConvShape&, algorithm);

bool has_winograd() {
  try {
    Problem({1, 16, 16, 8}).forward(algorithm::convolution_winograd);
    return true;
  } catch (const dnnl::error&) {
    return false;
  }
}

void add_pass(const char* pass, MakePass make, const ConvShape& shape, algorithm how, const char* suffix) {
  add_benchmark(fmt::format("peer/onednn/conv/{}/{}{}", pass, shape.name(), suffix), benchmark::kMillisecond,
                [=](benchmark::State& state) {
                  PlainRun run = make(shape, how);
                  run();
                  measure_rates(state, work_of(shape.flops(), shape.bytes()), run);
                });
}

}  // namespace

void register_onednn_conv() {
  const std::pair<const char*, MakePass> passes[] = {
      {"forward", forward}, {"backward_input", backward_input}, {"backward_weight", backward_weight}};
  const bool winograd = has_winograd();
  for (const ConvShape& shape : conv_shapes()) {
    for (const auto& [name, make] : passes) {
      add_pass(name, make, shape, algorithm::convolution_auto, "");
      if (shape.has_winograd()) {
        add_pass(name, make, shape, algorithm::convolution_direct, "/direct");
      }
      if (shape.has_winograd() && winograd) {
        add_pass(name, make, shape, algorithm::convolution_winograd, "/winograd");
      }
    }
  }
}

}  // namespace sfumato::bench
