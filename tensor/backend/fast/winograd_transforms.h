// The one-dimensional transforms of Winograd's F(4, 3) and of its transpose F(3, 4), on vectors of channels.
//
// With interpolation points 0, +-p, +-q, infinity, p = 5/8 and q = 3/2 (Toom-Cook; Lavin & Gray 2015 take p = 1, q = 2,
// whose error is about twice as large), and with N0 = p^2 q^2, Np = 2 p^2 (p^2 - q^2), Nq = 2 q^2 (q^2 - p^2):
//
//          [ p^2q^2  0       -p^2-q^2   0        1  0 ]         [ 1/N0   0      0      ]
//          [ 0      -p q^2   -q^2       p        1  0 ]         [ 1/Np   p/Np   p^2/Np ]
//    B^T = [ 0       p q^2   -q^2      -p        1  0 ]     G = [ 1/Np  -p/Np   p^2/Np ]
//          [ 0      -q p^2   -p^2       q        1  0 ]         [ 1/Nq   q/Nq   q^2/Nq ]
//          [ 0       q p^2   -p^2      -q        1  0 ]         [ 1/Nq  -q/Nq   q^2/Nq ]
//          [ 0       p^2q^2   0        -p^2-q^2  0  1 ]         [ 0      0      1      ]
//
//          [ 1  1    1    1    1    0 ]
//    A^T = [ 0  p   -p    q   -q    0 ]
//          [ 0  p^2  p^2  q^2  q^2  0 ]
//          [ 0  p^3 -p^3  q^3 -q^3  1 ]
//
//    correlation:       y  = A^T [ (G g) . (B^T d) ]     6 inputs d, 3 taps g, 4 outputs y
//    weight gradient:   dg = G^T [ (A y) . (B^T d) ]     6 inputs d, 4 output gradients y, 3 tap gradients dg
//
// The two-dimensional transform applies these to the columns, then to the rows. The rows of a point and of its
// negative share their even and odd parts, so that a one-dimensional transform takes about 12 operations:
//
//     InputColumn v = transform_input({{d0, d1, d2, d3, d4, d5}});   // v.at[0 ... 5], one Vec each
#pragma once

#include "tensor/backend/fast/winograd_vector.h"

namespace sfumato::fast::SFUMATO_ISA {
namespace {

constexpr int kOutputTile = 4;  // m of F(m x m, 3 x 3)
constexpr int kInputTile = 6;   // m + 3 - 1
constexpr int kTaps = 3;
constexpr int kCoefficients = kInputTile * kInputTile;

constexpr float p1 = 0.625f, p2 = p1 * p1, p3 = p2 * p1;
constexpr float q1 = 1.5f, q2 = q1 * q1, q3 = q2 * q1;
constexpr float n0 = p2 * q2, np = 2 * p2 * (p2 - q2), nq = 2 * q2 * (q2 - p2);

struct InputColumn {
  Vec at[kInputTile];
};
struct OutputColumn {
  Vec at[kOutputTile];
};
struct TapColumn {
  Vec at[kTaps];
};

// B^T d
inline InputColumn transform_input(const InputColumn& d) {
  const Vec even_p = fma(broadcast(-q2), d.at[2], d.at[4]), odd_p = fma(broadcast(-q2), d.at[1], d.at[3]);
  const Vec even_q = fma(broadcast(-p2), d.at[2], d.at[4]), odd_q = fma(broadcast(-p2), d.at[1], d.at[3]);
  return {{fma(broadcast(n0), d.at[0], fma(broadcast(-p2 - q2), d.at[2], d.at[4])), fma(broadcast(p1), odd_p, even_p),
           fma(broadcast(-p1), odd_p, even_p), fma(broadcast(q1), odd_q, even_q), fma(broadcast(-q1), odd_q, even_q),
           fma(broadcast(n0), d.at[1], fma(broadcast(-p2 - q2), d.at[3], d.at[5]))}};
}

// G g
inline InputColumn transform_taps(const TapColumn& g) {
  const Vec even_p = fma(broadcast(p2 / np), g.at[2], broadcast(1 / np) * g.at[0]);
  const Vec even_q = fma(broadcast(q2 / nq), g.at[2], broadcast(1 / nq) * g.at[0]);
  return {{broadcast(1 / n0) * g.at[0], fma(broadcast(p1 / np), g.at[1], even_p),
           fma(broadcast(-p1 / np), g.at[1], even_p), fma(broadcast(q1 / nq), g.at[1], even_q),
           fma(broadcast(-q1 / nq), g.at[1], even_q), g.at[2]}};
}

// A^T m
inline OutputColumn transform_output(const InputColumn& m) {
  const Vec sum_p = m.at[1] + m.at[2], difference_p = m.at[1] - m.at[2];
  const Vec sum_q = m.at[3] + m.at[4], difference_q = m.at[3] - m.at[4];
  return {{m.at[0] + (sum_p + sum_q), fma(broadcast(p1), difference_p, broadcast(q1) * difference_q),
           fma(broadcast(p2), sum_p, broadcast(q2) * sum_q),
           fma(broadcast(p3), difference_p, fma(broadcast(q3), difference_q, m.at[5]))}};
}

// A y
inline InputColumn transform_output_gradient(const OutputColumn& y) {
  const Vec even_p = fma(broadcast(p2), y.at[2], y.at[0]), odd_p = fma(broadcast(p2), y.at[3], y.at[1]);
  const Vec even_q = fma(broadcast(q2), y.at[2], y.at[0]), odd_q = fma(broadcast(q2), y.at[3], y.at[1]);
  return {{y.at[0], fma(broadcast(p1), odd_p, even_p), fma(broadcast(-p1), odd_p, even_p),
           fma(broadcast(q1), odd_q, even_q), fma(broadcast(-q1), odd_q, even_q), y.at[3]}};
}

// G^T u
inline TapColumn transform_tap_gradient(const InputColumn& u) {
  const Vec sum_p = u.at[1] + u.at[2], difference_p = u.at[1] - u.at[2];
  const Vec sum_q = u.at[3] + u.at[4], difference_q = u.at[3] - u.at[4];
  return {{fma(broadcast(1 / np), sum_p, fma(broadcast(1 / nq), sum_q, broadcast(1 / n0) * u.at[0])),
           fma(broadcast(p1 / np), difference_p, broadcast(q1 / nq) * difference_q),
           fma(broadcast(p2 / np), sum_p, fma(broadcast(q2 / nq), sum_q, u.at[5]))}};
}

}  // namespace
}  // namespace sfumato::fast::SFUMATO_ISA
