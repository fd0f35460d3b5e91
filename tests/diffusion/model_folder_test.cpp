// Model folders: diffusers' own are read, and what is written back is theirs to the byte.
#include "diffusion/pipeline/model_folder.h"

#include <chrono>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "catch.h"
#include "diffusion/model/unet.h"
#include "diffusion/pipeline/weights.h"
#include "diffusion/train/trainer.h"
#include "nn/init.h"
#include "tensor/ops/view.h"
#include "tensor/random.h"
#include "tests/io/io_testing.h"

using namespace sfumato;
using namespace sfumato::testing;
namespace fs = std::filesystem;

namespace {

const fs::path golden = fs::path(SFUMATO_SOURCE_DIR) / "tests/golden";

// A pipeline folder of a golden network and a golden scheduler.
void put_pipeline(const fs::path& folder, const std::string& unet, const std::string& pipeline) {
  fs::create_directories(folder / "unet");
  for (const char* file : {"config.json", kWeightsFile}) fs::copy_file(golden / unet / file, folder / "unet" / file);
  fs::copy(golden / "pipelines" / pipeline, folder, fs::copy_options::recursive);
}

void replace_in(const fs::path& path, const std::string& from, const std::string& to) {
  std::string text = get(path);
  const size_t at = text.find(from);
  REQUIRE(at != text.npos);
  put(path, text.replace(at, from.size(), to));
}

void check_same_bits(const NamedTensors& a, const NamedTensors& b) {
  REQUIRE(a.size() == b.size());
  for (size_t i = 0; i < a.size(); ++i) {
    CAPTURE(a[i].first);
    CHECK(a[i].first == b[i].first);
    CHECK(a[i].second.dtype() == b[i].second.dtype());
    CHECK(a[i].second.shape() == b[i].second.shape());
    CHECK(a[i].second.to_vector() == b[i].second.to_vector());
  }
}

}  // namespace

TEST_CASE("model folder: what diffusers wrote is written back byte for byte", "[diffusion][model_folder]") {
  for (const char* unet : {"unet_ddpm", "unet_adagn", "unet_fourier"}) {
    for (const char* scheduler : {"ddpm", "ddim", "dpmsolver"}) {
      CAPTURE(unet, scheduler);
      const TemporaryFolder folder;
      const fs::path in = folder / "in", out = folder / "out";
      put_pipeline(in, unet, scheduler);
      const Pipeline pipeline = load_pipeline(in);
      save_pipeline(out, *pipeline.network, pipeline.network->state_dict(), pipeline.scheduler);
      for (const char* file : {"model_index.json", "scheduler/scheduler_config.json", "unet/config.json"}) {
        CAPTURE(file);
        CHECK(get(out / file) == get(in / file));
      }
      // Names, shapes and dtypes first, which say more when they differ than the bytes that follow.
      const SafetensorsReader theirs(in / "unet" / kWeightsFile), ours(out / "unet" / kWeightsFile);
      CHECK(ours.metadata() == theirs.metadata());
      check_same_bits(theirs.read_all(), ours.read_all());
      CHECK((get(out / "unet" / kWeightsFile) == get(in / "unet" / kWeightsFile)));
      // And once more, from what was written here.
      const Pipeline again = load_pipeline(out);
      save_pipeline(folder / "again", *again.network, again.network->state_dict(), again.scheduler);
      CHECK((get(folder / "again/unet" / kWeightsFile) == get(out / "unet" / kWeightsFile)));
    }
  }
}

namespace {

// The keys of a run that trains the network of a golden folder, as far as keys reach.
TrainConfig training_of(const std::string& unet) {
  TrainConfig config;
  config.batch_size = config.micro_batch = 2;
  config.block_out_channels = {16, 32, 32};
  config.attention = {false, true, false};
  config.norm_num_groups = 8;
  config.gradient_checkpointing = true;  // of which a model says nothing
  config.variance_type = "fixed_small";
  if (unet == "unet_adagn") {
    config.attention_head_dim = 8;
    config.norm_eps = 1e-5;
    config.resnet_time_scale_shift = "scale_shift";
    config.resampling = "resnet";
    config.class_conditional = true;
    config.num_classes = 9;
    config.label_dropout = 0.5;  // a tenth row
  }
  return config;
}

// What training leaves of a run of one step, written as `sfumato train` writes it.
void put_trained(const fs::path& folder, const TrainConfig& config) {
  Trainer trainer(config, {3, 16, 16});
  trainer.step(randn({2, 3, 16, 16}, "images"), config.class_conditional ? zeros({2}, DType::i64) : Tensor());
  ClassList classes{.count = config.num_classes};
  if (config.label_dropout > 0) classes.null_label = config.null_label();
  save_pipeline(folder, trainer.network(), trainer.ema().as_state_dict(trainer.network()), config.scheduler_config(),
                classes);
}

std::vector<std::string> files_in(const fs::path& folder) {
  std::vector<std::string> files;
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    if (entry.is_regular_file()) files.push_back(fs::relative(entry.path(), folder).string());
  }
  std::sort(files.begin(), files.end());
  return files;
}

// The fields whose values are not the same, or which one of them has alone.
std::vector<std::string> different_fields(const fs::path& a, const fs::path& b) {
  const auto first = nlohmann::json::parse(get(a)), second = nlohmann::json::parse(get(b));
  std::vector<std::string> fields;
  for (const auto& [key, value] : first.items()) {
    if (!second.contains(key) || second[key].dump() != value.dump()) fields.push_back(key);
  }
  for (const auto& [key, value] : second.items()) {
    if (!first.contains(key)) fields.push_back(key + " (missing)");
  }
  return fields;
}

}  // namespace

TEST_CASE("model folder: what training writes has diffusers' files, fields, names and shapes",
          "[diffusion][model_folder]") {
  const auto fields = [](const std::string& unet, const fs::path& model) {
    return different_fields(model / "unet/config.json", golden / unet / "config.json");
  };
  for (const std::string unet : {"unet_ddpm", "unet_adagn"}) {
    CAPTURE(unet);
    const TemporaryFolder folder;
    const fs::path model = folder / "model";
    put_trained(model, training_of(unet));
    std::vector<std::string> files{"model_index.json", "scheduler/scheduler_config.json", "unet/config.json",
                                   "unet/diffusion_pytorch_model.safetensors"};
    if (unet == "unet_adagn") files.insert(files.begin(), "classes.json");
    CHECK(files_in(model) == files);
    // To the byte, where the same can be said.
    CHECK(get(model / "model_index.json") == get(golden / "pipelines/ddpm/model_index.json"));
    CHECK(get(model / "scheduler/scheduler_config.json") ==
          get(golden / "pipelines/ddpm/scheduler/scheduler_config.json"));
    // Of ADM's, what no key says: the choice of sinusoids, a learned variance, convolutions at the coarsest level.
    const std::vector<std::string> unsaid{"down_block_types", "downsample_padding", "flip_sin_to_cos",
                                          "freq_shift",       "out_channels",       "up_block_types"};
    CHECK(fields(unet, model) == (unet == "unet_ddpm" ? std::vector<std::string>() : unsaid));
    const SafetensorsReader ours(model / "unet" / kWeightsFile), theirs(golden / unet / kWeightsFile);
    CHECK(ours.metadata() == theirs.metadata());
    // ADM's golden network doubles its coarsest level by a convolution (2 tensors), the keys by a residual block (10).
    CHECK(ours.entries().size() == theirs.entries().size() + (unet == "unet_adagn" ? 8 : 0));
    for (const auto& [name, entry] : theirs.entries()) {
      CAPTURE(name);
      if (unet == "unet_adagn" && name.starts_with("up_blocks.0.upsamplers.0.conv.")) continue;
      REQUIRE(ours.contains(name));
      CHECK(ours.entries().at(name).dtype == entry.dtype);
      if (!name.starts_with("conv_out")) CHECK(ours.entries().at(name).shape == entry.shape);
    }
  }
}

TEST_CASE("model folder: bare folders, and diffusers' first layout", "[diffusion][model_folder]") {
  const TemporaryFolder folder;
  const Pipeline bare = load_pipeline(golden / "unet_ddpm");
  CHECK(bare.scheduler.class_name == "DDPMScheduler");
  for (const char* file : {"config.json", kWeightsFile}) fs::copy_file(golden / "unet_ddpm" / file, folder / file);
  fs::copy_file(golden / "pipelines/ddim/scheduler/scheduler_config.json", folder / "scheduler_config.json");
  CHECK(load_pipeline(folder.path()).scheduler.class_name == "DDIMScheduler");
  CHECK(network_folder(folder.path()) == folder.path());
  fs::remove(folder / kWeightsFile);
  CHECK_THROWS_AS(load_pipeline(folder.path()), MissingInput);
  put(folder / "diffusion_pytorch_model.bin", "pickle");
  CHECK_THAT(message_of<MissingInput>([&] { load_pipeline(folder.path()); }), ContainsSubstring("pickled"));
}

TEST_CASE("model folder: an index that says something else than the folder is refused", "[diffusion][model_folder]") {
  const auto refusal = [](const std::string& from, const std::string& to) {
    const TemporaryFolder folder;
    put_pipeline(folder / "m", "unet_ddpm", "ddpm");
    replace_in(folder / "m/model_index.json", from, to);
    return message_of<FormatError>([&] { load_pipeline(folder / "m"); });
  };
  CHECK(refusal("_diffusers_version", "_module").empty());
  CHECK_THAT(refusal("DDPMPipeline", "LDMPipeline"), ContainsSubstring("_class_name has the value \"LDMPipeline\""));
  CHECK_THAT(refusal("\"unet\"", "\"vqvae\": [\"diffusers\", \"VQModel\"], \"unet\""),
             ContainsSubstring("component vqvae has the value [\"diffusers\",\"VQModel\"]"));
  CHECK_THAT(refusal("DDPMScheduler", "DDIMScheduler"), ContainsSubstring("holds a DDPMScheduler"));
  CHECK_THAT(refusal("UNet2DModel", "UNet2DConditionModel"), ContainsSubstring("UNet2DConditionModel"));
  CHECK_THAT(refusal("{", "["), ContainsSubstring("model_index.json") && ContainsSubstring("not valid JSON"));
  const TemporaryFolder folder;
  put_pipeline(folder / "m", "unet_ddpm", "ddpm");
  put(folder / "m/model_index.json", "[]");
  CHECK_THAT(message_of<FormatError>([&] { load_pipeline(folder / "m"); }), ContainsSubstring("not a JSON object"));
}

TEST_CASE("model folder: legacy attention names and convolutions of one pixel", "[diffusion][model_folder]") {
  const TemporaryFolder folder;
  fs::copy_file(golden / "unet_ddpm/config.json", folder / "config.json");
  const NamedTensors weights = read_weights(golden / "unet_ddpm");
  NamedTensors legacy;
  int renamed = 0;
  for (auto [name, tensor] : weights) {
    for (const auto& [today, old] : std::vector<std::pair<std::string, std::string>>{
             {".to_q.", ".query."}, {".to_k.", ".key."}, {".to_v.", ".value."}, {".to_out.0.", ".proj_attn."}}) {
      const size_t at = name.find(today);
      if (at == name.npos) continue;
      name.replace(at, today.size(), old);
      if (tensor.dim() == 2) tensor = tensor.reshape({tensor.size(0), tensor.size(1), 1, 1});
      ++renamed;
    }
    legacy.emplace_back(name, tensor);
  }
  CHECK(renamed >= 16);
  save_safetensors(folder / kWeightsFile, legacy);
  NamedTensors read = read_weights(folder.path());
  std::sort(read.begin(), read.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
  check_same_bits(read, weights);
  check_same_bits(load_pipeline(folder.path()).network->state_dict(),
                  load_pipeline(golden / "unet_ddpm").network->state_dict());
}

TEST_CASE("model folder: weights of every floating dtype become f32", "[diffusion][model_folder]") {
  const NamedTensors f32 = read_weights(golden / "unet_ddpm");
  for (const DType dtype : {DType::f64, DType::bf16, DType::f32}) {
    const TemporaryFolder folder;
    fs::copy_file(golden / "unet_ddpm/config.json", folder / "config.json");
    NamedTensors stored = f32;
    convert_floating(stored, dtype);
    save_safetensors(folder / kWeightsFile, stored);
    NamedTensors expected = stored;
    convert_floating(expected, DType::f32);
    NamedTensors loaded = load_pipeline(folder.path()).network->state_dict();
    std::sort(loaded.begin(), loaded.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
    check_same_bits(loaded, expected);
  }
}

TEST_CASE("model folder: shards", "[diffusion][model_folder]") {
  const TemporaryFolder folder;
  fs::copy_file(golden / "unet_ddpm/config.json", folder / "config.json");
  const NamedTensors weights = read_weights(golden / "unet_ddpm");
  nlohmann::json map;
  NamedTensors shards[2];
  for (size_t i = 0; i < weights.size(); ++i) {
    map[weights[i].first] = i % 3 == 0 ? "a.safetensors" : "b.safetensors";
    shards[i % 3 == 0 ? 0 : 1].push_back(weights[i]);
  }
  save_safetensors(folder / "a.safetensors", shards[0]);
  save_safetensors(folder / "b.safetensors", shards[1]);
  put(folder / (std::string(kWeightsFile) + ".index.json"), nlohmann::json{{"weight_map", map}}.dump());
  check_same_bits(load_pipeline(folder.path()).network->state_dict(),
                  load_pipeline(golden / "unet_ddpm").network->state_dict());
}

TEST_CASE("model folder: the network of Ho et al. for CIFAR-10 is loaded within 0.2 s", "[.slow][model_folder]") {
  const TemporaryFolder folder;
  UNet net(UNetConfig{});
  initialize(net, 1);
  save_pipeline(folder / "first", net, net.state_dict(), SchedulerConfig{});
  double best = 1e9;
  for (int i = 0; i < 5; ++i) {  // the first one brings the file into the system's cache
    const auto start = std::chrono::steady_clock::now();
    const Pipeline pipeline = load_pipeline(folder / "first");
    best = std::min(best, std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
    if (i == 0) save_pipeline(folder / "second", *pipeline.network, pipeline.network->state_dict(), pipeline.scheduler);
  }
  const fs::path weights = fs::path("unet") / kWeightsFile;
  std::printf("loading %.1f MB: %.3f s\n", static_cast<double>(fs::file_size(folder / "first" / weights)) / 1e6, best);
  CHECK(best < 0.2);
  CHECK(get(folder / "first" / weights) == get(folder / "second" / weights));
}
