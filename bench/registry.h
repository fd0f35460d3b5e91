// Every family of benchmarks registers itself through an ordinary function: a static registrar would be dropped by the
// linker together with its file. docs/benchmarks.md says what each family measures.
//
//   register_all();
//   benchmark::RunSpecifiedBenchmarks();
#pragma once

namespace sfumato::bench {

void register_unet();         // train_step/<config>/<batch>, denoise/<config>/<batch>
void register_conv();         // conv/<pass>/<batch>x<in>-<out>@<size>[/1x1][/stride2][/direct | /winograd]
void register_matmul();       // matmul/<batch>x<m>x<k>x<n>[/nt | /tn]
void register_attention();    // attention/<pass>/<batch>x<channels>x<pixels>/<heads>
void register_norm();         // group_norm/<pass>/<shape>, group_norm_silu/..., softmax/...
void register_elementwise();  // elementwise/<op>/<size>
void register_reduce();       // reduce/<op>/<shape>/<dimensions>
void register_resample();     // resample/<op>/<shape>
void register_random();       // random/<op>/<size>
void register_optimizer();    // optimizer/<what>/<parameters>
void register_overhead();     // overhead/<what>

// oneDNN called directly on the same operands, peer/onednn/<the name of ours>; in builds with the fast backend.
void register_onednn_conv();
void register_onednn_matmul();

inline void register_all() {
  register_unet();
  register_conv();
  register_matmul();
  register_attention();
  register_norm();
  register_elementwise();
  register_reduce();
  register_resample();
  register_random();
  register_optimizer();
  register_overhead();
#ifdef SFUMATO_FAST
  register_onednn_conv();
  register_onednn_matmul();
#endif
}

}  // namespace sfumato::bench
