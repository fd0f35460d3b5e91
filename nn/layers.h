// Layers: the small modules that networks are made of, with PyTorch's names, parameters and initial values.
//
//   Sequential net(Conv2d(1, 32, 3, {.padding = 1}), GroupNorm(8, 32), SiLU(), Conv2d(32, 1, 3, {.padding = 1}));
//   initialize(net, /*seed=*/0);
//   Variable y = net(x);                             // x (N, 1, H, W)
//
// A Layer maps one Variable to one Variable; Embedding, which takes integers, is a plain Module.
#pragma once

#include <memory>
#include <vector>

#include "autograd/variable.h"
#include "nn/init.h"
#include "nn/module.h"
#include "tensor/ops/conv.h"
#include "tensor/ops/norm.h"

namespace sfumato {

class Layer : public Module {
 public:
  virtual Variable forward(const Variable& x) const = 0;
  Variable operator()(const Variable& x) const {
    const ModuleScope at_work(*this);
    return forward(x);
  }
};

// y = x weight^T + bias. x (..., in), weight (out, in), bias (out), y (..., out).
class Linear : public Layer {
 public:
  Linear(int64_t in, int64_t out, bool bias = true, Init init = Init::default_);
  Variable forward(const Variable& x) const override;
  void visit(Visitor& v) override { v("weight", weight)("bias", bias); }
  std::string describe() const override;

  Parameter weight, bias;
};

// Convolution with a square kernel ("tensor/ops/conv.h"). x (N, in, H, W), weight (out, in / groups, kernel, kernel),
// bias (out), y (N, out, P, Q).
class Conv2d : public Layer {
 public:
  Conv2d(int64_t in,
         int64_t out,
         int64_t kernel,
         const Conv2dOptions& options = {},
         bool bias = true,
         Init init = Init::default_);
  Variable forward(const Variable& x) const override;
  void visit(Visitor& v) override { v("weight", weight)("bias", bias); }
  std::string describe() const override;
  const Conv2dOptions& options() const { return options_; }

  Parameter weight, bias;

 private:
  Conv2dOptions options_;
};

// Group normalisation (Wu & He 2018) with a scale and a shift per channel. x (N, channels, ...).
class GroupNorm : public Layer {
 public:
  GroupNorm(int64_t groups, int64_t channels, double eps = 1e-5);
  Variable forward(const Variable& x) const override;
  // silu(forward(x)) in one pass over memory.
  Variable forward_silu(const Variable& x) const;
  void visit(Visitor& v) override { v("weight", weight)("bias", bias); }
  std::string describe() const override;

  Parameter weight, bias;

 private:
  int64_t groups_;
  double eps_;
};

// x * sigmoid(x).
class SiLU : public Layer {
 public:
  Variable forward(const Variable& x) const override { return silu(x); }
};

// In training mode zeroes each element with probability p and scales the rest by 1 / (1 - p) (Srivastava et al. 2014);
// else the identity. Which elements depends on the random scope in force and on this module's path, so they are the
// same when a step is computed again; see "tensor/random.h".
class Dropout : public Layer {
 public:
  // 0 <= p < 1.
  explicit Dropout(double p);
  Variable forward(const Variable& x) const override;
  std::string describe() const override;
  double p() const { return p_; }

 private:
  double p_;
};

// (N, C, H, W) -> (N, C, scale H, scale W), each pixel repeated.
class Upsample : public Layer {
 public:
  explicit Upsample(int64_t scale = 2);
  Variable forward(const Variable& x) const override { return upsample_nearest2d(x, scale_); }
  std::string describe() const override;

 private:
  int64_t scale_;
};

// A learned row for each of `count` integers. index (...) of i64 or i32, result (..., width).
class Embedding : public Module {
 public:
  Embedding(int64_t count, int64_t width);
  Variable forward(const Tensor& index) const { return embedding(weight, index); }
  Variable operator()(const Tensor& index) const { return forward(index); }
  void visit(Visitor& v) override { v("weight", weight); }

  Parameter weight;
};

// Layers one after the other, named "0", "1", ...
class Sequential : public Layer {
 public:
  // Takes the layers over: Sequential(Linear(2, 64), SiLU(), Linear(64, 2)).
  template <class... Layers>
  requires(std::is_base_of_v<Layer, std::remove_cvref_t<Layers>>&&...) explicit Sequential(Layers&&... layers) {
    (append(std::forward<Layers>(layers)), ...);
  }
  Sequential(Sequential&&) noexcept = default;
  Sequential& operator=(Sequential&&) noexcept = default;

  template <class L>
  requires std::is_base_of_v<Layer, L>
  void append(L&& layer) {
    static_assert(!std::is_lvalue_reference_v<L>, "Sequential owns its layers: move them in");
    layers_.push_back(std::make_unique<L>(std::forward<L>(layer)));
  }
  size_t size() const { return layers_.size(); }
  Layer& operator[](size_t i) { return *layers_.at(i); }

  Variable forward(const Variable& x) const override;
  void visit(Visitor& v) override;

 private:
  std::vector<std::unique_ptr<Layer>> layers_;
};

}  // namespace sfumato
