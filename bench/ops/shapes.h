// The convolutions and products that are measured, shared with those who measure the same by other means
// (bench/peers/): a table can pair two benchmarks by their names.
//
//   for (const ConvShape& shape : conv_shapes()) { names.push_back("conv/forward/" + shape.name()); }
#pragma once

#include <fmt/format.h>

#include <span>
#include <string>

#include "tensor/backend/backend.h"

namespace sfumato::bench {

// x (batch, in, size, size), weight (out, in, kernel, kernel), "same" padding.
struct ConvShape {
  int64_t batch, in, out, size;
  int64_t kernel = 3;
  int64_t stride = 1;

  Conv2dOptions options() const { return {.stride = stride, .padding = kernel / 2}; }
  Shape x() const { return {batch, in, size, size}; }
  Shape weight() const { return {out, in, kernel, kernel}; }
  Shape y() const { return {batch, out, size / stride, size / stride}; }
  // Whether there is a choice of algorithms (ConvAlgorithm).
  bool has_winograd() const { return kernel == 3 && stride == 1; }
  std::string name() const {
    return fmt::format("{}x{}-{}@{}{}{}", batch, in, out, size, kernel == 1 ? "/1x1" : "",
                       stride == 2 ? "/stride2" : "");
  }
  // Multiply-adds count two.
  double flops() const { return 2.0 * static_cast<double>(y().numel() * in * kernel * kernel); }
  double bytes() const { return 4.0 * static_cast<double>(x().numel() + weight().numel() + y().numel()); }
};

// The layers of the U-Nets "cifar10_ddpm" (batch 16) and of smaller ones for Fashion-MNIST (batch 64).
inline std::span<const ConvShape> conv_shapes() {
  static constexpr ConvShape kShapes[] = {
      {16, 128, 128, 32},       {16, 256, 256, 16},     {16, 256, 256, 8}, {16, 256, 256, 4},
      {16, 512, 256, 8},        {64, 32, 32, 28},       {64, 64, 64, 14},  {64, 128, 128, 7},
      {16, 3, 128, 32},         {16, 128, 3, 32},        // the ends
      {16, 256, 256, 16, 1},    {16, 384, 128, 32, 1},   // attention, shortcuts
      {16, 128, 128, 32, 3, 2}, {64, 32, 32, 32, 3, 2},  // downsampling
  };
  return kShapes;
}

// a (batch, m, k) times b (batch, k, n); with `b_transposed` b lies in memory as (batch, n, k), with `a_transposed` a
// as (batch, k, m).
struct MatmulShape {
  int64_t batch, m, k, n;
  bool a_transposed = false;
  bool b_transposed = false;

  std::string name() const {
    return fmt::format("{}x{}x{}x{}{}", batch, m, k, n, a_transposed ? "/tn" : b_transposed ? "/nt" : "");
  }
  double flops() const { return 2.0 * static_cast<double>(batch * m * k * n); }
  double bytes() const { return 4.0 * static_cast<double>(batch * (m * k + k * n + m * n)); }
};

// A square one; the scores and the mixing of attention over 16x16 and 7x7 pixels; the time embedding's layer (nt: its
// weight is (out, in)) and the weight gradient of a linear layer (tn).
inline std::span<const MatmulShape> matmul_shapes() {
  static constexpr MatmulShape kShapes[] = {
      {1, 1024, 1024, 1024},          {16, 256, 256, 256}, {16, 256, 256, 256, false, true}, {64, 49, 96, 49, true},
      {1, 16, 512, 512, false, true}, {1, 128, 512, 256},  {1, 256, 16384, 256, true},
  };
  return kShapes;
}

}  // namespace sfumato::bench
