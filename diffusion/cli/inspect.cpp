// `sfumato inspect`: the tensors of a file, the modules of a network.
#include "diffusion/cli/inspect.h"

#include <memory>

#include "diffusion/cli/exit_codes.h"
#include "diffusion/cli/options.h"
#include "diffusion/cli/verbs.h"
#include "diffusion/pipeline/model_folder.h"
#include "diffusion/pipeline/weights.h"
#include "tensor/io/file.h"

namespace sfumato::cli {
namespace {

namespace fs = std::filesystem;

fs::path require(const fs::path& path) {
  if (!fs::exists(path)) {
    throw MissingInput(path.string() + " does not exist");
  }
  return path;
}

bool is_config(const fs::path& path) {
  const bool is_index = path.string().ends_with(".index.json");  // of shards
  return !is_index && (path.extension() == ".json" || path.extension() == ".toml");
}

// The file of tensors that a path means, or the index of several.
fs::path tensors_of(const fs::path& path) {
  return fs::is_directory(require(path)) ? weights_path(network_folder(path)) : path;
}

int inspect(const fs::path& path, InspectOptions options) {
  if (!options.diff.empty()) {
    options.diff = tensors_of(options.diff);
    return diff_tensors(tensors_of(path), options);
  }
  if (options.check_finite) {
    return inspect_tensors(tensors_of(path), options);
  }
  if (fs::is_directory(require(path))) {
    return inspect_modules(network_folder(path) / "config.json", options);
  }
  return is_config(path) ? inspect_modules(path, options) : inspect_tensors(path, options);
}

struct InspectArguments {
  std::string path, diff;
  InspectOptions options;
};

}  // namespace

Verb add_inspect(CLI::App& app, Common& common) {
  auto arguments = std::make_shared<InspectArguments>();
  CLI::App* verb = app.add_subcommand("inspect", "Look into a file of tensors or a network");
  verb->add_option("PATH", arguments->path,
                   "A safetensors file or the index of its shards; a model folder, run directory, config.json or .toml")
      ->type_name("FILE|DIR")
      ->required();
  auto* finite = verb->add_flag("--check-finite", arguments->options.check_finite,
                                "Exit with 65 when a tensor has a NaN or an infinity, naming the first ones");
  verb->add_option("--diff", arguments->diff, "Compare with the tensors of this file; exit with 1 when bits differ")
      ->type_name("FILE|DIR")
      ->excludes(finite);
  verb->add_option("--depth", arguments->options.depth, "Of the module tree: how many levels to show")
      ->check(whole_number(0));
  verb->add_option("--sample-shape", arguments->options.sample_shape,
                   "For a run's configuration without a model: the shape of a sample, as 1,28,28")
      ->type_name("C,H,W")
      ->delimiter(',')
      ->check(whole_number(1));
  add_common_options(*verb, common);
  verb->footer(R"(Examples:
  sfumato inspect runs/fashion/model --depth 2
  sfumato inspect runs/fashion/model/unet/diffusion_pytorch_model.safetensors
  sfumato inspect samples.safetensors --check-finite
  sfumato inspect a/model --diff b/model

Tensors are read one at a time. min, max, mean and std (over all values, not n - 1) are those of the finite values. For
a folder, --check-finite and --diff look at its weights. Of a difference, `relative` is the largest |a - b| divided by
the largest |a| or |b| of the tensor; metadata are not compared. Modules: flops of a forward pass of one sample,
multiply-adds count two; bytes of the parameters in f32. A run's configuration leaves the shape of a sample to the data:
without --sample-shape colour images of 32 x 32 or of its image_size are assumed, or points in the plane.)");
  return [arguments, &common] {
    apply(common);
    InspectOptions options = arguments->options;
    options.json = common.json;
    options.diff = arguments->diff;
    return inspect(arguments->path, options);
  };
}

}  // namespace sfumato::cli
