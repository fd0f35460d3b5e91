// What the labels of a class-conditional model mean: classes.json beside its model_index.json.
//
//   { "count": 10, "names": ["T-shirt/top", "Trouser", ...], "null_label": 10 }
//
//   ClassList classes = load_classes("run/model", *pipeline.network);
//   int64_t boot = classes.find("Ankle boot");                                     // or "9"
//
// diffusers has no place for this in a U-Net's folder and passes over the file. Without it every label of the network
// is a class without a name, and none of them means "no class".
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "diffusion/model/network.h"

namespace sfumato {

struct ClassList {
  int64_t count = 0;                       // labels 0..count - 1; 0: the model knows no classes
  std::vector<std::string> names = {};     // by label, or none
  std::optional<int64_t> null_label = {};  // the label that was put in place of dropped ones

  // The label of a class, by its name or its number. Throws Error naming what there is.
  int64_t find(std::string_view name_or_number) const;
  std::string to_json() const;
  // Throws FormatError naming `source`.
  static ClassList from_json(std::string_view text, std::string_view source);
};

// Of a model folder, a run directory or a bare network folder. Throws FormatError when the file does not fit the
// network.
ClassList load_classes(const std::filesystem::path& folder, const DenoisingNetwork& network);

// Each of the labels `per_class` times, one after the other: i64. A grid of that many columns has a row per class.
Tensor labels_by_class(const std::vector<int64_t>& labels, int64_t per_class);

}  // namespace sfumato
