// TrainConfig: everything that decides what a training run computes. Read from TOML (a preset or a file), changed by
// --set key=value, written as config.json into the run directory.
//
//   TrainConfig config = TrainConfig::from_toml(preset_text("fashion-small"), "preset fashion-small");
//   config.set("batch_size=64");
//   config.validate();
//
// Keys are dotted paths: `seed`, `unet.dropout`, `checkpoint.every`. They are listed once, in visit(); an unknown key
// is refused with the nearest known one.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "diffusion/model/mlp.h"
#include "diffusion/model/unet_config.h"
#include "diffusion/schedule/scheduler_config.h"
#include "nn/optim/lr_schedule.h"

namespace sfumato {

// A configuration that cannot be used: unknown key, wrong type, inconsistent values (exit code 78).
class ConfigError : public Error {
 public:
  using Error::Error;
};

// More is not read: no configuration of a person's is longer, and a hostile one takes its size many times over.
inline constexpr size_t kMaxConfigBytes = size_t{256} << 10;

struct TrainConfig {
  int64_t seed = 0;
  int64_t steps = 1000;      // optimiser updates
  int64_t batch_size = 128;  // images per update, over all micro-batches
  int64_t micro_batch = 16;  // images per forward and backward pass; batch_size / micro_batch is a power of two
  double lr = 2e-4;
  int64_t lr_warmup_steps = 0;
  std::string lr_decay = "constant";  // or "cosine", to 0 at the last step
  double beta1 = 0.9;
  double beta2 = 0.999;
  double weight_decay = 0;                // decoupled, as in AdamW
  double max_grad_norm = 1;               // clipping by the global norm; 0: none
  std::string gradient_exchange = "f32";  // or "bf16": gradients and their sums over micro-batches are rounded to it
  double ema_decay = 0.9999;
  bool ema_warmup = true;    // decay min(ema_decay, (1 + k) / (10 + k)) at update k
  double min_snr_gamma = 0;  // 0: the simple loss
  bool horizontal_flip = false;
  int64_t image_size = 0;  // 0: as they are; else how "diffusion/data/open.h" brings images to this height and width
  int64_t channels = 0;    // of a folder of pictures: 1 grey, 3 colours; 0: 3

  bool class_conditional = false;  // the network is told the class of each sample
  int64_t num_classes = 0;         // how many there are; 0: as many as the data have
  double label_dropout = 0;        // the share of labels replaced by one that means "no class" (for guidance)

  std::string network = "unet";  // or "mlp", for points

  std::vector<int64_t> block_out_channels{128, 256, 256, 256};
  std::vector<bool> attention{false, true, false, false};  // per level
  int64_t layers_per_block = 2;
  int64_t attention_head_dim = 0;  // 0: one head
  int64_t norm_num_groups = 32;
  double norm_eps = 1e-6;
  double dropout = 0;
  std::string resnet_time_scale_shift = "default";  // or "scale_shift", adaptive group norm
  std::string resampling = "conv";                  // or "resnet", inside residual blocks
  bool gradient_checkpointing = false;              // blocks are computed again in the backward pass: less memory

  int64_t mlp_width = 128;
  int64_t mlp_depth = 3;
  int64_t mlp_time_embedding_dim = 64;

  int64_t num_train_timesteps = 1000;
  std::string beta_schedule = "linear";
  double beta_start = 1e-4;
  double beta_end = 0.02;
  std::string prediction_type = "epsilon";
  std::string variance_type = "fixed_large";
  std::string timestep_spacing = "leading";
  bool clip_sample = true;

  int64_t checkpoint_every = 0;       // steps; 0: only when interrupted and at the end
  int64_t checkpoint_keep = 2;        // of the newest ones
  int64_t checkpoint_keep_every = 0;  // and every one whose step is a multiple of this; 0: no others
  int64_t sample_every = 0;           // steps; 0: never
  int64_t sample_num = 64;
  int64_t sample_steps = 50;  // of DDIM

  // Reads TOML; `source` names it in errors. Throws ConfigError.
  static TrainConfig from_toml(std::string_view text, const std::string& source);
  // One "key=value" with a TOML value (a bare word counts as a string). Throws ConfigError.
  void set(std::string_view assignment);
  // Throws ConfigError for the first rule that the values break.
  void validate() const;
  // The resolved configuration: JSON with the same dotted structure as the TOML.
  std::string to_json() const;

  int64_t num_micro_batches() const { return batch_size / micro_batch; }
  // The labels that the network takes: the classes and, with label dropout, the one that means "no class"; 0: none.
  // Throws ConfigError while the number of classes is not known.
  int64_t num_labels() const;
  // That one: the last.
  int64_t null_label() const { return num_classes; }
  LrSchedule lr_schedule() const;
  // The network that `network` names for samples of this shape, (C, H, W) or (D). Throws ConfigError.
  std::unique_ptr<DenoisingNetwork> make_network(const Shape& sample) const;
  UNetConfig unet_config(const Shape& image) const;
  MlpConfig mlp_config(const Shape& sample) const;
  SchedulerConfig scheduler_config() const;
};

// A field of TrainConfig by reference.
using ConfigField = std::variant<int64_t*, double*, bool*, std::string*, std::vector<int64_t>*, std::vector<bool>*>;
struct NamedField {
  std::string key;
  ConfigField field;
};
// Every key with its field, in the order of documentation.
std::vector<NamedField> fields_of(TrainConfig& config);

// Presets are compiled in. Throws ConfigError naming those that exist.
std::string_view preset_text(std::string_view name);
std::vector<std::string_view> preset_names();

// The first key at which two resolved configurations (config.json) differ, with both values; empty when none does.
// Throws Error when one is no JSON object.
std::string first_difference(const std::string& json_a, const std::string& json_b);

}  // namespace sfumato
