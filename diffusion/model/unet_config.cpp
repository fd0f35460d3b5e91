#include "diffusion/model/unet_config.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <set>
#include <type_traits>

#include "tensor/check.h"

namespace sfumato {
namespace {

using Json = nlohmann::json;

// Fields of diffusers' config that we build in one way only, with the value that we build.
const Json& fixed_fields() {
  static const Json fields = {
      {"act_fn", "silu"},
      {"add_attention", true},
      {"attn_norm_num_groups", nullptr},
      {"center_input_sample", false},
      {"class_embed_type", nullptr},
      {"downsample_type", "conv"},
      {"mid_block_scale_factor", 1},
      {"mid_block_type", "UNetMidBlock2D"},
      {"num_class_embeds", nullptr},
      {"num_train_timesteps", nullptr},
      {"resnet_time_scale_shift", "default"},
      {"time_embedding_dim", nullptr},
      {"time_embedding_type", "positional"},
      {"upsample_type", "conv"},
  };
  return fields;
}

// Fields that say nothing about the network.
bool is_bookkeeping(const std::string& key) {
  return key == "_class_name" || key == "_diffusers_version" || key == "_name_or_path";
}

std::vector<bool> attention_of(const Json& types,
                               const std::string& plain,
                               const std::string& attention,
                               std::string_view source) {
  std::vector<bool> flags;
  for (const Json& type : types) {
    const auto name = type.get<std::string>();
    check(name == plain || name == attention, source, ": block type '", name, "' is not supported (", plain, " and ",
          attention, " are)");
    flags.push_back(name == attention);
  }
  return flags;
}

bool is_int64(const Json& field) {
  return field.is_number_integer() && !(field.is_number_unsigned() && field.get<uint64_t>() > uint64_t{INT64_MAX});
}

class FieldReader {
 public:
  FieldReader(const Json& json, std::string_view source) : json_(json), source_(source) {}

  template <class T>
  void read(const char* key, T& value) {
    known_.insert(key);
    if (!json_.contains(key)) {
      return;
    }
    const Json& field = json_.at(key);
    bool fits = true;  // for what get() would round
    if constexpr (std::is_same_v<T, int64_t>) {
      fits = is_int64(field);
    } else if constexpr (std::is_same_v<T, std::vector<int64_t>>) {
      fits = field.is_array() && std::all_of(field.begin(), field.end(), is_int64);
    }
    try {
      if (fits) {
        value = field.get<T>();
      }
    } catch (const Json::exception&) {
      fits = false;
    }
    check(fits, source_, ": field '", key, "' has the wrong type: ", field.dump());
  }

  void refuse_the_rest() const {
    for (const auto& [key, value] : json_.items()) {
      if (known_.count(key) != 0 || is_bookkeeping(key)) {
        continue;
      }
      check(fixed_fields().contains(key), source_, ": field '", key, "' is not known");
      check(value == fixed_fields().at(key), source_, ": ", key, " = ", value.dump(), " is not supported (only ",
            fixed_fields().at(key).dump(), " is)");
    }
  }

 private:
  const Json& json_;
  std::string_view source_;
  std::set<std::string> known_;
};

}  // namespace

namespace {

// Far beyond what is built, and small enough that the sizes of tensors can be computed without overflow.
constexpr int64_t kMostChannels = 65536;
constexpr int64_t kMostLayers = 64;
constexpr int64_t kMostPixels = 16384;

void check_range(const char* name, int64_t value, int64_t low, int64_t high) {
  check(value >= low && value <= high, "unet: ", name, " must be in ", low, "..", high, ", got ", value);
}

}  // namespace

void UNetConfig::validate() const {
  const auto levels = block_out_channels.size();
  check(levels >= 1 && levels <= 16, "unet: block_out_channels must have 1 to 16 entries, got ", levels);
  check(attention.size() == levels, "unet: ", levels, " entries in block_out_channels but ", attention.size(),
        " block types");
  check_range("in_channels", in_channels, 1, kMostChannels);
  check_range("out_channels", out_channels, 1, kMostChannels);
  check_range("layers_per_block", layers_per_block, 1, kMostLayers);
  check_range("norm_num_groups", norm_num_groups, 1, kMostChannels);
  check_range("sample_size", sample_size, 1, kMostPixels);
  check(std::isfinite(norm_eps) && norm_eps > 0, "unet: norm_eps must be positive and finite, got ", norm_eps);
  check(dropout >= 0 && dropout < 1, "unet: dropout must be in [0, 1), got ", dropout);
  check(downsample_padding == 0 || downsample_padding == 1, "unet: downsample_padding must be 0 or 1, got ",
        downsample_padding);
  for (const int64_t channels : block_out_channels) {
    check_range("an entry of block_out_channels", channels, 2, kMostChannels);
    check(channels >= 2 && channels % norm_num_groups == 0, "unet: width ", channels,
          " in block_out_channels must be a positive multiple of norm_num_groups = ", norm_num_groups);
    check(!attention_head_dim || (*attention_head_dim >= 1 && channels % *attention_head_dim == 0), "unet: width ",
          channels, " is not divisible by attention_head_dim = ", attention_head_dim.value_or(0));
  }
  check(block_out_channels[0] % 2 == 0, "unet: the first width must be even for the time features, got ",
        block_out_channels[0]);
  check(sample_size >= 1 && sample_size % total_stride() == 0, "unet: sample_size ", sample_size,
        " is not divisible by ", total_stride(), ", the stride of ", levels, " levels");
}

std::string UNetConfig::to_json() const {
  Json json = fixed_fields();
  json["_class_name"] = "UNet2DModel";
  json["_diffusers_version"] = "0.40.0.dev0";
  json["sample_size"] = sample_size;
  json["in_channels"] = in_channels;
  json["out_channels"] = out_channels;
  json["block_out_channels"] = block_out_channels;
  json["layers_per_block"] = layers_per_block;
  json["attention_head_dim"] = attention_head_dim ? Json(*attention_head_dim) : Json(nullptr);
  json["norm_num_groups"] = norm_num_groups;
  json["norm_eps"] = norm_eps;
  json["dropout"] = dropout;
  json["flip_sin_to_cos"] = flip_sin_to_cos;
  json["freq_shift"] = freq_shift == static_cast<double>(static_cast<int64_t>(freq_shift))
                           ? Json(static_cast<int64_t>(freq_shift))
                           : Json(freq_shift);
  json["downsample_padding"] = downsample_padding;
  Json down = Json::array();
  Json up = Json::array();
  for (size_t i = 0; i < attention.size(); ++i) {
    down.push_back(attention[i] ? "AttnDownBlock2D" : "DownBlock2D");
    up.push_back(attention[attention.size() - 1 - i] ? "AttnUpBlock2D" : "UpBlock2D");
  }
  json["down_block_types"] = down;
  json["up_block_types"] = up;
  return json.dump(2) + "\n";
}

UNetConfig UNetConfig::from_json(std::string_view text, std::string_view source) {
  Json json;
  try {
    json = Json::parse(text);
  } catch (const Json::exception& error) {
    detail::fail(source, ": not valid JSON: ", error.what());
  }
  check(json.is_object(), source, ": expected a JSON object");
  const Json class_name = json.value("_class_name", Json("UNet2DModel"));
  check(class_name == "UNet2DModel", source, ": _class_name ", class_name.dump(),
        " is not supported (\"UNet2DModel\" is)");
  UNetConfig config;
  // diffusers' own defaults where a file leaves a field out.
  config.attention_head_dim = 8;
  config.norm_eps = 1e-5;
  config.flip_sin_to_cos = true;
  config.freq_shift = 0;
  config.downsample_padding = 1;
  FieldReader fields(json, source);
  Json sample_size = config.sample_size;
  Json head_dim = 8;
  Json down = {"DownBlock2D", "AttnDownBlock2D", "AttnDownBlock2D", "AttnDownBlock2D"};
  Json up = {"AttnUpBlock2D", "AttnUpBlock2D", "AttnUpBlock2D", "UpBlock2D"};
  config.block_out_channels = {224, 448, 672, 896};
  fields.read("sample_size", sample_size);
  fields.read("in_channels", config.in_channels);
  fields.read("out_channels", config.out_channels);
  fields.read("block_out_channels", config.block_out_channels);
  fields.read("layers_per_block", config.layers_per_block);
  fields.read("attention_head_dim", head_dim);
  fields.read("norm_num_groups", config.norm_num_groups);
  fields.read("norm_eps", config.norm_eps);
  fields.read("dropout", config.dropout);
  fields.read("flip_sin_to_cos", config.flip_sin_to_cos);
  fields.read("freq_shift", config.freq_shift);
  fields.read("downsample_padding", config.downsample_padding);
  fields.read("down_block_types", down);
  fields.read("up_block_types", up);
  fields.refuse_the_rest();
  check(head_dim.is_null() || is_int64(head_dim), source, ": attention_head_dim must be an integer or null");
  config.attention_head_dim = head_dim.is_null() ? std::nullopt : std::optional<int64_t>(head_dim.get<int64_t>());
  check(is_int64(sample_size), source, ": sample_size must be an integer, got ", sample_size.dump());
  config.sample_size = sample_size.get<int64_t>();
  config.attention = attention_of(down, "DownBlock2D", "AttnDownBlock2D", source);
  const std::vector<bool> mirrored = attention_of(up, "UpBlock2D", "AttnUpBlock2D", source);
  check(std::vector<bool>(mirrored.rbegin(), mirrored.rend()) == config.attention, source,
        ": up_block_types must mirror down_block_types");
  config.validate();
  return config;
}

}  // namespace sfumato
