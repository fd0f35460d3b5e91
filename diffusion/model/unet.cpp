// The U-Net as a whole: embeddings, the way down, the middle, the way up.
#include "diffusion/model/unet.h"

#include "tensor/dry_run.h"

namespace sfumato {
namespace {

UNetConfig validated(const UNetConfig& config) {
  config.validate();
  return config;
}

}  // namespace

UNet::UNet(const UNetConfig& config)
    : config_(validated(config)),
      conv_in(config.in_channels, config.block_out_channels.front(), 3, {.padding = 1}),
      time_embedding(config.time_features(), config.time_width()),
      conv_norm_out(config.norm_num_groups, config.block_out_channels.front(), config.norm_eps),
      conv_out(config.block_out_channels.front(), config.out_channels, 3, {.padding = 1}, /*bias=*/true, Init::zeros) {
  if (config.fourier()) {
    time_proj.emplace(config.block_out_channels.front());
  }
  if (config.num_classes() > 0) {
    class_rows.emplace(config.num_classes(), config.time_width());
  } else if (config.class_embed_type == "timestep") {
    class_mlp.emplace(config.time_features(), config.time_width());
  }
  const auto& widths = config.block_out_channels;
  const size_t levels = config.levels();
  std::vector<int64_t> skips{widths[0]};  // as they will be pushed on the way down
  int64_t channels = widths[0];
  for (size_t level = 0; level < levels; ++level) {
    const bool last = level + 1 == levels;
    down_blocks.emplace_back(channels, widths[level], config.down_level(level), !last, config);
    channels = widths[level];
    skips.insert(skips.end(), static_cast<size_t>(config.layers_per_block + (last ? 0 : 1)), channels);
  }
  if (config.mid_block_type) {
    mid_block.emplace(channels, config);
  }
  for (size_t i = 0; i < levels; ++i) {
    const auto count = static_cast<std::ptrdiff_t>(config.layers_per_block + 1);
    const std::vector<int64_t> taken(skips.rbegin(), skips.rbegin() + count);
    skips.resize(skips.size() - static_cast<size_t>(count));
    const int64_t width = widths[levels - 1 - i];
    up_blocks.emplace_back(channels, width, taken, config.up_level(i), i + 1 < levels, config);
    channels = width;
  }
}

void UNet::visit(Visitor& v) {
  v("conv_in", conv_in)("time_proj", time_proj)("time_embedding", time_embedding);
  v("class_embedding", class_rows)("class_embedding", class_mlp);
  v("down_blocks", down_blocks)("mid_block", mid_block);
  v("up_blocks", up_blocks)("conv_norm_out", conv_norm_out)("conv_out", conv_out);
}

void UNet::check_labels(const Tensor& labels, int64_t batch) const {
  if (!config_.class_embed_type) {
    DenoisingNetwork::check_labels(labels, batch);
    return;
  }
  if (dry_run() && !labels.defined()) {
    return;
  }
  const bool vectors = config_.class_embed_type == "identity";
  const Shape wanted = vectors ? Shape{batch, config_.time_width()} : Shape{batch};
  check(labels.defined(), "unet: labels are missing: class_embed_type '", *config_.class_embed_type, "' wants ",
        wanted);
  check(labels.shape() == wanted, "unet: labels must be ", wanted, " for class_embed_type '", *config_.class_embed_type,
        "', got ", labels.shape());
}

Tensor UNet::time_features(const Tensor& t, DType dtype) const {
  if (time_proj) {
    return (*time_proj)(t, dtype);
  }
  return timestep_embedding(t, config_.block_out_channels.front(), config_.flip_sin_to_cos, config_.freq_shift, dtype);
}

Variable UNet::embedding(const Tensor& t, const Tensor& labels, DType dtype) const {
  Variable emb = time_embedding(time_features(t, dtype));
  if (labels.defined()) {
    emb = emb + (class_rows  ? (*class_rows)(labels)
                 : class_mlp ? (*class_mlp)(time_features(labels, dtype))
                             : Variable(labels.to(dtype)));
  }
  return activate(parse_activation(config_.act_fn), emb);
}

Variable UNet::forward(const Variable& x, const Tensor& t, const Tensor& labels) const {
  check(x.dim() == 4 && x.size(1) == config_.in_channels, "unet: the input must be (N, ", config_.in_channels,
        ", H, W), got ", x.shape());
  const int64_t stride = config_.total_stride();
  check(x.size(2) % stride == 0 && x.size(3) % stride == 0, "unet: height and width must be divisible by ", stride,
        " (", config_.levels(), " levels), got ", x.size(2), " x ", x.size(3));
  const Variable emb = embedding(t, labels, x.dtype());
  Variable h = conv_in(config_.center_input_sample ? affine(x, 2, -1) : x);
  std::vector<Variable> skips{h};
  for (const DownBlock& block : down_blocks) {
    h = block(std::move(h), emb, skips);
  }
  if (mid_block) {
    h = (*mid_block)(h, emb);
  }
  for (const UpBlock& block : up_blocks) {
    h = block(std::move(h), emb, skips);
  }
  h = conv_out(conv_norm_out.forward_silu(h));
  return config_.fourier() ? h / reshape(t.to(x.dtype()), {x.size(0), 1, 1, 1}) : h;
}

}  // namespace sfumato
