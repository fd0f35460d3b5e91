// TOML configurations and the JSON files of models, checkpoints and runs, as tokens.
#include <algorithm>
#include <array>
#include <functional>

#include "diffusion/model/mlp.h"
#include "diffusion/model/unet_config.h"
#include "diffusion/pipeline/classes.h"
#include "diffusion/schedule/scheduler_config.h"
#include "diffusion/train/checkpoint.h"
#include "diffusion/train/config.h"
#include "tensor/io/safetensors_shards.h"
#include "tests/fuzz/format.h"
#include "tests/fuzz/mutate.h"
#include "tests/fuzz/one_folder.h"
#include "tests/fuzz/random_safetensors.h"

namespace sfumato::fuzz {
namespace {

constexpr size_t kMostText = size_t{256} << 10;  // what is read of a configuration

constexpr int64_t kFewSteps = 4096;  // of a schedule: its tables are larger than the text that asks for them

constexpr std::array<std::string_view, 18> kTomlWords{
    "seed",    "batch_size", "lr",    "[unet]", "[schedule]", "[checkpoint]", "dropout", "unet.dropout", "\"cosine\"",
    "\"\"\"x", "'''",        "[[a]]", "{a=1}",  "#",          "1979-05-27",   "0b1",     "1_000",        "\"linear\""};

class TomlFormat final : public Format {
 public:
  std::string name() const override { return "toml"; }

  std::vector<std::string> corpus() const override {
    std::vector<std::string> texts;
    for (const std::string_view preset : preset_names()) texts.emplace_back(preset_text(preset));
    texts.emplace_back("seed = 3\nunet.dropout = 0.5\nlr = 1e-4\n[schedule]\nbeta_schedule = 'linear'\n");
    texts.emplace_back(
        "unet = { block_out_channels = [8, 16], attention = [false, true] } # comment\r\nsteps = 0x10\n");
    return texts;
  }
  void mutate(std::string& input, Random& random) const override {
    for (size_t changes = 1 + random.below(3); changes > 0; --changes) {
      random.chance(1, 8) ? mutate_bytes(input, random) : mutate_text(input, kTomlWords, kMostText, random);
    }
  }
  void read(std::string_view input) const override {
    const TrainConfig config = TrainConfig::from_toml(input.substr(0, kMostText), "x.toml");
    if (config.num_train_timesteps <= kFewSteps) config.validate();
  }
  // It is TOML; keys and values are another matter.
  bool passes_header(std::string_view, std::string_view message) const override {
    return message.find("x.toml: line") == message.npos;
  }
};

constexpr std::array<std::string_view, 22> kJsonWords{"\"_class_name\"",
                                                      "\"UNet2DModel\"",
                                                      "\"sample_size\"",
                                                      "\"block_out_channels\"",
                                                      "\"down_block_types\"",
                                                      "\"DownBlock2D\"",
                                                      "\"num_train_timesteps\"",
                                                      "\"trained_betas\"",
                                                      "\"prediction_type\"",
                                                      "\"v_prediction\"",
                                                      "\"variance_type\"",
                                                      "\"weight_map\"",
                                                      "\"metadata\"",
                                                      "\"../x\"",
                                                      "\"count\"",
                                                      "\"names\"",
                                                      "\"null_label\"",
                                                      "\"files\"",
                                                      "\"environment\"",
                                                      "\"step\"",
                                                      "\"bytes\"",
                                                      "-Infinity"};

// One reader of JSON with a good text for it.
struct Reader {
  std::string text;
  std::function<void(std::string_view)> read;
};

// The first byte of an input says which of these it is for.
class JsonFormat final : public Format {
 public:
  JsonFormat() {
    add(UNetConfig{}.to_json(), [](std::string_view text) { UNetConfig::from_json(text, "config.json"); });
    for (const char* name : {"DDPMScheduler", "DDIMScheduler", "DPMSolverMultistepScheduler"}) {
      SchedulerConfig scheduler;
      scheduler.class_name = name;
      add(to_json(scheduler), read_scheduler);
    }
    add(MlpConfig{}.to_json(), [](std::string_view text) { MlpConfig::from_json(text, "config.json"); });
    add(ClassList{.count = 3, .names = {"shirt", "boot", "bag"}, .null_label = 3}.to_json(),
        [](std::string_view text) { ClassList::from_json(text, "classes.json"); });
    add(R"({"metadata": {"total_size": 8}, "weight_map": {"a": "one.safetensors", "b": "two.safetensors"}})",
        [this](std::string_view text) { read_index(text); });
    add(R"({"step": 1, "environment": {"threads": 2}, "files": {"weights.safetensors": {"bytes": 24, "xxh3_128": "0"}}})",
        [this](std::string_view text) { read_manifest(text); });
    add(TrainConfig{}.to_json(),
        [](std::string_view text) { first_difference(std::string(text), TrainConfig{}.to_json()); });
  }

  std::string name() const override { return "json"; }

  std::vector<std::string> corpus() const override {
    std::vector<std::string> texts;
    for (size_t i = 0; i < readers_.size(); ++i) texts.push_back(static_cast<char>('0' + i) + readers_[i].text);
    return texts;
  }

  void mutate(std::string& input, Random& random) const override {
    std::string text = input.substr(1);
    for (size_t changes = 1 + random.below(2); changes > 0; --changes) {
      random.chance(1, 16) ? mutate_bytes(text, random) : mutate_text(text, kJsonWords, kMostText, random);
    }
    input = input[0] + text;
  }

  void read(std::string_view input) const override {
    if (input.empty()) return;
    const auto which = static_cast<unsigned char>(input[0] - '0');
    readers_[which % readers_.size()].read(input.substr(1));
  }

  // A schedule has a few numbers for each of up to a million steps.
  size_t decoded_bytes(std::string_view input) const override {
    const bool schedule = input.starts_with('1') || input.starts_with('2') || input.starts_with('3');
    return schedule ? size_t{64} << 20 : input.size();
  }

  // It is a JSON object; fields and values are another matter.
  bool passes_header(std::string_view, std::string_view message) const override {
    constexpr std::array<std::string_view, 6> first{
        "JSON", "json.exception", "no object weight_map", "not a checkpoint's", "appears twice", "nested"};
    return std::none_of(first.begin(), first.end(),
                        [&](std::string_view text) { return message.find(text) != message.npos; });
  }

 private:
  void add(const std::string& text, std::function<void(std::string_view)> read) {
    readers_.push_back({text, std::move(read)});
  }

  static void read_scheduler(std::string_view text) {
    const SchedulerConfig config = parse_scheduler_config(text);
    if (config.schedule.num_train_timesteps <= kFewSteps) config.make_schedule();
  }

  void read_index(std::string_view text) const {
    static const std::string one = safetensors_file(R"({"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}})", "abcd");
    static const std::string two = safetensors_file(R"({"b":{"dtype":"F32","shape":[],"data_offsets":[0,4]}})", "abcd");
    folder_.set({{"m/i.json", text}, {"m/one.safetensors", one}, {"m/two.safetensors", two}});
    const FileSystemScope scope(folder_);
    ShardedSafetensors("m/i.json").read_all();
  }

  void read_manifest(std::string_view text) const {
    static const std::string empty = safetensors_file("{}      ", "");
    folder_.set({{"c/step-1/manifest.json", text},
                 {"c/step-1/weights.safetensors", empty},
                 {"c/step-1/optimizer.safetensors", empty},
                 {"c/step-1/ema.safetensors", empty}});
    const FileSystemScope scope(folder_);
    CheckpointFolder("c").load(1);
  }

  std::vector<Reader> readers_;
  mutable OneFolder folder_;
};

}  // namespace

std::unique_ptr<Format> make_toml_format() { return std::make_unique<TomlFormat>(); }
std::unique_ptr<Format> make_json_format() { return std::make_unique<JsonFormat>(); }

}  // namespace sfumato::fuzz
