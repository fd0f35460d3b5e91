// Every family of benchmarks registers itself through an ordinary function: a static registrar would be dropped by the
// linker together with its file.
#pragma once

namespace sfumato::bench {

void register_conv();    // conv/<pass>/<batch>x<in>-<out>@<size>
void register_matmul();  // matmul/<m>x<k>x<n>
void register_norm();    // group_norm_silu/..., softmax/...
void register_unet();    // train_step/<config>/<batch>, denoise/<config>/<batch>

}  // namespace sfumato::bench
