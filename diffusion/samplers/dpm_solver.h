// DPM-Solver++ (Lu et al. 2022, "DPM-Solver++: fast solver for guided sampling ...") and UniPC (Zhao et al. 2023):
// exponential integrators. In lambda = -ln sigma the linear part of the ODE is solved exactly,
//
//   x(lambda + h) = e^-h x(lambda) + integral_0^h e^-(h-u) D(lambda + u) du,
//
// and what remains is to guess D over the step: constant, from a midpoint, or by the polynomial through earlier values.
//
//   Tensor images = dpm_solver_sample(denoiser, x, sigmas, {.method = DpmMethod::multistep_2});
//
// About order 3: the update printed in the paper's appendix (and copied by implementations) takes the polynomial's
// second divided difference for its second derivative, which is twice that, so it converges with order 2. Here the
// polynomial is integrated as it stands, and the first step is singlestep_2, because a start of order 1 costs any
// multistep method its third order. Who has to repeat others' samples takes multistep_3_printed.
#pragma once

#include "diffusion/samplers/sigma_denoiser.h"

namespace sfumato {

// The name's number is the order of convergence. Evaluations per step: 2 for singlestep_2, else 1.
enum class DpmMethod {
  first,             // 1S: D constant. The same as DDIM and Euler
  singlestep_2,      // 2S: D at the middle of the step (the paper's algorithm 1 with r = 1/2)
  multistep_2,       // 2M: D on the line through this value and the last, taken at the middle of the step (algorithm 2)
  multistep_2_line,  // the same line, integrated (diffusers' solver_type "heun")
  multistep_3,       // 3M: D on the parabola through this value and the last two
  // 3M as printed and as diffusers has it (see above), after one step of order 1 and one of order 2: order 2 in fact.
  multistep_3_printed,
};

struct DpmOptions {
  DpmMethod method = DpmMethod::multistep_2;
  bool first_order_end = false;  // whether a last step to a positive level is of order 1, too
  // Of multistep_3_printed: its steps of order 2, multistep_2 or multistep_2_line; and whether the last but one is
  // such.
  DpmMethod second_order = DpmMethod::multistep_2;
  bool second_order_before_end = false;
  SolverCallback on_step = {};  // may be empty
};

// A last level of 0 is reached by a step of order 1: lambda is infinite there.
Tensor dpm_solver_sample(const SigmaDenoiser& denoiser,
                         const Tensor& x,
                         std::span<const double> sigmas,
                         const DpmOptions& options = {});

struct UniPcOptions {
  int order = 2;                // 1..3: how many values the predictor uses
  SolverCallback on_step = {};  // may be empty
};

// UniPC-p: the polynomial through the last p values of D predicts x_next; D there, which the next step needs anyway,
// then joins it and corrects x_next. One evaluation a step, order p + 1 (3 for p = 3: the first steps have fewer
// values). The paper's B(h) cancels: with all nodes in the polynomial, its weights are these integrals.
Tensor unipc_sample(const SigmaDenoiser& denoiser,
                    const Tensor& x,
                    std::span<const double> sigmas,
                    const UniPcOptions& options = {});

// The weights w with integral_0^h e^-(h-u) P(u) du = sum_k w_k P(nodes_k) for every polynomial P of degree below the
// number of nodes (1 to 4, distinct).
std::vector<double> exponential_weights(double h, std::span<const double> nodes);

}  // namespace sfumato
