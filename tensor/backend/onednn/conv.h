// Direct convolution by oneDNN: f32, any stride, padding, dilation and groups. Which convolutions come here is decided
// in tensor/backend/fast/conv_algorithm.h. Arguments are as in tensor/backend/backend.h; no size is 0.
//
// oneDNN works on layouts of its own (channels in blocks of 16): its path for plain NCHW is 1.5 to 5 times slower. So
// it is asked for `any` layout, and the reorders in and out (2-5 % of a large convolution) happen here.
#pragma once

#include "tensor/backend/backend.h"

namespace sfumato::onednn {

void conv2d(const Tensor& x, const Tensor& weight, const Tensor& bias, const Conv2dOptions& o, Tensor& out);
void conv2d_backward_input(const Tensor& dy, const Tensor& weight, const Conv2dOptions& o, Tensor& dx);
void conv2d_backward_weight(const Tensor& x, const Tensor& dy, const Conv2dOptions& o, Tensor& dweight);

}  // namespace sfumato::onednn
