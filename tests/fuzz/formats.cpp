#include "tests/fuzz/format.h"

#include <algorithm>

namespace sfumato::fuzz {

const std::vector<std::unique_ptr<Format>>& formats() {
  static const std::vector<std::unique_ptr<Format>> all = [] {
    std::vector<std::unique_ptr<Format>> list;
    for (auto* make : {make_safetensors_format, make_png_format, make_jpeg_format, make_idx_format, make_gzip_format,
                       make_cifar_format, make_toml_format, make_json_format}) {
      list.push_back(make());
    }
    return list;
  }();
  return all;
}

const Format* find_format(std::string_view name) {
  const auto found =
      std::find_if(formats().begin(), formats().end(), [&](const auto& format) { return format->name() == name; });
  return found == formats().end() ? nullptr : found->get();
}

}  // namespace sfumato::fuzz
