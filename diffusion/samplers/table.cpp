#include "diffusion/samplers/table.h"

#include <algorithm>
#include <cmath>

#include "diffusion/samplers/ddim.h"
#include "diffusion/samplers/dpm_solver.h"
#include "diffusion/samplers/ode.h"
#include "diffusion/samplers/plms.h"
#include "diffusion/samplers/runge_kutta.h"
#include "diffusion/samplers/sde_samplers.h"
#include "tensor/ops/elementwise.h"
#include "tensor/ops/join.h"
#include "tensor/ops/view.h"

namespace sfumato {

namespace {

using Settings = SamplerSettings;

// ---- on timesteps ----

TimestepOptions timesteps_of(const Settings& s) {
  return {.steps = s.steps, .spacing = parse_timestep_spacing(s.spacing), .steps_offset = s.steps_offset};
}

StepCallback on_timestep(const Settings& s) {
  if (!s.progress) return {};
  return [&s](const SamplerStep& step) { s.progress(step.index + 1, step.steps); };
}

Tensor ddpm(const Denoiser& denoiser, const NoiseSchedule& schedule, const Tensor& x_T, const Settings& s) {
  return ancestral_sample(denoiser, schedule, x_T,
                          {.timesteps = timesteps_of(s),
                           .prediction = s.prediction,
                           .variance = s.variance,
                           .noise = s.noise,
                           .on_step = on_timestep(s)});
}

Tensor ddim(const Denoiser& denoiser, const NoiseSchedule& schedule, const Tensor& x_T, const Settings& s) {
  return ddim_sample(denoiser, schedule, x_T,
                     {.timesteps = timesteps_of(s),
                      .prediction = s.prediction,
                      .eta = s.eta,
                      .set_alpha_to_one = s.set_alpha_to_one,
                      .noise = s.noise,
                      .on_step = on_timestep(s)});
}

// ---- on sigmas ----

// What a solver needs, from what the schedule and the settings say. `leave_out_lowest` is diffusers' way for its
// multistep solvers.
struct Problem {
  SigmaDenoiser denoiser;
  std::vector<double> sigmas;  // down to 0
  double lowest;               // of the schedule
  Tensor x;

  Problem(const Denoiser& network,
          const NoiseSchedule& schedule,
          const Tensor& x_T,
          const Settings& s,
          bool leave_out_lowest = false) {
    const SigmaTable table(schedule);
    denoiser = sigma_denoiser(network, table, s.prediction);
    sigmas = sigma_grid(table, {.steps = s.steps,
                                .spacing = parse_sigma_spacing(s.spacing),
                                .steps_offset = s.steps_offset,
                                .leave_out_lowest = leave_out_lowest});
    lowest = table.sigma(0);
    x = x_T * scale_of(sigmas[0]);
  }
};

// The callback of whichever kind of step.
template <class Step>
std::function<void(const Step&)> on_step(const Settings& s) {
  if (!s.progress) return {};
  return [&s](const Step& step) { s.progress(step.index + 1, step.steps); };
}

template <auto sample>
Tensor runge_kutta(const Denoiser& denoiser, const NoiseSchedule& schedule, const Tensor& x_T, const Settings& s) {
  const Problem p(denoiser, schedule, x_T, s);
  return sample(p.denoiser, p.x, p.sigmas, {.on_step = on_step<SolverStep>(s)});
}

Tensor edm(const Denoiser& denoiser, const NoiseSchedule& schedule, const Tensor& x_T, const Settings& s) {
  const Problem p(denoiser, schedule, x_T, s);
  return heun_sample(p.denoiser, p.x, p.sigmas,
                     {.churn = {.amount = 40, .min = 0.05, .max = 50, .noise = 1.003},  // EDM's table 5, ImageNet-64
                      .noise = s.noise,
                      .on_step = on_step<SolverStep>(s)});
}

Tensor plms(const Denoiser& denoiser, const NoiseSchedule& schedule, const Tensor& x_T, const Settings& s) {
  const Problem p(denoiser, schedule, x_T, s);
  return plms_sample(p.denoiser, p.x, p.sigmas, {.on_step = on_step<SolverStep>(s)});
}

template <DpmMethod method>
Tensor dpm(const Denoiser& denoiser, const NoiseSchedule& schedule, const Tensor& x_T, const Settings& s) {
  const Problem p(denoiser, schedule, x_T, s, /*leave_out_lowest=*/true);
  return dpm_solver_sample(p.denoiser, p.x, p.sigmas, {.method = method, .on_step = on_step<SolverStep>(s)});
}

// lambda_min_clipped: the schedule without its end, where ln(signal / noise) is below that.
NoiseSchedule clipped(const NoiseSchedule& schedule, const Settings& s) {
  const auto is_noisier = [&](double a) { return std::log(a / (1 - a)) / 2 < s.multistep->lambda_min_clipped; };
  const auto& levels = schedule.alphas_cumprod();
  const auto end = std::find_if(levels.begin(), levels.end(), is_noisier);
  if (end == levels.end()) return schedule;
  check(end != levels.begin() && s.spacing != "trailing", "sample: the model's scheduler has lambda_min_clipped ",
        s.multistep->lambda_min_clipped,
        end == levels.begin() ? ", which leaves no timestep" : ", which is not built for trailing spacing");
  const auto& betas = schedule.betas();
  return {schedule.name(), {betas.begin(), betas.begin() + (end - levels.begin())}, schedule.precision()};
}

Tensor configured_multistep(const Denoiser& denoiser,
                            const NoiseSchedule& schedule,
                            const Tensor& x_T,
                            const Settings& s) {
  check(s.multistep != nullptr, "sample: the multistep solver needs its configuration");
  const MultistepConfig& config = *s.multistep;
  check(config.algorithm_type == "dpmsolver++", "sample: the model's scheduler has algorithm_type '",
        config.algorithm_type, "', of which no sampler is built ('dpmsolver++' is): choose one with --sampler");
  Problem p(denoiser, clipped(schedule, s), x_T, s, /*leave_out_lowest=*/true);
  if (config.final_sigmas_type == "sigma_min") p.sigmas.back() = p.lowest;
  const bool lower_end = config.lower_order_final && p.sigmas.size() <= 15;  // diffusers: fewer than 15 steps
  const DpmMethod second = config.solver_type == "heun" ? DpmMethod::multistep_2_line : DpmMethod::multistep_2;
  const Tensor x = dpm_solver_sample(p.denoiser, p.x, p.sigmas,
                                     {.method = config.solver_order == 1   ? DpmMethod::first
                                                : config.solver_order == 2 ? second
                                                                           : DpmMethod::multistep_3_printed,
                                      .first_order_end = lower_end || config.euler_at_final,
                                      .second_order = second,
                                      .second_order_before_end = lower_end,
                                      .on_step = on_step<SolverStep>(s)});
  return x / scale_of(p.sigmas.back());  // an image with the noise of sigma_min, at its variance-preserving size
}

Tensor unipc(const Denoiser& denoiser, const NoiseSchedule& schedule, const Tensor& x_T, const Settings& s) {
  const Problem p(denoiser, schedule, x_T, s, /*leave_out_lowest=*/true);
  return unipc_sample(p.denoiser, p.x, p.sigmas, {.on_step = on_step<SolverStep>(s)});
}

// The steps of an adaptive solver depend on what it is given: one image at a time, so that images do not.
Tensor ode(const Denoiser& denoiser, const NoiseSchedule& schedule, const Tensor& x_T, const Settings& s) {
  const Problem p(denoiser, schedule, x_T, s);
  const double lowest = p.sigmas[p.sigmas.size() - 2];
  std::vector<Tensor> images;
  for (int64_t n = 0; n < x_T.size(0); ++n) {
    images.push_back(probability_flow_sample(p.denoiser, narrow(p.x, 0, n, 1).contiguous(),
                                             {.sigma_max = p.sigmas[0], .sigma_min = lowest}));
    if (s.progress) s.progress(n + 1, x_T.size(0));
  }
  return cat(images, 0);
}

// The samplers of SDEs, on EDM's with its times set to the grid's sigmas; D then takes the last noise away.
template <auto sample, class Options = SdeOptions>
Tensor reverse_sde(const Denoiser& denoiser, const NoiseSchedule& schedule, const Tensor& x_T, const Settings& s) {
  const Problem p(denoiser, schedule, x_T, s);
  check(p.sigmas.size() >= 3, "sample: an SDE's sampler needs at least 2 steps, got ", p.sigmas.size() - 1);
  const LinearSde sde = edm_sde(p.sigmas[0]);
  std::vector<double> times;
  for (size_t i = 0; i + 1 < p.sigmas.size(); ++i) times.push_back(i == 0 ? 1 : p.sigmas[i] / p.sigmas[0]);
  Options options;
  options.noise = s.noise;
  options.denoise_last = false;
  options.on_step = on_step<SdeStep>(s);
  if constexpr (requires { options.by_norms; }) options.by_norms = false;  // points in the plane are sampled, too
  const Tensor end = sample(score_of(p.denoiser, sde), sde, p.x, times, options);
  return p.denoiser(end, p.sigmas[0] * times.back());
}

constexpr NamedSampler kSamplers[] = {
    {"ddpm", "ancestral sampling (Ho et al. 2020)", 0, ddpm},
    {"ddim", "deterministic for eta 0 (Song et al. 2021)", 50, ddim},
    {"euler", "order 1, as ddim, over sigmas", 50, runge_kutta<euler_sample>},
    {"heun", "order 2, two evaluations a step (Karras et al. 2022)", 18, runge_kutta<heun_sample>},
    {"rk4", "order 4, four evaluations a step", 12, runge_kutta<rk4_sample>},
    {"edm", "heun with churn (Karras et al. 2022)", 40, edm},
    {"dpm++2s", "DPM-Solver++ order 2, two evaluations a step", 10, dpm<DpmMethod::singlestep_2>},
    {"dpm++2m", "DPM-Solver++ multistep, order 2", 20, dpm<DpmMethod::multistep_2>},
    {"dpm++3m", "DPM-Solver++ multistep, order 3", 20, dpm<DpmMethod::multistep_3>},
    {"unipc", "predictor-corrector, order 3 (Zhao et al. 2023)", 15, unipc},
    {"plms", "pseudo linear multistep (Liu et al. 2022)", 50, plms},
    {"ode", "probability flow, adaptive Dormand-Prince, one image at a time", 50, ode},
    {"euler-maruyama", "the reverse SDE (Song et al. 2021)", 200, reverse_sde<euler_maruyama_sample>},
    {"reverse-diffusion", "the reverse SDE by exact transitions", 200, reverse_sde<reverse_diffusion_sample>},
    {"pc", "reverse diffusion corrected by Langevin steps", 100,
     reverse_sde<predictor_corrector_sample, PredictorCorrectorOptions>},
};

constexpr NamedSampler kMultistep{"multistep", "as a DPMSolverMultistepScheduler's fields say", 20,
                                  configured_multistep};

}  // namespace

const NamedSampler& multistep_solver() { return kMultistep; }

std::span<const NamedSampler> named_samplers() { return kSamplers; }

const NamedSampler& find_sampler(std::string_view name) {
  std::string known;
  for (const NamedSampler& sampler : kSamplers) {
    if (sampler.name == name) return sampler;
    known += (known.empty() ? "" : ", ") + std::string(sampler.name);
  }
  detail::fail("sample: unknown sampler '", name, "' (", known, ")");
}

int64_t steps_of(const NamedSampler& sampler, int64_t steps, int64_t num_train_timesteps) {
  if (steps > 0) return steps;
  return sampler.default_steps == 0 ? num_train_timesteps : std::min(sampler.default_steps, num_train_timesteps);
}

}  // namespace sfumato
