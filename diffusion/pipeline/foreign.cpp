// Conversion in three steps: the layout (levels, blocks, attention) from the names; the tables give each tensor its new
// name; the rest of the configuration from shapes.
#include "diffusion/pipeline/foreign.h"

#include <algorithm>
#include <map>

#include "diffusion/pipeline/foreign_names.h"
#include "tensor/ops/join.h"
#include "tensor/ops/view.h"

namespace sfumato {
namespace {

template <class... Parts>
[[noreturn]] void refuse(const Parts&... parts) {
  throw FormatError(detail::join_parts("convert: ", parts...));
}

// Their tensors, taken one by one, so that what is left over has no rule.
class Source {
 public:
  explicit Source(const NamedTensors& tensors) {
    for (const auto& [name, tensor] : tensors) {
      if (!tensors_.emplace(name, tensor).second) refuse("two tensors are called '", name, "'");
    }
  }
  bool has(const std::string& name) const { return tensors_.contains(name); }
  const Tensor& get(const std::string& name) const {
    const auto found = tensors_.find(name);
    if (found == tensors_.end()) refuse("tensor '", name, "' is missing");
    return found->second;
  }
  Tensor take(const std::string& name) {
    const Tensor tensor = get(name);
    tensors_.erase(name);
    return tensor;
  }
  void refuse_the_rest() const {
    if (tensors_.empty()) return;
    const auto& [name, tensor] = *tensors_.begin();
    refuse("no rule takes tensor '", name, "' ", tensor.shape(), tensors_.size() > 1 ? " and " : "",
           tensors_.size() > 1 ? std::to_string(tensors_.size() - 1) + " more" : "");
  }

 private:
  std::map<std::string, Tensor> tensors_;
};

struct Layout {
  size_t levels = 0, layers = 0;
  std::vector<int64_t> widths = {};
  std::vector<bool> attention = {};
  Resampling resampling = Resampling::conv;
};

// How many of base0, base1, ... (each followed by `rest`) there are.
size_t count(const Source& source, const std::string& base, const std::string& rest) {
  size_t n = 0;
  while (source.has(base + std::to_string(n) + rest)) ++n;
  return n;
}

Layout openai_layout(const Source& source) {
  const size_t blocks = count(source, "output_blocks.", ".0.in_layers.0.weight");
  Layout layout{.levels = 1};
  for (size_t n = 0; n < blocks; ++n) {
    for (const char* after : {".1", ".2"}) {
      const std::string name = "output_blocks." + std::to_string(n) + after;
      const bool resnet = source.has(name + ".in_layers.0.weight");
      layout.levels += resnet || source.has(name + ".conv.weight") ? 1 : 0;
      if (resnet) layout.resampling = Resampling::resnet;
    }
  }
  if (blocks == 0 || blocks % layout.levels != 0 || blocks / layout.levels < 2) {
    refuse("not OpenAI's U-Net, or one that halves images without weights (conv_resample = False): ", blocks,
           " output blocks on ", layout.levels, " levels");
  }
  layout.layers = blocks / layout.levels - 1;
  for (size_t level = 0; level < layout.levels; ++level) {
    const std::string block = "input_blocks." + std::to_string(1 + level * (layout.layers + 1));
    layout.widths.push_back(source.get(block + ".0.out_layers.3.bias").numel());
    layout.attention.push_back(source.has(block + ".1.qkv.weight"));
  }
  return layout;
}

Layout ho_layout(const Source& source) {
  Layout layout{.levels = count(source, "down.", ".block.0.conv1.weight"),
                .layers = count(source, "down.0.block.", ".conv1.weight")};
  if (layout.levels == 0) refuse("not Ho et al.'s U-Net: tensor 'down.0.block.0.conv1.weight' is missing");
  for (size_t level = 0; level < layout.levels; ++level) {
    const std::string name = "down." + std::to_string(level);
    layout.widths.push_back(source.get(name + ".block.0.conv2.bias").numel());
    layout.attention.push_back(source.has(name + ".attn.0.q.weight"));
  }
  return layout;
}

// The rows of q, k or v (0, 1, 2) in a fused weight or bias, (3C, ...).
Tensor rows_of(const Tensor& fused, int64_t which, int64_t heads, bool new_order, const std::string& name) {
  if (fused.dim() < 1 || fused.size(0) % (3 * heads) != 0) {
    refuse("tensor '", name, "' ", fused.shape(), " cannot be split into q, k and v of ", heads, " heads");
  }
  const int64_t channels = fused.size(0) / 3, width = channels / heads;
  if (new_order) return narrow(fused, 0, which * channels, channels).contiguous();
  std::vector<Tensor> rows;
  for (int64_t head = 0; head < heads; ++head) {
    rows.push_back(narrow(fused, 0, (3 * head + which) * width, width));
  }
  return cat(rows, 0);
}

// Fills `weights` by the tables.
class Mapper {
 public:
  Mapper(Source& source, const Naming& naming, const ForeignOptions& options)
      : source_(source), naming_(naming), options_(options) {}

  NamedTensors map(const Layout& layout) {
    for (const NamePair& layer : naming_.layers) {
      if (source_.has(std::string(layer.theirs) + ".weight")) add_layer(layer.theirs, layer.ours);
    }
    for (size_t level = 0; level < layout.levels; ++level) add_level(layout, level);
    add_resnet(naming_.mid_resnet_1, {});
    add_attention(naming_.mid_attention, {});
    add_resnet(naming_.mid_resnet_2, {});
    source_.refuse_the_rest();
    return std::move(weights_);
  }

 private:
  void add_level(const Layout& layout, size_t level) {
    const bool attention = layout.attention[level], resnet = layout.resampling == Resampling::resnet;
    PlaceIndices at{.level = level, .up = layout.levels - 1 - level, .after = attention ? size_t{2} : 1};
    at.in = 1 + level * (layout.layers + 1);
    for (at.i = 0; at.i < layout.layers; ++at.i, ++at.in) {
      add_resnet(naming_.down_resnet, at);
      if (attention) add_attention(naming_.down_attention, at);
    }
    if (level + 1 < layout.levels) {
      resnet ? add_resnet(naming_.resnet_downsample, at) : add_layer(naming_.downsample, at);
    }
    at.out = at.up * (layout.layers + 1);
    for (at.i = 0; at.i <= layout.layers; ++at.i, ++at.out) {
      add_resnet(naming_.up_resnet, at);
      if (attention) add_attention(naming_.up_attention, at);
    }
    --at.out;
    if (level > 0) resnet ? add_resnet(naming_.resnet_upsample, at) : add_layer(naming_.upsample, at);
  }

  void add_layer(const NamePair& names, const PlaceIndices& at) {
    add_layer(place(names.theirs, at), place(names.ours, at));
  }

  void add_layer(const std::string& theirs, const std::string& ours) {
    weights_.emplace_back(ours + ".weight", source_.take(theirs + ".weight"));
    if (source_.has(theirs + ".bias")) weights_.emplace_back(ours + ".bias", source_.take(theirs + ".bias"));
  }

  void add_resnet(const NamePair& names, const PlaceIndices& at) {
    const std::string theirs = place(names.theirs, at) + ".", ours = place(names.ours, at) + ".";
    for (const NamePair& layer : naming_.resnet) {
      const bool optional = std::string_view(layer.ours) == "conv_shortcut";
      if (!optional || source_.has(theirs + layer.theirs + ".weight")) {
        add_layer(theirs + layer.theirs, ours + layer.ours);
      }
    }
  }

  void add_attention(const NamePair& names, const PlaceIndices& at) {
    const std::string theirs = place(names.theirs, at) + ".", ours = place(names.ours, at) + ".";
    int64_t shared = 0;  // how many of q, k and v have been cut out of a fused layer
    for (const NamePair& layer : naming_.attention) {
      const std::string from = theirs + layer.theirs, to = ours + layer.ours;
      if (std::string_view(layer.theirs) == "qkv") {
        for (const char* kind : {".weight", ".bias"}) {
          const Tensor fused = shared < 2 ? source_.get(from + kind) : source_.take(from + kind);
          const int64_t heads = heads_of(fused.numel() > 0 ? fused.size(0) / 3 : 0);
          weights_.emplace_back(to + kind, rows_of(fused, shared, heads, options_.new_attention_order, from + kind));
        }
        ++shared;
      } else {
        add_layer(from, to);
      }
    }
  }

  int64_t heads_of(int64_t channels) const {
    if (options_.num_head_channels > 0) {
      check(channels % options_.num_head_channels == 0, "convert: ", channels,
            " channels of attention are not divisible by --num-head-channels ", options_.num_head_channels);
      return channels / options_.num_head_channels;
    }
    check(options_.num_heads > 0,
          "convert: the weights do not tell the number of attention heads: give --num-heads or "
          "--num-head-channels");
    return options_.num_heads;
  }

  Source& source_;
  const Naming& naming_;
  const ForeignOptions& options_;
  NamedTensors weights_;
};

const Tensor* find(const NamedTensors& weights, std::string_view name) {
  const auto found =
      std::find_if(weights.begin(), weights.end(), [&](const auto& entry) { return entry.first == name; });
  return found == weights.end() ? nullptr : &found->second;
}

int64_t size_of(const NamedTensors& weights, std::string_view name, int64_t dim) {
  const Tensor* tensor = find(weights, name);
  if (tensor == nullptr || tensor->dim() <= dim) refuse("nothing gives ", name, ", or it has too few dimensions");
  return tensor->size(dim);
}

// Attention layers are matrices in diffusers, whatever convolutions of one pixel they have been.
void squeeze_attention(NamedTensors& weights) {
  for (auto& [name, tensor] : weights) {
    if (name.find(".attentions.") == name.npos || !name.ends_with(".weight") || tensor.dim() <= 2) continue;
    const int64_t rows = tensor.size(0), columns = tensor.size(1);
    if (tensor.numel() != rows * columns)
      refuse("the weight for ", name, " is no convolution of one pixel: ", tensor.shape());
    tensor = tensor.reshape({rows, columns});
  }
}

// What names and shapes tell.
UNetConfig config_of(const NamedTensors& weights, const Layout& layout, const ForeignOptions& options) {
  UNetConfig config;
  config.sample_size = options.sample_size;
  config.in_channels = size_of(weights, "conv_in.weight", 1);
  config.out_channels = size_of(weights, "conv_out.weight", 0);
  config.block_out_channels = layout.widths;
  config.layers_per_block = static_cast<int64_t>(layout.layers);
  config.norm_num_groups = options.norm_num_groups;
  config.set_levels(layout.attention, layout.resampling);
  const int64_t time_width = size_of(weights, "time_embedding.linear_1.weight", 0);
  if (time_width != 4 * layout.widths[0]) config.time_embedding_dim = time_width;
  if (size_of(weights, "down_blocks.0.resnets.0.time_emb_proj.weight", 0) == 2 * layout.widths[0]) {
    config.resnet_time_scale_shift = "scale_shift";
    config.attn_norm_num_groups = options.norm_num_groups;  // else diffusers builds that attention without a norm
  }
  if (find(weights, "class_embedding.weight") != nullptr) {
    config.num_class_embeds = size_of(weights, "class_embedding.weight", 0);
  }
  return config;
}

// diffusers has one width of heads for the whole network.
int64_t head_width(const Layout& layout, const ForeignOptions& options) {
  if (options.num_head_channels > 0) return options.num_head_channels;
  const int64_t width = layout.widths.back() / options.num_heads;
  for (size_t level = 0; level < layout.levels; ++level) {
    check(!layout.attention[level] || layout.widths[level] == layout.widths.back(), "convert: ", options.num_heads,
          " heads at widths ", layout.widths[level], " and ", layout.widths.back(),
          " are not of one width, which is all that UNet2DModel can say");
  }
  return width;
}

}  // namespace

ForeignModel from_openai(const NamedTensors& tensors, const ForeignOptions& options) {
  Source source(tensors);
  const Layout layout = openai_layout(source);
  ForeignModel model;  // gcc 12 destroys a half-built aggregate twice, so it is filled step by step
  model.weights = Mapper(source, openai_naming(), options).map(layout);
  squeeze_attention(model.weights);
  model.config = config_of(model.weights, layout, options);
  model.config.attention_head_dim = head_width(layout, options);
  model.config.norm_eps = 1e-5;
  model.config.flip_sin_to_cos = true;
  model.config.freq_shift = 0;
  model.config.downsample_padding = 1;
  model.config.validate();
  return model;
}

ForeignModel from_ho(const NamedTensors& tensors, const ForeignOptions& options) {
  NamedTensors renamed;
  for (const auto& [name, tensor] : tensors) {
    // TensorFlow's layouts: convolutions (height, width, in, out), matrices (in, out).
    const bool theirs = name.ends_with("/W");
    Tensor values = tensor;
    if (theirs && tensor.dim() == 4) values = permute(tensor, {3, 2, 0, 1}).contiguous();
    if (theirs && tensor.dim() == 2) values = transpose(tensor, 0, 1).contiguous();
    const std::string port = port_name(name);
    if (theirs && port.ends_with("nin_shortcut.weight"))
      values = values.reshape({values.size(0), values.size(1), 1, 1});
    renamed.emplace_back(port, values);
  }
  Source source(renamed);
  const Layout layout = ho_layout(source);
  ForeignModel model;
  model.weights = Mapper(source, ho_naming(), options).map(layout);
  squeeze_attention(model.weights);
  model.config = config_of(model.weights, layout, options);
  model.config.validate();
  return model;
}

}  // namespace sfumato
