// `sfumato train`: from data and a configuration to a model folder.
#include <fmt/format.h>

#include <chrono>
#include <csignal>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <numeric>

#include "diffusion/cli/exit_codes.h"
#include "diffusion/cli/options.h"
#include "diffusion/cli/ranks.h"
#include "diffusion/cli/train.h"
#include "diffusion/cli/verbs.h"
#include "diffusion/data/open.h"
#include "diffusion/pipeline/picture.h"
#include "diffusion/pipeline/sample.h"
#include "diffusion/train/checkpoint_writer.h"
#include "diffusion/train/config.h"
#include "diffusion/train/environment.h"
#include "diffusion/train/progress.h"
#include "diffusion/train/run_directory.h"
#include "diffusion/train/signals.h"
#include "diffusion/train/trainer.h"
#include "nn/data/loader.h"
#include "tensor/allocator.h"
#include "tensor/io/file.h"
#include "tensor/io/json.h"
#include "tensor/parallel.h"

namespace sfumato::cli {
namespace {

// Steps in a row with a non-finite loss or gradient after which a run has diverged.
constexpr int kMaxSkippedInARow = 10;

TrainConfig resolve_config(const TrainArguments& arguments) {
  TrainConfig config;
  if (!arguments.preset.empty()) {
    config = TrainConfig::from_toml(preset_text(arguments.preset), "preset " + arguments.preset);
  } else if (!arguments.config_file.empty()) {
    config = TrainConfig::from_toml(read_file(arguments.config_file, kMaxConfigBytes), arguments.config_file);
  }
  for (const std::string& assignment : arguments.assignments) {
    config.set(assignment);
  }
  config.steps = arguments.steps.value_or(config.steps);
  config.seed = arguments.seed.value_or(config.seed);
  config.validate();
  return config;
}

// One call of `sfumato train`: the pieces of a run and the loop around them.
class TrainCommand {
 public:
  TrainCommand(const TrainArguments& arguments, Common& common)
      : arguments_(arguments),
        common_(common),
        group_(common.join()),
        config_(resolve_config(arguments)),
        run_(arguments.out) {}

  int run() {
    check_rank_count(group_.size(), config_.num_micro_batches());
    if (group_.is_root() && run_.exists() && !arguments_.resume && !arguments_.force) {
      throw CannotCreate("run directory " + arguments_.out +
                         " exists already (--resume goes on with it, --force replaces it)");
    }
    if (arguments_.resume && as_rank_0([&] { return is_finished(); })) {
      say("run " + arguments_.out + " is finished: nothing to do");
      return kOk;
    }
    dataset_ = open_data();
    resolve_classes();
    greet(group_, fmt::format("{}{}{} samples", config_.to_json(), environment_json(), dataset_->size()),
          [&](const std::string& line) { say(line); });
    trainer_ = std::make_unique<Trainer>(config_, dataset_->sample_shape(), group_, trainer_options());
    prepare_directory();
    install_stop_handlers();
    const int code = loop();
    if (code == kOk) {
      finish();
    }
    return code;
  }

 private:
  // Rank 0 alone speaks and writes.
  void say(const std::string& text) const {
    if (group_.is_root()) {
      std::fputs((text + "\n").c_str(), stderr);
    }
  }

  // What rank 0 finds in the run directory, for all.
  bool as_rank_0(const std::function<bool()>& question) {
    char answer = group_.is_root() && question() ? 1 : 0;
    group_.broadcast(&answer, sizeof(answer));
    return answer != 0;
  }

  TrainerOptions trainer_options() const {
    return {.zero1 = arguments_.zero1,
            .overlap = !arguments_.plain_exchange,
            .bucket_bytes = static_cast<int64_t>(arguments_.bucket_mib * (1 << 20))};
  }

  std::shared_ptr<const Dataset> open_data() const {
    auto data = cli::open_data(arguments_.data, {.image_size = config_.image_size, .channels = config_.channels});
    if (config_.batch_size > data->size()) {
      throw ConfigError(fmt::format("batch_size {} is larger than the data: '{}' has {} samples", config_.batch_size,
                                    arguments_.data, data->size()));
    }
    if (config_.horizontal_flip && data->sample_shape().rank() == 1) {
      throw ConfigError("horizontal_flip is for images, but '" + arguments_.data + "' holds points");
    }
    return data;
  }

  // What the configuration leaves to the data: the number of classes.
  void resolve_classes() {
    if (!config_.class_conditional) {
      return;
    }
    if (!dataset_->has_labels()) {
      throw ConfigError("class_conditional = true, but '" + arguments_.data + "' has no labels");
    }
    const int64_t classes = dataset_->num_classes();
    if (config_.num_classes != 0 && config_.num_classes < classes) {
      throw ConfigError(fmt::format("num_classes = {}, but '{}' has {} classes (0 takes the number from the data)",
                                    config_.num_classes, arguments_.data, classes));
    }
    config_.num_classes = std::max(config_.num_classes, classes);
  }

  // The classes as the model folder tells them.
  ClassList class_list() const {
    if (!config_.class_conditional) {
      return {};
    }
    ClassList classes{.count = config_.num_classes, .names = dataset_->class_names()};
    if (static_cast<int64_t>(classes.names.size()) != classes.count) {
      classes.names.clear();
    }
    if (config_.label_dropout > 0) {
      classes.null_label = config_.null_label();
    }
    return classes;
  }

  // The model is there and was made by this configuration.
  bool is_finished() const {
    return std::filesystem::exists(run_.model()) && std::filesystem::exists(run_.config()) &&
           first_difference(saved_config(), like_saved(config_).to_json()).empty();
  }

  // With the number of classes that the run found in its data, where this call leaves it to them.
  TrainConfig like_saved(TrainConfig wanted) const {
    if (wanted.class_conditional && wanted.num_classes == 0) {
      const auto saved = nlohmann::json::parse(saved_config());
      wanted.num_classes = saved.value("num_classes", int64_t{0});
    }
    return wanted;
  }

  // The resolved configuration that the run was made with.
  std::string saved_config() const {
    std::string text = read_file(run_.config(), kMaxConfigBytes);
    if (!parse_json(text, run_.config().string()).is_object()) {
      throw FormatError(run_.config().string() + ": not a JSON object");
    }
    return text;
  }

  void prepare_directory() {
    if (group_.is_root() && arguments_.force &&
        !arguments_.resume) {  // the first call may have had --force: a resume must not
      run_.clear();
    }
    if (arguments_.resume && as_rank_0([&] { return std::filesystem::exists(run_.config()); })) {
      load_checkpoint();
    }
    if (group_.is_root()) {
      skipped_ = run_.truncate_metrics(trainer_->step_count());
      run_.create(config_);
    }
  }

  void load_checkpoint() {
    std::optional<CheckpointContents> newest;
    if (group_.is_root()) {
      require_same_config();
      newest = run_.checkpoints().load_newest([&](const std::string& text) { say("warning: " + text); });
    }
    share(group_, newest);
    if (!newest) {
      return;
    }
    if (const std::string difference = first_difference(newest->environment, environment_json()); !difference.empty()) {
      if (!arguments_.allow_mismatch) {
        throw ConfigError("--resume: the checkpoint of step " + std::to_string(newest->step) +
                          " was written under other conditions, so the bits would differ: " + difference +
                          " (--allow-mismatch goes on all the same)");
      }
      say("warning: resuming under other conditions, the bits will differ: " + difference);
    }
    trainer_->load(*newest);
    say(fmt::format("resuming {} at step {}", arguments_.out, trainer_->step_count()));
  }

  // Only `steps` may differ, and only where the learning rate does not depend on it.
  void require_same_config() const {
    const std::string saved = saved_config();
    TrainConfig wanted = config_;
    if (config_.lr_decay == "constant") {
      wanted.steps = nlohmann::json::parse(saved).value("steps", config_.steps);
      if (wanted.steps > config_.steps) {
        throw ConfigError(fmt::format("--resume: steps may grow but not shrink, the run has {} and {} were asked for",
                                      wanted.steps, config_.steps));
      }
    }
    const std::string difference = first_difference(saved, wanted.to_json());
    if (!difference.empty()) {
      throw ConfigError("--resume: the run in " + arguments_.out + " has another configuration: " + difference);
    }
  }

  int loop() {
    DataLoader loader(dataset_, {.batch_size = config_.batch_size,
                                 .first_row = trainer_->first_row(),
                                 .num_rows = trainer_->num_rows(),
                                 .seed = static_cast<uint64_t>(config_.seed),
                                 .first_step = trainer_->step_count(),
                                 .horizontal_flip = config_.horizontal_flip});
    std::ofstream metrics;
    if (group_.is_root()) {
      metrics.open(run_.metrics(), std::ios::app);
    }
    CheckpointWriter writer(run_.checkpoints(), checkpoint_policy());
    Progress progress("train", config_.steps, trainer_->step_count(), config_.batch_size,
                      dataset_->sample_shape().rank() > 1 ? "images" : "points");
    const auto start = std::chrono::steady_clock::now();
    bool learned = trainer_->step_count() == config_.steps;
    while (trainer_->step_count() < config_.steps) {
      const Batch batch = loader.next();
      const Tensor labels = config_.class_conditional ? batch.labels : Tensor();
      const StepResult result = trainer_->step(batch.images, labels);
      samples_processed_ += batch.images.size(0);
      skipped_.count(result.skipped);
      log(metrics, result, progress);
      learned |= !result.skipped;
      if (skipped_.in_a_row >= kMaxSkippedInARow) {
        progress.finish();
        say_diverged(result.step, trainer_->explain_skip(batch.images, labels));
        return kDiverged;
      }
      if (due(arguments_.check_ranks_every, result.step)) {
        trainer_->check_ranks();
      }
      if (due(config_.sample_every, result.step)) {
        save_samples(result.step);
      }
      const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - start;
      const bool late = arguments_.time_limit_minutes > 0 && elapsed.count() > arguments_.time_limit_minutes * 60;
      const Stop why = agree(group_, {.signal = stop_signal(), .time_is_up = late});
      if (why.signal != 0 && result.step < config_.steps) {
        wait_for(writer, progress);
        return stop(why.signal, progress);
      }
      if (due(config_.checkpoint_every, result.step)) {
        const CheckpointContents contents = trainer_->checkpoint();
        if (group_.is_root()) {
          writer.save(contents);
        }
      }
      if (const auto problem = writer.problem()) {
        progress.message("warning: no checkpoint, training goes on: " + *problem);
      }
      if (why.time_is_up && result.step < config_.steps) {
        progress.finish();
        say(fmt::format("time limit reached at step {} of {}: finishing with what was learned", result.step,
                        config_.steps));
        break;
      }
    }
    wait_for(writer, progress);
    progress.finish();
    if (!learned) {
      say("sfumato: diverged: loss or gradient not finite in every step");
      return kDiverged;
    }
    return kOk;
  }

  // `bad_op`: the first one in this rank's rows, if there is one.
  void say_diverged(int64_t step, const std::string& bad_op) const {
    if (!group_.is_root() && !bad_op.empty()) {
      std::fputs(fmt::format("sfumato: rank {}: the first bad op is {}\n", group_.rank(), bad_op).c_str(), stderr);
    }
    say(fmt::format("sfumato: diverged: loss or gradient not finite in {} steps up to {}; {}", skipped_.in_a_row, step,
                    bad_op.empty() ? "no op here made it: a sum overflowed, or it was in another rank's rows"
                                   : "the first bad op is " + bad_op));
  }

  static bool due(int64_t every, int64_t step) { return every > 0 && step % every == 0; }

  void log(std::ofstream& metrics, const StepResult& result, Progress& progress) {
    if (!group_.is_root()) {
      return;
    }
    const std::string skips = skipped_.total > 0 ? fmt::format(" ({} steps skipped)", skipped_.total) : "";
    progress.update(result.step, fmt::format("loss {:.4f}{}", result.loss, skips));
    nlohmann::ordered_json line{{"step", result.step},
                                {"loss", result.loss},
                                {"grad_norm", result.grad_norm},
                                {"lr", result.lr},
                                {"samples_per_second", progress.units_per_second()},
                                {"seconds", result.seconds}};
    if (group_.size() > 1) {
      line["waited"] = result.waited;
    }
    if (result.skipped) {
      line["skipped"] = true;
      progress.message(fmt::format("warning: step {} skipped: loss {} or gradient norm {} is not finite", result.step,
                                   result.loss, result.grad_norm));
    }
    metrics << line.dump() << std::endl;
    if (!metrics) {
      throw IoError("cannot write " + run_.metrics().string());
    }
  }

  void save_samples(int64_t step) {
    const EmaScope scope(trainer_->ema());
    trainer_->network().eval();
    SampleOptions options{.num = config_.sample_num,
                          .sampler = "ddim",
                          .steps = config_.sample_steps,
                          .seed = static_cast<uint64_t>(config_.seed),
                          .group = &group_};
    int64_t columns = 0;
    if (config_.class_conditional) {  // a row for each class
      std::vector<int64_t> classes(static_cast<size_t>(std::min(config_.num_classes, config_.sample_num)));
      std::iota(classes.begin(), classes.end(), 0);
      columns = config_.sample_num / static_cast<int64_t>(classes.size());
      options.labels = labels_by_class(classes, columns);
      options.num = options.labels.numel();
    }
    const Tensor samples = draw_samples(trainer_->network(), config_.scheduler_config(), options);
    trainer_->network().train();
    if (!group_.is_root()) {
      return;
    }
    save_picture(run_.samples() / fmt::format("step-{}.png", step), samples, dataset_.get(), columns);
  }

  CheckpointPolicy checkpoint_policy() const {
    return {.keep = config_.checkpoint_keep, .keep_every = config_.checkpoint_keep_every};
  }

  // Lets the writer finish; what it failed with is said, and the save that follows will tell whether it lasts.
  static void wait_for(CheckpointWriter& writer, Progress& progress) {
    try {
      writer.wait();
    } catch (const std::exception& error) {
      progress.message(std::string("warning: no checkpoint: ") + error.what());
    }
  }

  void save_checkpoint_now() {
    const CheckpointContents contents = trainer_->checkpoint();
    if (group_.is_root()) {
      run_.checkpoints().save(contents, checkpoint_policy());
    }
  }

  int stop(int signal, Progress& progress) {
    progress.finish();
    save_checkpoint_now();
    say_samples_processed();
    say(fmt::format("stopped after step {}; the same command with --resume goes on from there",
                    trainer_->step_count()));
    return signal == SIGINT ? kInterrupted : kPreempted;
  }

  void say_samples_processed() {
    if (const std::string text = images_of_ranks(group_, samples_processed_); !text.empty()) {
      say(text);
    }
  }

  void finish() {
    save_checkpoint_now();
    say_samples_processed();
    if (!group_.is_root()) {
      return;
    }
    save_pipeline(run_.model(), trainer_->network(), trainer_->ema().as_state_dict(trainer_->network()),
                  config_.scheduler_config(), class_list());
    const size_t peak = allocator_stats().peak_bytes;
    say(fmt::format("model written to {} (peak tensor memory {:.3f} GiB)", run_.model().string(),
                    static_cast<double>(peak) / static_cast<double>(1 << 30)));
    if (skipped_.total > 0) {
      say(fmt::format("warning: {} of {} steps were skipped: their loss or gradient was not finite", skipped_.total,
                      trainer_->step_count()));
    }
    if (common_.json) {
      const nlohmann::json result{{"model", run_.model().string()},
                                  {"steps", trainer_->step_count()},
                                  {"skipped_steps", skipped_.total},
                                  {"peak_bytes", peak},
                                  {"ranks", group_.size()}};
      std::puts(result.dump().c_str());
    }
  }

  const TrainArguments& arguments_;
  const Common& common_;
  ProcessGroup& group_;
  TrainConfig config_;
  RunDirectory run_;
  std::shared_ptr<const Dataset> dataset_;
  std::unique_ptr<Trainer> trainer_;
  int64_t samples_processed_ = 0;  // by this rank
  SkippedSteps skipped_;
};

}  // namespace

int train(const TrainArguments& arguments, Common& common) { return TrainCommand(arguments, common).run(); }

}  // namespace sfumato::cli
