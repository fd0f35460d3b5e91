#include <fmt/ranges.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "tensor/io/safetensors.h"
#include "tensor/io/safetensors_format.h"

namespace sfumato {
namespace {

using Item = NamedTensors::value_type;

// `text` as a JSON string, escaped as the format's own library does.
std::string quoted(const std::string& text) {
  try {
    return nlohmann::json(text).dump();
  } catch (const nlohmann::json::exception&) {
    detail::fail("save_safetensors: a name or a metadata string is not UTF-8");
  }
}

// The tensors in the order of the file.
std::vector<const Item*> canonical_order(const NamedTensors& tensors) {
  check(tensors.size() <= detail::kMaxTensors, "save_safetensors: at most ", detail::kMaxTensors, " tensors, got ",
        tensors.size());
  std::vector<const Item*> order;
  order.reserve(tensors.size());
  for (const auto& item : tensors) {
    check(item.second.defined(), "save_safetensors: tensor '", item.first, "' is undefined");
    check(item.first.size() <= detail::kMaxNameBytes, "save_safetensors: a name has ", item.first.size(),
          " bytes, at most ", detail::kMaxNameBytes, " are allowed");
    check(item.first != detail::kMetadataName, "save_safetensors: a tensor cannot be called __metadata__");
    order.push_back(&item);
  }
  const auto by_name = [](const Item* a, const Item* b) { return a->first < b->first; };
  std::sort(order.begin(), order.end(), by_name);
  const auto twin =
      std::adjacent_find(order.begin(), order.end(), [](const Item* a, const Item* b) { return a->first == b->first; });
  if (twin != order.end()) {
    detail::fail("save_safetensors: two tensors are called '", (*twin)->first, "'");
  }
  std::stable_sort(order.begin(), order.end(), [](const Item* a, const Item* b) {
    return detail::safetensors_rank(a->second.dtype()) < detail::safetensors_rank(b->second.dtype());
  });
  return order;
}

size_t bytes_of(const Tensor& tensor) { return static_cast<size_t>(tensor.numel()) * size_of(tensor.dtype()); }

void append_metadata(std::string& header, const std::map<std::string, std::string>& metadata) {
  header += quoted(std::string(detail::kMetadataName)) + ":{";
  const char* separator = "";
  for (const auto& [key, value] : metadata) {
    header += separator + quoted(key) + ":" + quoted(value);
    separator = ",";
  }
  header += "}";
}

// Appends the tensor's entry and returns where its data end.
size_t append_entry(std::string& header, const Item& item, size_t begin) {
  const auto& [name, tensor] = item;
  const size_t end = begin + bytes_of(tensor);
  header += fmt::format(R"({}:{{"dtype":"{}","shape":[{}],"data_offsets":[{},{}]}})", quoted(name),
                        detail::safetensors_name(tensor.dtype()), fmt::join(tensor.shape().span(), ","), begin, end);
  return end;
}

std::string make_header(const std::vector<const Item*>& order, const std::map<std::string, std::string>& metadata) {
  std::string header = "{";
  if (!metadata.empty()) {
    append_metadata(header, metadata);
  }
  size_t end = 0;
  for (const Item* item : order) {
    header += header.size() > 1 ? "," : "";
    end = append_entry(header, *item, end);
  }
  header += "}";
  header.append((8 - header.size() % 8) % 8, ' ');
  check(header.size() <= detail::kMaxHeaderBytes, "save_safetensors: the header takes ", header.size(),
        " bytes, at most ", detail::kMaxHeaderBytes, " are allowed");
  return header;
}

}  // namespace

FileDigest save_safetensors(const std::filesystem::path& path,
                            const NamedTensors& tensors,
                            const std::map<std::string, std::string>& metadata) {
  const auto order = canonical_order(tensors);
  const std::string header = make_header(order, metadata);
  return write_file_durably(path, [&](FileWriter& out) {
    const uint64_t length = header.size();
    out.write(&length, sizeof(length));
    out.write(header);
    for (const Item* item : order) {
      const Tensor plain = item->second.contiguous();
      out.write(plain.raw_data(), bytes_of(plain));
    }
  });
}

}  // namespace sfumato
