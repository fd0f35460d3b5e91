// The U-Net's configuration as diffusers' config.json.
#include <algorithm>
#include <nlohmann/json.hpp>
#include <variant>

#include "diffusion/model/unet_config.h"
#include "tensor/check.h"
#include "tensor/io/json.h"

namespace sfumato {
namespace {

using Json = nlohmann::json;

// A number that diffusers takes for an integer and that may be none: 1 is written as 1, not as 1.0.
struct PerhapsWhole {
  double UNetConfig::*value;
};

using Member = std::variant<int64_t UNetConfig::*,
                            double UNetConfig::*,
                            PerhapsWhole,
                            bool UNetConfig::*,
                            std::string UNetConfig::*,
                            std::optional<int64_t> UNetConfig::*,
                            std::optional<std::string> UNetConfig::*,
                            std::vector<int64_t> UNetConfig::*,
                            std::vector<std::string> UNetConfig::*>;

struct Field {
  const char* key;
  Member member;
};

// All but sample_size, which is one number or two.
const Field kFields[] = {
    {"act_fn", &UNetConfig::act_fn},
    {"add_attention", &UNetConfig::add_attention},
    {"attention_head_dim", &UNetConfig::attention_head_dim},
    {"attn_norm_num_groups", &UNetConfig::attn_norm_num_groups},
    {"block_out_channels", &UNetConfig::block_out_channels},
    {"center_input_sample", &UNetConfig::center_input_sample},
    {"class_embed_type", &UNetConfig::class_embed_type},
    {"down_block_types", &UNetConfig::down_block_types},
    {"downsample_padding", &UNetConfig::downsample_padding},
    {"downsample_type", &UNetConfig::downsample_type},
    {"dropout", &UNetConfig::dropout},
    {"flip_sin_to_cos", &UNetConfig::flip_sin_to_cos},
    {"freq_shift", PerhapsWhole{&UNetConfig::freq_shift}},
    {"in_channels", &UNetConfig::in_channels},
    {"layers_per_block", &UNetConfig::layers_per_block},
    {"mid_block_scale_factor", PerhapsWhole{&UNetConfig::mid_block_scale_factor}},
    {"mid_block_type", &UNetConfig::mid_block_type},
    {"norm_eps", &UNetConfig::norm_eps},
    {"norm_num_groups", &UNetConfig::norm_num_groups},
    {"num_class_embeds", &UNetConfig::num_class_embeds},
    {"num_train_timesteps", &UNetConfig::num_train_timesteps},
    {"out_channels", &UNetConfig::out_channels},
    {"resnet_time_scale_shift", &UNetConfig::resnet_time_scale_shift},
    {"time_embedding_dim", &UNetConfig::time_embedding_dim},
    {"time_embedding_type", &UNetConfig::time_embedding_type},
    {"up_block_types", &UNetConfig::up_block_types},
    {"upsample_type", &UNetConfig::upsample_type},
};

// Fields that say nothing about the network.
bool is_bookkeeping(const std::string& key) {
  return key == "_class_name" || key == "_diffusers_version" || key == "_name_or_path";
}

bool is_int64(const Json& json) {
  return json.is_number_integer() && !(json.is_number_unsigned() && json.get<uint64_t>() > uint64_t{INT64_MAX});
}

// What a value becomes in JSON, and the reverse: false when the JSON is of another type (get() would convert).
template <class T>
Json json_of(const T& value) {
  return value;
}
template <class T>
Json json_of(const std::optional<T>& value) {
  return value ? Json(*value) : Json(nullptr);
}

bool read(const Json& json, int64_t& value) { return is_int64(json) && (value = json.get<int64_t>(), true); }
bool read(const Json& json, double& value) { return json.is_number() && (value = json.get<double>(), true); }
bool read(const Json& json, bool& value) { return json.is_boolean() && (value = json.get<bool>(), true); }
bool read(const Json& json, std::string& value) { return json.is_string() && (value = json.get<std::string>(), true); }
template <class T>
bool read(const Json& json, std::optional<T>& value) {
  if (json.is_null()) {
    value.reset();
    return true;
  }
  return read(json, value.emplace());
}
template <class T>
bool read(const Json& json, std::vector<T>& values) {
  values.assign(json.is_array() ? json.size() : 0, T{});
  size_t i = 0;
  return json.is_array() &&
         std::all_of(json.begin(), json.end(), [&](const Json& item) { return read(item, values[i++]); });
}

Json to_json_value(const UNetConfig& config, const Member& member) {
  return std::visit(
      [&](const auto& pointer) -> Json {
        if constexpr (std::is_same_v<std::decay_t<decltype(pointer)>, PerhapsWhole>) {
          const double value = config.*pointer.value;
          const auto whole = static_cast<int64_t>(value);
          return static_cast<double>(whole) == value ? Json(whole) : Json(value);
        } else {
          return json_of(config.*pointer);
        }
      },
      member);
}

bool read_member(const Json& json, UNetConfig& config, const Member& member) {
  return std::visit(
      [&](const auto& pointer) {
        if constexpr (std::is_same_v<std::decay_t<decltype(pointer)>, PerhapsWhole>) {
          return read(json, config.*pointer.value);
        } else {
          return read(json, config.*pointer);
        }
      },
      member);
}

bool read_sample_size(const Json& json, UNetConfig& config) {
  std::vector<int64_t> sides;
  if (json.is_array()) {
    if (!read(json, sides) || sides.size() != 2) return false;
    config.sample_size = sides[0];
    config.sample_width = sides[1];
    return config.sample_width > 0;
  }
  config.sample_width = 0;
  return read(json, config.sample_size);
}

// What a field means that a file leaves out.
UNetConfig diffusers_defaults() {
  UNetConfig config;
  config.attention_head_dim = 8;
  config.norm_eps = 1e-5;
  config.flip_sin_to_cos = true;
  config.freq_shift = 0;
  config.downsample_padding = 1;
  config.block_out_channels = {224, 448, 672, 896};
  config.set_levels({false, true, true, true});
  return config;
}

}  // namespace

std::string UNetConfig::to_json() const {
  Json json{{"_class_name", "UNet2DModel"}, {"_diffusers_version", "0.40.0.dev0"}, {"sample_size", sample_size}};
  if (sample_width > 0) {
    json["sample_size"] = {sample_size, sample_width};
  }
  for (const Field& field : kFields) {
    json[field.key] = to_json_value(*this, field.member);
  }
  return json.dump(2) + "\n";
}

UNetConfig UNetConfig::from_json(std::string_view text, std::string_view source) {
  const Json json = parse_json(text, source);
  check(json.is_object(), source, ": expected a JSON object");
  const Json class_name = json.value("_class_name", Json("UNet2DModel"));
  check(class_name == "UNet2DModel", source, ": _class_name ", class_name.dump(),
        " is not supported (\"UNet2DModel\" is)");
  UNetConfig config = diffusers_defaults();
  for (const auto& [key, value] : json.items()) {
    if (is_bookkeeping(key)) {
      continue;
    }
    if (key == "sample_size") {
      check(read_sample_size(value, config), source, ": sample_size must be an integer or [height, width], got ",
            value.dump());
      continue;
    }
    const auto* field = std::find_if(std::begin(kFields), std::end(kFields),
                                     [&key = key](const Field& candidate) { return key == candidate.key; });
    check(field != std::end(kFields), source, ": field '", key, "' is not known");
    check(read_member(value, config, field->member), source, ": field '", key, "' has the wrong type: ", value.dump());
  }
  try {
    config.validate();
  } catch (const Error& error) {
    detail::fail(source, ": ", error.what());
  }
  return config;
}

}  // namespace sfumato
