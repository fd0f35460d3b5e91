#include "diffusion/train/config.h"

#include <toml++/toml.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <nlohmann/json.hpp>
#include <sstream>

#include "diffusion/model/unet.h"
#include "diffusion/train/nearest.h"
#include "diffusion/train/toml_text.h"
#include "tensor/io/json.h"

namespace sfumato {

std::vector<NamedField> fields_of(TrainConfig& c) {
  return {
      {"seed", &c.seed},
      {"steps", &c.steps},
      {"batch_size", &c.batch_size},
      {"micro_batch", &c.micro_batch},
      {"lr", &c.lr},
      {"lr_warmup_steps", &c.lr_warmup_steps},
      {"lr_decay", &c.lr_decay},
      {"beta1", &c.beta1},
      {"beta2", &c.beta2},
      {"weight_decay", &c.weight_decay},
      {"max_grad_norm", &c.max_grad_norm},
      {"gradient_exchange", &c.gradient_exchange},
      {"ema_decay", &c.ema_decay},
      {"ema_warmup", &c.ema_warmup},
      {"min_snr_gamma", &c.min_snr_gamma},
      {"horizontal_flip", &c.horizontal_flip},
      {"image_size", &c.image_size},
      {"channels", &c.channels},
      {"class_conditional", &c.class_conditional},
      {"num_classes", &c.num_classes},
      {"label_dropout", &c.label_dropout},
      {"network", &c.network},
      {"unet.block_out_channels", &c.block_out_channels},
      {"unet.attention", &c.attention},
      {"unet.layers_per_block", &c.layers_per_block},
      {"unet.attention_head_dim", &c.attention_head_dim},
      {"unet.norm_num_groups", &c.norm_num_groups},
      {"unet.norm_eps", &c.norm_eps},
      {"unet.dropout", &c.dropout},
      {"unet.resnet_time_scale_shift", &c.resnet_time_scale_shift},
      {"unet.resampling", &c.resampling},
      {"unet.gradient_checkpointing", &c.gradient_checkpointing},
      {"mlp.width", &c.mlp_width},
      {"mlp.depth", &c.mlp_depth},
      {"mlp.time_embedding_dim", &c.mlp_time_embedding_dim},
      {"schedule.num_train_timesteps", &c.num_train_timesteps},
      {"schedule.beta_schedule", &c.beta_schedule},
      {"schedule.beta_start", &c.beta_start},
      {"schedule.beta_end", &c.beta_end},
      {"schedule.prediction_type", &c.prediction_type},
      {"schedule.variance_type", &c.variance_type},
      {"schedule.timestep_spacing", &c.timestep_spacing},
      {"schedule.clip_sample", &c.clip_sample},
      {"checkpoint.every", &c.checkpoint_every},
      {"checkpoint.keep", &c.checkpoint_keep},
      {"checkpoint.keep_every", &c.checkpoint_keep_every},
      {"sample.every", &c.sample_every},
      {"sample.num", &c.sample_num},
      {"sample.steps", &c.sample_steps},
  };
}

namespace {

template <class... Parts>
[[noreturn]] void refuse(const Parts&... parts) {
  throw ConfigError(detail::join_parts(parts...));
}

template <class... Parts>
void require(bool condition, const Parts&... parts) {
  if (!condition) {
    refuse(parts...);
  }
}

// What `rules` throw is about values of the configuration.
void as_config_error(const std::function<void()>& rules) {
  try {
    rules();
  } catch (const Error& error) {
    refuse("config: ", error.what());
  }
}

const NamedField& find_field(const std::vector<NamedField>& fields, const std::string& key, std::string_view source) {
  const auto found = std::find_if(fields.begin(), fields.end(), [&](const auto& f) { return f.key == key; });
  if (found != fields.end()) {
    return *found;
  }
  const std::string shown = printable(key);
  std::vector<std::string> keys;
  std::transform(fields.begin(), fields.end(), std::back_inserter(keys), [](const NamedField& f) { return f.key; });
  refuse(source, ": unknown key '", shown, "' (did you mean '", nearest(shown, keys), "'?)");
}

// A value as it may stand in a message: short. toml++'s own printing negates the smallest integer.
std::string text_of(const toml::node& node) {
  if (const auto* integer = node.as_integer()) {
    return std::to_string(integer->get());
  }
  if (const auto* list = node.as_array()) {
    constexpr size_t kMostItems = 8;
    std::string text;
    for (size_t i = 0; i < std::min(list->size(), kMostItems); ++i) {
      text += (i > 0 ? ", " : "") + text_of(*list->get(i));
    }
    return "[" + text + (list->size() > kMostItems ? ", ...]" : "]");
  }
  if (node.is_table()) {
    return "a table";
  }
  std::ostringstream text;
  node.visit([&](const auto& n) { text << n; });
  return printable(text.str());
}

template <class T>
T scalar_of(const toml::node& node, const std::string& key, const char* wanted, const std::string& source) {
  // An integer where a real number is wanted is fine; the reverse is not.
  if constexpr (std::is_same_v<T, double>) {
    if (const auto value = node.value<double>(); value && node.is_number()) {
      return *value;
    }
  } else if (const auto value = node.value_exact<T>()) {
    return *value;
  }
  refuse(source, ": '", key, "' must be ", wanted, ", got ", text_of(node));
}

template <class T>
std::vector<T> list_of(const toml::node& node, const std::string& key, const char* wanted, const std::string& source) {
  std::vector<T> values;
  require(node.is_array(), source, ": '", key, "' must be a list of ", wanted, ", got ", text_of(node));
  for (const toml::node& item : *node.as_array()) {
    const auto value = item.value_exact<T>();
    require(value.has_value(), source, ": '", key, "' must be a list of ", wanted, ", got ", text_of(node));
    values.push_back(*value);
  }
  return values;
}

void assign(const NamedField& target, const toml::node& node, const std::string& source) {
  std::visit(
      [&](auto* field) {
        using T = std::remove_pointer_t<decltype(field)>;
        if constexpr (std::is_same_v<T, int64_t>) {
          *field = scalar_of<int64_t>(node, target.key, "an integer", source);
        } else if constexpr (std::is_same_v<T, double>) {
          *field = scalar_of<double>(node, target.key, "a number", source);
        } else if constexpr (std::is_same_v<T, bool>) {
          *field = scalar_of<bool>(node, target.key, "true or false", source);
        } else if constexpr (std::is_same_v<T, std::string>) {
          *field = scalar_of<std::string>(node, target.key, "a string", source);
        } else if constexpr (std::is_same_v<T, std::vector<int64_t>>) {
          *field = list_of<int64_t>(node, target.key, "integers", source);
        } else {
          *field = list_of<bool>(node, target.key, "true and false", source);
        }
      },
      target.field);
}

// Calls f(dotted key, node) for every value below a table.
template <class F>
void for_each_value(const toml::table& table, const std::string& prefix, F&& f) {
  for (const auto& [key, node] : table) {
    const std::string path = prefix + std::string(key.str());
    if (node.is_table()) {
      for_each_value(*node.as_table(), path + ".", f);
    } else {
      f(path, node);
    }
  }
}

}  // namespace

TrainConfig TrainConfig::from_toml(std::string_view text, const std::string& source) {
  TrainConfig config;
  const auto fields = fields_of(config);
  if (const auto stray = find_stray_letter(text)) {
    refuse(source, ": line ", stray->line, ", column ", stray->column,
           ": letters outside ASCII may stand in comments alone");
  }
  try {
    const toml::table table = toml::parse(text, source);
    for_each_value(table, "", [&](const std::string& key, const toml::node& node) {
      assign(find_field(fields, key, source), node, source);
    });
  } catch (const toml::parse_error& error) {
    refuse(source, ": line ", error.source().begin.line, ", column ", error.source().begin.column, ": ",
           error.description());
  }
  return config;
}

void TrainConfig::set(std::string_view assignment) {
  const size_t equals = assignment.find('=');
  require(equals != std::string_view::npos && equals > 0, "--set: expected key=value, got '", assignment, "'");
  require(assignment.find('\n') == std::string_view::npos, "--set: '", assignment.substr(0, equals),
          "' is given more than one line");
  const std::string key(assignment.substr(0, equals));
  const std::string value(assignment.substr(equals + 1));
  const auto fields = fields_of(*this);
  const NamedField& target = find_field(fields, key, "--set");
  require(!find_stray_letter(value), "--set: '", value, "' is not a value for '", key, "'");
  toml::table table;
  const bool is_text = std::holds_alternative<std::string*>(target.field);
  try {
    table = toml::parse(is_text && value.find('"') == std::string::npos ? "v = \"" + value + "\"" : "v = " + value);
  } catch (const toml::parse_error&) {
    refuse("--set: '", value, "' is not a value for '", key, "'");
  }
  assign(target, *table.get("v"), "--set");
}

void TrainConfig::validate() const {
  require(seed >= 0, "config: seed must not be negative, got ", seed);
  require(steps >= 1, "config: steps must be at least 1, got ", steps);
  require(batch_size >= 1 && micro_batch >= 1, "config: batch_size and micro_batch must be at least 1, got ",
          batch_size, " and ", micro_batch);
  const int64_t v = num_micro_batches();
  require(v * micro_batch == batch_size && (v & (v - 1)) == 0,
          "config: batch_size / micro_batch must be a power of two, got ", batch_size, " / ", micro_batch);
  require(lr > 0 && std::isfinite(lr), "config: lr must be positive, got ", lr);
  require(lr_decay == "constant" || lr_decay == "cosine", "config: lr_decay must be 'constant' or 'cosine', got '",
          lr_decay, "'");
  require(lr_warmup_steps >= 0, "config: lr_warmup_steps must not be negative, got ", lr_warmup_steps);
  require(lr_decay == "constant" || lr_warmup_steps < steps, "config: lr_warmup_steps = ", lr_warmup_steps,
          " leaves nothing of ", steps, " steps for the cosine (lower it)");
  require(beta1 >= 0 && beta1 < 1 && beta2 >= 0 && beta2 < 1, "config: beta1 and beta2 must be in [0, 1), got ", beta1,
          " and ", beta2);
  require(std::isfinite(weight_decay) && weight_decay >= 0, "config: weight_decay must not be negative, got ",
          weight_decay);
  require(std::isfinite(max_grad_norm) && max_grad_norm >= 0, "config: max_grad_norm must not be negative, got ",
          max_grad_norm);
  require(gradient_exchange == "f32" || gradient_exchange == "bf16",
          "config: gradient_exchange must be 'f32' or 'bf16', got '", gradient_exchange, "'");
  require(ema_decay >= 0 && ema_decay <= 1, "config: ema_decay must be in [0, 1], got ", ema_decay);
  require(std::isfinite(min_snr_gamma) && min_snr_gamma >= 0, "config: min_snr_gamma must not be negative, got ",
          min_snr_gamma);
  require(network == "unet" || network == "mlp", "config: network must be 'unet' or 'mlp', got '", network, "'");
  require(channels == 0 || channels == 1 || channels == 3, "config: channels must be 1, 3 or 0, got ", channels);
  require(image_size >= 0 && image_size <= 16384, "config: image_size must be in 0..16384, got ", image_size);
  require(num_classes >= 0, "config: num_classes must not be negative, got ", num_classes);
  require(label_dropout >= 0 && label_dropout <= 1, "config: label_dropout must be in [0, 1], got ", label_dropout);
  require(class_conditional || (num_classes == 0 && label_dropout == 0),
          "config: num_classes and label_dropout are for class_conditional = true, got ", num_classes, " and ",
          label_dropout);
  require(resampling == "conv" || resampling == "resnet", "config: unet.resampling must be 'conv' or 'resnet', got '",
          resampling, "'");
  require(attention_head_dim >= 0, "config: unet.attention_head_dim must not be negative, got ", attention_head_dim);
  require(checkpoint_every >= 0 && sample_every >= 0,
          "config: checkpoint.every and sample.every must not be negative (0 means never), got ", checkpoint_every,
          " and ", sample_every);
  require(checkpoint_keep_every >= 0, "config: checkpoint.keep_every must not be negative (0 means none), got ",
          checkpoint_keep_every);
  require(checkpoint_keep >= 1, "config: checkpoint.keep must be at least 1, got ", checkpoint_keep);
  require(sample_num >= 1, "config: sample.num must be at least 1, got ", sample_num);
  require(num_train_timesteps >= 1, "config: schedule.num_train_timesteps must be at least 1, got ",
          num_train_timesteps);
  require(sample_steps >= 1 && sample_steps <= num_train_timesteps, "config: sample.steps must be in 1..",
          num_train_timesteps, ", got ", sample_steps);
  as_config_error([&] { scheduler_config().make_schedule(); });
}

int64_t TrainConfig::num_labels() const {
  if (!class_conditional) {
    return 0;
  }
  require(num_classes > 0, "config: class_conditional = true, but no data tell how many classes there are: set ",
          "num_classes");
  return num_classes + (label_dropout > 0 ? 1 : 0);
}

LrSchedule TrainConfig::lr_schedule() const {
  return {.lr = lr,
          .warmup_steps = lr_warmup_steps,
          .decay = lr_decay == "cosine" ? LrDecay::cosine : LrDecay::constant,
          .total_steps = steps};
}

std::unique_ptr<DenoisingNetwork> TrainConfig::make_network(const Shape& sample) const {
  if (network == "mlp") {
    return std::make_unique<MlpDenoiser>(mlp_config(sample));
  }
  return std::make_unique<UNet>(unet_config(sample));
}

MlpConfig TrainConfig::mlp_config(const Shape& sample) const {
  require(sample.rank() == 1, "config: network = 'mlp' is for points, but the data are images of shape ", sample);
  const MlpConfig mlp{.sample_dim = sample[0],
                      .width = mlp_width,
                      .depth = mlp_depth,
                      .time_embedding_dim = mlp_time_embedding_dim,
                      .num_classes = num_labels()};
  as_config_error([&] { mlp.validate(); });
  return mlp;
}

UNetConfig TrainConfig::unet_config(const Shape& image) const {
  require(image.rank() == 3, "config: network = 'unet' is for images, but the data are points of shape ", image,
          " (set network = 'mlp')");
  require(image[1] == image[2], "config: images must be square, got ", image);
  require(attention.size() == block_out_channels.size(), "config: unet.attention has ", attention.size(),
          " entries but unet.block_out_channels has ", block_out_channels.size());
  UNetConfig unet;
  unet.sample_size = image[1];
  unet.in_channels = image[0];
  unet.out_channels = image[0];
  unet.block_out_channels = block_out_channels;
  unet.set_levels(attention, resampling == "resnet" ? Resampling::resnet : Resampling::conv);
  unet.layers_per_block = layers_per_block;
  unet.attention_head_dim = attention_head_dim > 0 ? std::optional<int64_t>(attention_head_dim) : std::nullopt;
  unet.norm_num_groups = norm_num_groups;
  unet.norm_eps = norm_eps;
  unet.dropout = dropout;
  unet.resnet_time_scale_shift = resnet_time_scale_shift;
  unet.gradient_checkpointing = gradient_checkpointing;
  if (const int64_t labels = num_labels(); labels > 0) {
    unet.num_class_embeds = labels;
  }
  as_config_error([&] { unet.validate(); });
  return unet;
}

SchedulerConfig TrainConfig::scheduler_config() const {
  SchedulerConfig scheduler;
  scheduler.schedule.num_train_timesteps = num_train_timesteps;
  scheduler.schedule.beta_schedule = beta_schedule;
  scheduler.schedule.beta_start = beta_start;
  scheduler.schedule.beta_end = beta_end;
  scheduler.prediction_type = parse_prediction_type(prediction_type);
  scheduler.variance_type = parse_fixed_variance_type(variance_type);
  scheduler.timestep_spacing = parse_timestep_spacing(timestep_spacing);
  scheduler.clip_sample = clip_sample;
  return scheduler;
}

std::string TrainConfig::to_json() const {
  nlohmann::ordered_json json;
  TrainConfig copy = *this;
  for (const NamedField& named : fields_of(copy)) {
    nlohmann::ordered_json* place = &json;
    const size_t dot = named.key.find('.');
    if (dot != std::string::npos) {
      place = &json[named.key.substr(0, dot)];
    }
    const std::string leaf = dot == std::string::npos ? named.key : named.key.substr(dot + 1);
    std::visit([&](auto* field) { (*place)[leaf] = *field; }, named.field);
  }
  return json.dump(2) + "\n";
}

std::string first_difference(const std::string& json_a, const std::string& json_b) {
  const auto flat = [](const std::string& text) {
    check_json(text, "a resolved configuration (config.json)");
    const auto json = nlohmann::ordered_json::parse(text);
    check(json.is_object(), "a resolved configuration (config.json) must be a JSON object");
    return json.flatten();
  };
  const auto a = flat(json_a), b = flat(json_b);
  for (const auto* side : {&a, &b}) {
    for (const auto& [path, unused] : side->items()) {
      const std::string left = a.contains(path) ? a.at(path).dump() : "nothing";
      const std::string right = b.contains(path) ? b.at(path).dump() : "nothing";
      if (left != right) {
        std::string key = path.substr(1);
        std::replace(key.begin(), key.end(), '/', '.');
        return key + ": " + left + " against " + right;
      }
    }
  }
  return {};
}

}  // namespace sfumato
