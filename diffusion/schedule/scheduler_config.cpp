#include "diffusion/schedule/scheduler_config.h"

#include <algorithm>
#include <initializer_list>
#include <limits>
#include <nlohmann/json.hpp>
#include <type_traits>
#include <utility>

#include "tensor/io/file.h"
#include "tensor/io/json.h"

namespace sfumato {

namespace {

using Json = nlohmann::json;

constexpr std::string_view kDdpm = "DDPMScheduler", kDdim = "DDIMScheduler", kDpm = "DPMSolverMultistepScheduler";

// Python writes the bare words Infinity, -Infinity and NaN, which JSON does not have: they become strings.
std::string quote_non_finite(std::string_view text) {
  std::string out;
  bool in_string = false;
  for (size_t i = 0; i < text.size();) {
    if (!in_string) {
      std::string_view word;
      for (const std::string_view candidate : {"-Infinity", "Infinity", "NaN"}) {
        if (text.substr(i).starts_with(candidate)) word = candidate;
      }
      if (!word.empty()) {
        (out += '"').append(word) += '"';
        i += word.size();
        continue;
      }
    }
    if (in_string && text[i] == '\\' && i + 1 < text.size())
      out += text[i++];
    else if (text[i] == '"')
      in_string = !in_string;
    out += text[i++];
  }
  return out;
}

constexpr std::pair<const char*, double> kInfinities[] = {{"Infinity", std::numeric_limits<double>::infinity()},
                                                          {"-Infinity", -std::numeric_limits<double>::infinity()}};

// As Python writes a number that JSON does not have: quoted here, without quotes in the end (see to_json()).
Json extended(double value) {
  for (const auto& [text, number] : kInfinities) {
    if (value == number) return text;
  }
  return value;
}

// Takes fields out of a JSON object one by one, so that what is left over is unknown.
class Fields {
 public:
  Fields(Json object, std::string_view origin) : object_(std::move(object)), origin_(origin) {}

  template <class... Parts>
  [[noreturn]] void refuse(const Parts&... parts) const {
    throw FormatError(detail::join_parts(origin_, ": ", parts...));
  }

  // Leaves `value` alone when there is no such field. bool, int64_t, double, std::string or std::vector<double>.
  template <class T>
  void take(const char* name, T& value) {
    const Json field = take_json(name);
    if (field.is_discarded()) return;
    if (!fits<T>(field)) refuse("field ", name, " has the value ", field.dump(), ", which is not of its type");
    value = field.get<T>();
  }

  // The same for a number that may be infinite.
  void take_extended(const char* name, double& value) {
    for (const auto& [text, number] : kInfinities) {
      if (object_.contains(name) && object_.at(name) == text) {
        value = number;
        return drop(name);
      }
    }
    take(name, value);
  }

  // A text of which only these are known.
  void take_one_of(const char* name, std::string& value, std::initializer_list<std::string_view> known) {
    take(name, value);
    if (std::find(known.begin(), known.end(), value) == known.end()) {
      refuse("field ", name, " has the value \"", value, "\", which is not supported");
    }
  }

  // A field with an enumeration's names; `parse` throws for others.
  template <class T, class Parse>
  void take_name(const char* name, T& value, Parse&& parse) {
    if (!object_.contains(name)) return;
    std::string text;
    take(name, text);
    try {
      value = parse(text);
    } catch (const Error& error) {
      refuse(error.what());
    }
  }

  // A field that only its default may have.
  void require(const char* name, const Json& only) {
    const Json field = take_json(name);
    if (!field.is_discarded() && field != only) {
      refuse("field ", name, " has the value ", field.dump(), ", which is not supported (only ", only.dump(), " is)");
    }
  }

  // Not where diffusers noted that its user had left the field out.
  bool gives(const char* name) const {
    const Json defaults = object_.value("_use_default_values", Json::array());
    return object_.contains(name) && std::find(defaults.begin(), defaults.end(), name) == defaults.end();
  }
  bool is_null(const char* name) const { return object_.contains(name) && object_.at(name).is_null(); }
  void drop(const char* name) { object_.erase(name); }

  // Call last. A field that is null asks for nothing, so it may stay.
  void refuse_the_rest() const {
    for (const auto& [name, value] : object_.items()) {
      if (!value.is_null()) refuse("unknown field ", name, " (value ", value.dump(), ")");
    }
  }

 private:
  template <class T>
  static bool fits(const Json& field) {
    if constexpr (std::is_same_v<T, bool>) return field.is_boolean();
    if constexpr (std::is_same_v<T, int64_t>) return field.is_number_integer();
    if constexpr (std::is_same_v<T, double>) return field.is_number();
    if constexpr (std::is_same_v<T, std::string>) return field.is_string();
    if constexpr (std::is_same_v<T, std::vector<double>>) {
      return field.is_array() && std::all_of(field.begin(), field.end(), [](const Json& x) { return x.is_number(); });
    }
  }

  Json take_json(const char* name) {
    if (!object_.contains(name)) return Json(Json::value_t::discarded);
    Json field = object_.at(name);
    object_.erase(name);
    return field;
  }

  Json object_;
  std::string origin_;
};

void take_shared_fields(Fields& fields, SchedulerConfig& config) {
  ScheduleConfig& schedule = config.schedule;
  fields.take("_diffusers_version", config.diffusers_version);
  fields.take("num_train_timesteps", schedule.num_train_timesteps);
  fields.take("beta_start", schedule.beta_start);
  fields.take("beta_end", schedule.beta_end);
  fields.take("beta_schedule", schedule.beta_schedule);
  if (fields.is_null("trained_betas")) fields.drop("trained_betas");
  fields.take("trained_betas", schedule.trained_betas);
  fields.take_name("prediction_type", config.prediction_type, parse_prediction_type);
  fields.take_name("timestep_spacing", config.timestep_spacing, parse_timestep_spacing);
  fields.take("steps_offset", config.steps_offset);
  fields.take("clip_sample", config.clip_sample);
  fields.take("clip_sample_range", config.clip_sample_range);
  fields.take("dynamic_thresholding_ratio", config.dynamic_thresholding_ratio);
  fields.take("sample_max_value", config.sample_max_value);
  fields.take("thresholding", config.thresholding);
  fields.take("rescale_betas_zero_snr", schedule.rescale_betas_zero_snr);
  fields.drop("_use_default_values");
}

// What changes the solver's timesteps or levels: must be off.
constexpr const char* kOtherSigmas[] = {"use_karras_sigmas", "use_exponential_sigmas", "use_beta_sigmas",
                                        "use_flow_sigmas",   "use_lu_lambdas",         "use_dynamic_shifting"};

// What the multistep solver alone knows.
void take_solver_fields(Fields& fields, SchedulerConfig& config) {
  MultistepConfig& solver = config.multistep;
  for (const char* name : kOtherSigmas) fields.require(name, false);
  fields.take_one_of("algorithm_type", solver.algorithm_type,
                     {"dpmsolver", "dpmsolver++", "sde-dpmsolver", "sde-dpmsolver++"});
  fields.take("solver_order", solver.solver_order);
  if (solver.solver_order < 1 || solver.solver_order > 3) {
    fields.refuse("field solver_order has the value ", solver.solver_order,
                  ", which is not supported (1, 2 and 3 are)");
  }
  fields.take_one_of("solver_type", solver.solver_type, {"midpoint", "heun"});
  fields.take("lower_order_final", solver.lower_order_final);
  fields.take("euler_at_final", solver.euler_at_final);
  fields.take_one_of("final_sigmas_type", solver.final_sigmas_type, {"zero", "sigma_min"});
  fields.take_extended("lambda_min_clipped", solver.lambda_min_clipped);
  fields.take("flow_shift", solver.flow_shift);  // of use_flow_sigmas, as the next: says nothing while that is off
  fields.take_one_of("time_shift_type", solver.time_shift_type, {"exponential", "linear"});
  if (fields.is_null("variance_type")) fields.drop("variance_type");
  fields.take_name("variance_type", config.variance_type, parse_variance_type);
}

// Fields of diffusers before 0.10.
void take_legacy_fields(Fields& fields, SchedulerConfig& config) {
  bool predict_epsilon = config.prediction_type == PredictionType::epsilon;
  fields.take("predict_epsilon", predict_epsilon);
  if (!predict_epsilon && config.prediction_type == PredictionType::epsilon) {
    config.prediction_type = PredictionType::sample;
  }
  fields.drop("tensor_format");
}

SchedulerConfig read_fields(Fields fields) {
  SchedulerConfig config;
  fields.take("_class_name", config.class_name);
  const bool is_solver = config.class_name == kDpm;
  if (is_solver) {
    config.timestep_spacing = TimestepSpacing::linspace;
    config.clip_sample = false;
    config.timestep_spacing_given = fields.gives("timestep_spacing");
    config.clip_sample_given = fields.gives("clip_sample");
    take_solver_fields(fields, config);
  } else if (config.class_name == kDdpm) {
    fields.take_name("variance_type", config.variance_type, parse_variance_type);
  } else if (config.class_name == kDdim) {
    fields.take("set_alpha_to_one", config.set_alpha_to_one);
  } else {
    fields.refuse("scheduler class ", config.class_name, " is not supported (", kDdpm, ", ", kDdim, " and ", kDpm,
                  " are)");
  }
  take_shared_fields(fields, config);
  take_legacy_fields(fields, config);
  fields.refuse_the_rest();
  const auto& betas = config.schedule.trained_betas;
  if (!betas.empty() && static_cast<int64_t>(betas.size()) != config.schedule.num_train_timesteps) {
    fields.refuse("trained_betas has ", betas.size(), " entries but num_train_timesteps is ",
                  config.schedule.num_train_timesteps);
  }
  if (config.class_name != kDdpm && config.schedule.beta_schedule == "sigmoid") {
    fields.refuse("field beta_schedule has the value \"sigmoid\", which only ", kDdpm, " has");
  }
  try {
    config.validate();
  } catch (const Error& error) {
    fields.refuse(error.what());
  }
  return config;
}

}  // namespace

void SchedulerConfig::validate() const {
  make_schedule();
  check(dynamic_thresholding_ratio >= 0 && dynamic_thresholding_ratio <= 1,
        "field dynamic_thresholding_ratio must lie in [0, 1], got ", dynamic_thresholding_ratio);
  check(sample_max_value > 0, "field sample_max_value must be positive, got ", sample_max_value);
  check(clip_sample_range > 0, "field clip_sample_range must be positive, got ", clip_sample_range);
  check(steps_offset >= 0, "field steps_offset must not be negative, got ", steps_offset);
}

PredictionOptions SchedulerConfig::prediction_options() const {
  return {.type = prediction_type,
          .clip_sample = clip_sample,
          .clip_sample_range = clip_sample_range,
          .thresholding = thresholding,
          .dynamic_thresholding_ratio = dynamic_thresholding_ratio,
          .sample_max_value = sample_max_value};
}

AncestralOptions SchedulerConfig::ancestral_options(int64_t steps) const {
  return {.timesteps = {.steps = steps, .spacing = timestep_spacing, .steps_offset = steps_offset},
          .prediction = prediction_options(),
          .variance = variance_type,
          .previous = PreviousStep::next_grid_point};
}

DdimOptions SchedulerConfig::ddim_options(int64_t steps, double eta) const {
  return {.timesteps = {.steps = steps, .spacing = timestep_spacing, .steps_offset = steps_offset},
          .prediction = prediction_options(),
          .eta = eta,
          .set_alpha_to_one = set_alpha_to_one,
          .use_clipped_model_output = false,
          .previous = PreviousStep::fixed_stride};
}

SchedulerConfig parse_scheduler_config(std::string_view json, std::string_view origin) {
  Json object = parse_json(quote_non_finite(json), origin);
  if (!object.is_object()) throw FormatError(detail::join_parts(origin, ": not a JSON object"));
  return read_fields(Fields(std::move(object), origin));
}

SchedulerConfig load_scheduler_config(const std::filesystem::path& path) {
  constexpr size_t kLimit = size_t{16} << 20;  // trained_betas of a million steps fit
  return parse_scheduler_config(read_file(path, kLimit), path.string());
}

namespace {

// What all three classes have.
Json shared_fields(const SchedulerConfig& config) {
  const ScheduleConfig& schedule = config.schedule;
  return {
      // an nlohmann::json object keeps its keys sorted
      {"_class_name", config.class_name},
      {"_diffusers_version", config.diffusers_version},
      {"beta_end", schedule.beta_end},
      {"beta_schedule", schedule.beta_schedule},
      {"beta_start", schedule.beta_start},
      {"dynamic_thresholding_ratio", config.dynamic_thresholding_ratio},
      {"num_train_timesteps", schedule.num_train_timesteps},
      {"prediction_type", name_of(config.prediction_type)},
      {"rescale_betas_zero_snr", schedule.rescale_betas_zero_snr},
      {"sample_max_value", config.sample_max_value},
      {"steps_offset", config.steps_offset},
      {"thresholding", config.thresholding},
      {"timestep_spacing", name_of(config.timestep_spacing)},
      {"trained_betas", schedule.trained_betas.empty() ? Json(nullptr) : Json(schedule.trained_betas)},
  };
}

Json solver_fields(const SchedulerConfig& config) {
  const MultistepConfig& solver = config.multistep;
  Json out{{"algorithm_type", solver.algorithm_type},
           {"solver_order", solver.solver_order},
           {"solver_type", solver.solver_type},
           {"lower_order_final", solver.lower_order_final},
           {"euler_at_final", solver.euler_at_final},
           {"final_sigmas_type", solver.final_sigmas_type},
           {"lambda_min_clipped", extended(solver.lambda_min_clipped)},
           {"flow_shift", solver.flow_shift},
           {"time_shift_type", solver.time_shift_type},
           {"variance_type", nullptr}};
  for (const char* name : kOtherSigmas) out[name] = false;
  if (config.variance_type != VarianceType::fixed_small) out["variance_type"] = name_of(config.variance_type);
  return out;
}

}  // namespace

std::string to_json(const SchedulerConfig& config) {
  const bool is_solver = config.class_name == kDpm;
  check(is_solver || config.class_name == kDdpm || config.class_name == kDdim, "scheduler_config: writing ",
        config.class_name, " is not supported (", kDdpm, ", ", kDdim, " and ", kDpm, " are)");
  Json out = shared_fields(config);
  if (is_solver) out.update(solver_fields(config));
  if (!is_solver || config.clip_sample_given) {
    // The solver has no such fields, but keeps those of the scheduler that it was made from, as diffusers does.
    out["clip_sample"] = config.clip_sample;
    out["clip_sample_range"] = config.clip_sample_range;
  }
  if (config.class_name == kDdpm) out["variance_type"] = name_of(config.variance_type);
  if (config.class_name == kDdim) out["set_alpha_to_one"] = config.set_alpha_to_one;
  std::string text = out.dump(2) + "\n";
  for (const auto& [word, number] : kInfinities) {
    const std::string quoted = detail::join_parts('"', word, '"');
    for (size_t at; (at = text.find(quoted)) != text.npos;) text.replace(at, quoted.size(), word);
  }
  return text;
}

void save_scheduler_config(const std::filesystem::path& path, const SchedulerConfig& config) {
  write_file_durably(path, to_json(config));
}

}  // namespace sfumato
