// The U-Net's configuration: diffusers' fields there and back, and refusals by name.
#include "diffusion/model/unet_config.h"

#include <filesystem>
#include <nlohmann/json.hpp>

#include "catch.h"
#include "io/io_testing.h"
#include "tensor/check.h"
#include "tensor/io/file.h"

using namespace sfumato;
using testing::message_of;
using Json = nlohmann::json;

namespace {

UNetConfig read(const Json& json) { return UNetConfig::from_json(json.dump(), "c.json"); }

// The smallest description of a network, for fields to be added.
Json small() {
  return {{"sample_size", 8},
          {"block_out_channels", {16, 32}},
          {"down_block_types", {"DownBlock2D", "AttnDownBlock2D"}},
          {"up_block_types", {"AttnUpBlock2D", "UpBlock2D"}},
          {"norm_num_groups", 8}};
}

std::string refusal(const std::string& key, const Json& value) {
  Json json = small();
  json[key] = value;
  return message_of<Error>([&] { read(json); });
}

}  // namespace

TEST_CASE("unet config: the golden folders' files come back field by field", "[diffusion][unet]") {
  int files = 0;
  for (const char* name : {"unet_ddpm", "unet_adagn", "unet_fourier"}) {
    CAPTURE(name);
    const auto path = std::filesystem::path(SFUMATO_SOURCE_DIR) / "tests/golden" / name / "config.json";
    const std::string text = read_file(path, size_t{1} << 20);
    // As JSON, because theirs has a list's items on lines of their own or not, as it pleases Python.
    CHECK(Json::parse(UNetConfig::from_json(text, name).to_json()) == Json::parse(text));
    ++files;
  }
  CHECK(files == 3);
}

TEST_CASE("unet config: every field that is read is written again", "[diffusion][unet]") {
  Json json = small();
  json.update({{"_class_name", "UNet2DModel"},
               {"_diffusers_version", "0.40.0.dev0"},
               {"act_fn", "mish"},
               {"add_attention", false},
               {"attention_head_dim", 4},
               {"attn_norm_num_groups", 4},
               {"center_input_sample", true},
               {"class_embed_type", "timestep"},
               {"downsample_padding", 1},
               {"downsample_type", "resnet"},
               {"dropout", 0.25},
               {"flip_sin_to_cos", true},
               {"freq_shift", 0.5},
               {"in_channels", 5},
               {"layers_per_block", 3},
               {"mid_block_scale_factor", 1.5},
               {"mid_block_type", nullptr},
               {"norm_eps", 1e-4},
               {"num_class_embeds", 7},
               {"num_train_timesteps", 500},
               {"out_channels", 10},
               {"resnet_time_scale_shift", "scale_shift"},
               {"sample_size", {8, 4}},
               {"time_embedding_dim", 48},
               {"time_embedding_type", "fourier"},
               {"upsample_type", "resnet"}});
  json["down_block_types"] = {"ResnetDownsampleBlock2D", "AttnDownBlock2D"};
  json["up_block_types"] = {"UpBlock2D", "ResnetUpsampleBlock2D"};
  const UNetConfig config = read(json);
  CHECK(Json::parse(config.to_json()) == json);
  CHECK(config.height() == 8);
  CHECK(config.width() == 4);
  CHECK(config.down_level(0).resampling == Resampling::resnet);
  CHECK(config.down_level(1).attention);
  CHECK(config.down_level(1).resampling == Resampling::resnet);
  CHECK_FALSE(config.up_level(0).attention);
  CHECK(config.up_level(0).resampling == Resampling::conv);
}

TEST_CASE("unet config: what a file leaves out has diffusers' default", "[diffusion][unet]") {
  const UNetConfig config = read(small());
  CHECK(config.attention_head_dim == 8);
  CHECK(config.norm_eps == 1e-5);
  CHECK(config.flip_sin_to_cos);
  CHECK(config.freq_shift == 0);
  CHECK(config.downsample_padding == 1);
  CHECK(config.num_classes() == 0);
  CHECK(config.time_width() == 64);
}

TEST_CASE("unet config: what is not built is refused by name", "[diffusion][unet]") {
  const auto [key, value, text] = GENERATE(table<std::string, Json, std::string>({
      {"act_fn", "tanh", "act_fn 'tanh'"},
      {"down_block_types", {"DownBlock2D", "SkipDownBlock2D"}, "'SkipDownBlock2D'"},
      {"up_block_types", {"UpBlock2D", "KUpBlock2D"}, "'KUpBlock2D'"},
      {"down_block_types", {"DownBlock2D"}, "1 down_block_types"},
      {"time_embedding_type", "learned", "time_embedding_type 'learned'"},
      {"resnet_time_scale_shift", "spatial", "resnet_time_scale_shift 'spatial'"},
      {"class_embed_type", "projection", "class_embed_type 'projection'"},
      {"mid_block_type", "UNetMidBlock2DCrossAttn", "mid_block_type 'UNetMidBlock2DCrossAttn'"},
      {"downsample_type", "pool", "downsample_type 'pool'"},
      {"upsample_type", "pool", "upsample_type 'pool'"},
      {"downsample_padding", 2, "downsample_padding"},
      {"num_class_embeds", 0, "num_class_embeds"},
      {"mid_block_scale_factor", 0, "mid_block_scale_factor"},
      {"attn_norm_num_groups", 5, "attn_norm_num_groups = 5"},
      {"attention_head_dim", 5, "attention_head_dim = 5"},
      {"freq_shift", 8, "freq_shift"},
      {"sample_size", 7, "sample_size 7"},
      {"sample_size", {8, 7}, "8 x 7"},
      {"sample_size", nullptr, "sample_size"},
      {"sample_size", {8, 8, 8}, "sample_size"},
      {"encoder_hid_dim", nullptr, "'encoder_hid_dim' is not known"},
      {"add_attention", 1, "'add_attention' has the wrong type"},
      {"layers_per_block", 2.5, "'layers_per_block' has the wrong type"},
      {"norm_num_groups", nullptr, "'norm_num_groups' has the wrong type"},
      {"block_out_channels", {16, "32"}, "'block_out_channels' has the wrong type"},
  }));
  CAPTURE(key);
  CHECK_THAT(refusal(key, value), ContainsSubstring("c.json") && ContainsSubstring(text));
}
