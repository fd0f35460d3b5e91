// Matrix products of Variables; shapes and broadcasting as in "tensor/ops/matmul.h".
//
//   Variable scores = matmul(q, transpose(k, -2, -1)) * scale;
//   Variable y = linear(x, weight, bias);
//
// With C = A B: dA = dC B^T and dB = A^T dC, the transposes being views.
#pragma once

#include <initializer_list>
#include <span>
#include <string_view>

#include "autograd/variable.h"
#include "tensor/ops/matmul.h"

namespace sfumato {

Variable matmul(const Variable& a, const Variable& b);
// x (..., I), weight (O, I), bias (O) or undefined: (..., O).
Variable linear(const Variable& x, const Variable& weight, const Variable& bias = {});

// ---- products with fixed ranks (products.cpp) ----

Variable mm(const Variable& a, const Variable& b);     // (M, K) x (K, N)
Variable bmm(const Variable& a, const Variable& b);    // (B, M, K) x (B, K, N)
Variable mv(const Variable& a, const Variable& x);     // (M, K) x (K)
Variable dot(const Variable& a, const Variable& b);    // (K) x (K), a number
Variable outer(const Variable& a, const Variable& b);  // (M) x (N): (M, N)
Variable inner(const Variable& a, const Variable& b);  // (..., K) x (..., K) over the last dimensions
// beta * x + alpha * a b, x broadcast to the product; baddbmm for batches.
Variable addmm(const Variable& x, const Variable& a, const Variable& b, double beta = 1, double alpha = 1);
Variable baddbmm(const Variable& x, const Variable& a, const Variable& b, double beta = 1, double alpha = 1);

// ---- contractions (einsum.cpp) ----

// Sums over a's dimensions `dims_a` paired with b's `dims_b`; or over a's last `dims` and b's first.
Variable tensordot(const Variable& a, const Variable& b, const Dims& dims_a, const Dims& dims_b);
Variable tensordot(const Variable& a, const Variable& b, int64_t dims = 2);
// The block matrix of a's entries times b, in any rank.
Variable kron(const Variable& a, const Variable& b);
// The sum of a matrix's diagonal.
Variable trace(const Variable& x);
// Einstein's sum: einsum("bij,bjk->bik", {a, b}). Letters name dimensions; those missing on the right are summed over.
// Without "->" the right side has the letters that occur once, in alphabetical order. A letter twice in one operand
// takes the diagonal, "..." stands for dimensions that broadcast. Operands are multiplied from left to right.
Variable einsum(std::string_view equation, std::span<const Variable> operands);
Variable einsum(std::string_view equation, std::initializer_list<Variable> operands);

// Euclidean distances of points: x (..., P, D) and y (..., R, D) give (..., P, R). The gradient of a distance 0 is 0.
Variable cdist(const Variable& x, const Variable& y);

}  // namespace sfumato
