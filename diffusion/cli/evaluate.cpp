// `sfumato evaluate`: how likely a model finds data.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "diffusion/cli/exit_codes.h"
#include "diffusion/cli/options.h"
#include "diffusion/cli/output.h"
#include "diffusion/cli/verbs.h"
#include "diffusion/likelihood/decoder.h"
#include "diffusion/likelihood/evaluate.h"
#include "diffusion/oracle/oracle_network.h"
#include "diffusion/pipeline/model_folder.h"
#include "diffusion/plot/figure.h"
#include "diffusion/train/progress.h"
#include "tensor/io/file.h"

namespace sfumato::cli {
namespace {

using Json = nlohmann::ordered_json;

struct EvaluateArguments {
  std::string model, data, metric, out, variance_type, split = "test", divergence;
  int64_t probes = 1;
  double tolerance = 1e-5;
  EvaluateOptions options;
};

void say(const std::string& text) { std::fputs((text + "\n").c_str(), stderr); }

std::shared_ptr<const Dataset> open_like(const EvaluateArguments& arguments, const DenoisingNetwork& network) {
  DatasetOptions options{.split = arguments.split == "train" ? DataSplit::train : DataSplit::test};
  const Shape sample = network.sample_shape();
  if (sample.rank() == 3 && oracle_spec(arguments.data).empty()) {
    options.image_size = sample[1];
    options.channels = sample[0];
  }
  return open_data(arguments.data, options);
}

// The distribution that the data were drawn from, where it is known.
std::optional<Oracle> truth_of(const EvaluateArguments& arguments) {
  const std::string_view drawn = oracle_spec(arguments.data);
  if (!drawn.empty()) return named_oracle(drawn).all;
  for (const OracleKind& kind : oracle_kinds()) {
    if (kind.name == arguments.data) return named_oracle(kind.name).all;
  }
  return std::nullopt;
}

// "1.2345 +- 0.0067 nats, 0.891 +- 0.005 bits/dim"
std::string text_of(const Estimate& nats, const Estimate& bits) {
  return fmt::format("{:.4f} +- {:.4f} nats, {:.4f} +- {:.4f} bits/dim", nats.mean, nats.error, bits.mean, bits.error);
}

Json json_of(const Estimate& value) { return {{"mean", value.mean}, {"error", value.error}}; }

// ---- the bound ----

// Which terms a screen shows: first and last ones, and powers of two between them.
std::vector<int64_t> shown_terms(int64_t steps) {
  std::vector<int64_t> shown;
  for (int64_t t = 0; t < steps; t = t < 1 ? t + 1 : 2 * t) shown.push_back(t);
  if (shown.back() != steps - 1) shown.push_back(steps - 1);
  return shown;
}

void print_ledger(const VlbReport& report, const std::optional<VlbLedger>& exact) {
  const auto row = [&](const std::string& name, const Estimate& nats, std::optional<double> best) {
    say(fmt::format("{:>8}  {:>12.6f} +- {:<10.6f}  {:>12.6f}{}", name, nats.mean, nats.error,
                    report.bits_per_dim(nats).mean, best ? fmt::format("  {:>12.6f}", *best) : ""));
  };
  say(fmt::format("{:>8}  {:>12}    {:<10}  {:>12}{}", "term", "nats", "", "bits/dim", exact ? "         exact" : ""));
  const auto steps = static_cast<int64_t>(report.terms.size());
  row("L_T", report.prior, exact ? std::optional(exact->prior) : std::nullopt);
  const std::vector<int64_t> shown = shown_terms(steps);
  for (auto t = shown.rbegin(); t != shown.rend(); ++t) {
    const auto i = static_cast<size_t>(*t);
    row(fmt::format("L_{}", *t), report.terms[i], exact ? std::optional(exact->terms[i]) : std::nullopt);
  }
  row("total", report.total, exact ? std::optional(exact->total()) : std::nullopt);
}

std::string ledger_csv(const VlbReport& report, const std::optional<VlbLedger>& exact) {
  const VlbLedger ledger = report.ledger();
  std::string text = "term,nats,standard_error,bits_per_dim,exact_nats,rate_bits_per_dim,distortion_mse\n";
  const auto best = [&](double value) { return exact ? fmt::format("{:.9g}", value) : std::string(); };
  text += fmt::format("L_T,{:.9g},{:.9g},{:.9g},{},0,\n", report.prior.mean, report.prior.error,
                      report.bits_per_dim(report.prior).mean, best(exact ? exact->prior : 0));
  for (size_t t = report.terms.size(); t-- > 0;) {
    const Estimate& term = report.terms[t];
    text += fmt::format("L_{},{:.9g},{:.9g},{:.9g},{},{:.9g},{:.9g}\n", t, term.mean, term.error,
                        report.bits_per_dim(term).mean, best(exact ? exact->terms[t] : 0),
                        bits_per_dim(ledger.rate(static_cast<int64_t>(t)), report.dims), ledger.distortion[t]);
  }
  return text;
}

// Rate against distortion, and both against t, as in Ho et al.'s figure 5.
plot::Figure rate_distortion_figure(const VlbReport& report) {
  const VlbLedger ledger = report.ledger();
  std::vector<double> ts, rates, distortions;
  for (size_t t = 0; t < report.terms.size(); ++t) {
    ts.push_back(static_cast<double>(t));
    rates.push_back(bits_per_dim(ledger.rate(static_cast<int64_t>(t)), report.dims));
    distortions.push_back(std::sqrt(ledger.distortion[t]));
  }
  plot::Figure figure{.title = fmt::format("Rate and distortion of {} samples", report.num)};
  const auto add = [&](const char* title, const char* x, const char* y, const auto& xs, const auto& ys) {
    plot::Panel& panel = figure.panels.emplace_back();
    panel.title = title;
    panel.x.label = x;
    panel.y.label = y;
    panel.marks.emplace_back(plot::Line{.x = xs, .y = ys, .color = plot::palette(figure.panels.size() - 1)});
  };
  add("rate-distortion", "rate (bits/dim)", "distortion (RMSE)", rates, distortions);
  add("distortion", "t", "distortion (RMSE)", ts, distortions);
  add("rate", "t", "rate (bits/dim)", ts, rates);
  return figure;
}

Json vlb_json(const VlbReport& report, const std::optional<VlbLedger>& exact) {
  Json terms = Json::array(), errors = Json::array(), rates = Json::array();
  const VlbLedger ledger = report.ledger();
  for (size_t t = 0; t < report.terms.size(); ++t) {
    terms.push_back(report.terms[t].mean);
    errors.push_back(report.terms[t].error);
    rates.push_back(bits_per_dim(ledger.rate(static_cast<int64_t>(t)), report.dims));
  }
  Json json{{"metric", "vlb"},
            {"num", report.num},
            {"dims", report.dims},
            {"decoder", report.discretized ? "discretized" : "continuous"},
            {"nats", json_of(report.total)},
            {"bits_per_dim", json_of(report.bits_per_dim(report.total))},
            {"L_T", json_of(report.prior)},
            {"terms", terms},
            {"term_errors", errors},
            {"rate_bits_per_dim", rates},
            {"distortion_mse", report.distortion}};
  if (exact) json["exact"] = {{"nats", exact->total()}, {"L_T", exact->prior}, {"terms", exact->terms}};
  return json;
}

void write_ledger(const std::string& out, const VlbReport& report, const std::optional<VlbLedger>& exact) {
  if (out.ends_with(".csv")) {
    write_file_durably(out, ledger_csv(report, exact));
  } else if (out.ends_with(".json")) {
    write_file_durably(out, vlb_json(report, exact).dump(2) + "\n");
  } else if (!out.empty()) {
    plot::save_figure(out, rate_distortion_figure(report));
  }
}

// ---- the verb ----

class EvaluateCommand {
 public:
  EvaluateCommand(const EvaluateArguments& arguments, Common& common)
      : arguments_(arguments), common_(common), group_(common.join()), pipeline_(load_pipeline(arguments.model)) {}

  int run() {
    if (!arguments_.out.empty() && group_.is_root()) require_writable_folder(arguments_.out);
    if (!arguments_.variance_type.empty()) {
      pipeline_.scheduler.variance_type = parse_variance_type(arguments_.variance_type);
    }
    data_ = open_like(arguments_, *pipeline_.network);
    if (arguments_.options.num > data_->size()) {
      throw UsageError(
          fmt::format("--num {}: '{}' has {} samples", arguments_.options.num, arguments_.data, data_->size()));
    }
    options_ = arguments_.options;
    options_.null_label = load_classes(arguments_.model, *pipeline_.network).null_label;
    Progress progress("evaluate", options_.num, 0, 1, "samples");
    options_.group = &group_;  // all compute, rank 0 speaks and writes
    if (group_.is_root()) {
      options_.progress = [&](int64_t done, int64_t) { progress.update(done, arguments_.metric); };
    }
    const Json result = arguments_.metric == "vlb" ? vlb(progress) : ode(progress);
    if (common_.json && group_.is_root()) std::puts(result.dump().c_str());
    return kOk;
  }

 private:
  Json vlb(Progress& progress) {
    const NoiseSchedule schedule = pipeline_.scheduler.make_schedule();
    const VarianceType variance = pipeline_.scheduler.variance_type;
    const VlbReport report = evaluate_vlb(*pipeline_.network, schedule, *data_, options_,
                                          pipeline_.scheduler.prediction_options(), variance);
    if (!group_.is_root()) return {};
    progress.finish();
    std::optional<VlbLedger> exact;
    if (const auto truth = truth_of(arguments_); truth && !report.discretized) {
      exact = exact_bound(*truth, schedule, variance);
    }
    print_ledger(report, exact);
    say("vlb: " + text_of(report.total, report.bits_per_dim(report.total)));
    write_ledger(arguments_.out, report, exact);
    return vlb_json(report, exact);
  }

  Json ode(Progress& progress) {
    const NoiseSchedule schedule = pipeline_.scheduler.make_schedule();
    const bool few = pipeline_.network->sample_shape().numel() <= 16;
    const std::string divergence = !arguments_.divergence.empty() ? arguments_.divergence
                                   : few                          ? "exact"
                                                                  : "rademacher";
    const OdeLikelihoodOptions likelihood{
        .ode = {.rtol = arguments_.tolerance, .atol = arguments_.tolerance},
        .probes = divergence == "exact" ? 0 : arguments_.probes,
        .probe_kind = divergence == "gaussian" ? ProbeKind::gaussian : ProbeKind::rademacher};
    const OdeReport report = evaluate_ode(*pipeline_.network, schedule, *data_, options_,
                                          pipeline_.scheduler.prediction_options(), likelihood);
    if (!group_.is_root()) return {};
    progress.finish();
    say("ode: " + text_of(report.nats, report.bits_per_dim()));
    Json json{{"metric", "ode"},
              {"num", report.num},
              {"dims", report.dims},
              {"divergence", divergence},
              {"dequantized", report.dequantized},
              {"nats", json_of(report.nats)},
              {"bits_per_dim", json_of(report.bits_per_dim())}};
    if (const auto truth = truth_of(arguments_); truth && !report.dequantized) {
      // Sample by sample, because the differences scatter much less than either.
      const std::vector<double> exact = exact_ode_nats(*truth, schedule, *data_, options_);
      std::vector<double> excess = report.per_sample;
      for (size_t i = 0; i < excess.size(); ++i) excess[i] -= exact[i];
      const Estimate best = estimate(exact), gap = estimate(excess);
      say(fmt::format("exact: {:.4f} +- {:.4f} nats; above it: {:.4f} +- {:.4f} nats", best.mean, best.error, gap.mean,
                      gap.error));
      json["exact_nats"] = json_of(best);
      json["excess_nats"] = json_of(gap);
    }
    return json;
  }

  const EvaluateArguments& arguments_;
  const Common& common_;
  ProcessGroup& group_;
  Pipeline pipeline_;
  std::shared_ptr<const Dataset> data_;
  EvaluateOptions options_;
};

}  // namespace

Verb add_evaluate(CLI::App& app, Common& common) {
  auto arguments = std::make_shared<EvaluateArguments>();
  CLI::App* verb = app.add_subcommand("evaluate", "How likely a model finds data: variational bound or exact flow");
  verb->add_option("--model", arguments->model, "Model folder in diffusers' layout, a run directory, or oracle:NAME")
      ->type_name("DIR")
      ->required();
  verb->add_option("--data", arguments->data, "As of train; or oracle:NAME")
      ->type_name("NAME|DIR")
      ->check(suggestions(dataset_names()))
      ->required();
  verb->add_option("--metric", arguments->metric,
                   "vlb: the variational bound, term by term; ode: the likelihood of the probability flow")
      ->check(CLI::IsMember({"vlb", "ode"}))
      ->required();
  verb->add_option("--num", arguments->options.num, "How many of the data, from the first on (default 64)")
      ->check(whole_number(1));
  verb->add_option("--split", arguments->split, "Which part of the data (default test)")
      ->check(CLI::IsMember({"train", "test"}));
  verb->add_option("--seed", arguments->options.seed, "Of noise, dequantisation and probes (default 0)")
      ->check(whole_number(0));
  const char* bound = "Of vlb";
  auto* out = verb->add_option("--out", arguments->out,
                               "The whole ledger as FILE.csv or FILE.json, or the rate-distortion curve as FILE.svg or "
                               "FILE.png")
                  ->type_name("FILE")
                  ->check(ends_in({".csv", ".json", ".svg", ".png"}))
                  ->group(bound);
  verb->add_option("--variance-type", arguments->variance_type, "Variance of the reverse steps (default: the model's)")
      ->check(CLI::IsMember({"fixed_small", "fixed_large", "learned", "learned_range"}))
      ->group(bound);
  const char* flow = "Of ode";
  verb->add_option("--divergence", arguments->divergence,
                   "Exact, or Hutchinson's estimate with signs or normal numbers (default: exact up to 16 numbers a "
                   "sample, else rademacher)")
      ->check(CLI::IsMember({"exact", "rademacher", "gaussian"}))
      ->group(flow);
  verb->add_option("--probes", arguments->probes, "Of Hutchinson's estimate, for each sample (default 1)")
      ->check(whole_number(1, 1 << 20))
      ->group(flow);
  verb->add_option("--tolerance", arguments->tolerance, "Relative and absolute, of a solver's step (default 1e-5)")
      ->check(real_number(1e-12, 1))
      ->group(flow);
  add_common_options(*verb, common);
  verb->footer(R"(Examples:
  sfumato evaluate --model runs/fashion/model --data fashion-mnist --metric vlb --num 64 --out rate.svg
  sfumato evaluate --model runs/fashion/model --data fashion-mnist --metric ode --num 64
  sfumato evaluate --model runs/swissroll/model --data swissroll --metric ode --num 2048
  sfumato evaluate --model oracle:gaussian --data oracle:gaussian --metric vlb --num 1024 --out ledger.csv)");
  return [arguments, &common, out] {
    apply(common);
    if (arguments->metric != "vlb" && (out->count() > 0 || !arguments->variance_type.empty())) {
      throw UsageError("--out and --variance-type are of --metric vlb");
    }
    return EvaluateCommand(*arguments, common).run();
  };
}

}  // namespace sfumato::cli
