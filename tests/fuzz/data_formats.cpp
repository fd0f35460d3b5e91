// The data sets' files: idx, plain and behind gzip, and CIFAR's records.
#include <zlib.h>

#include <algorithm>
#include <array>

#include "diffusion/data/cifar.h"
#include "diffusion/data/idx.h"
#include "tests/fuzz/format.h"
#include "tests/fuzz/mutate.h"
#include "tests/fuzz/one_folder.h"

namespace sfumato::fuzz {
namespace {

std::string idx_file(const std::vector<uint32_t>& sizes) {
  std::string bytes{0, 0, 8, static_cast<char>(sizes.size())};
  size_t count = 1;
  for (const uint32_t size : sizes) {
    bytes += big_endian(size, 4);
    count *= size;
  }
  for (size_t i = 0; i < count; ++i) bytes += static_cast<char>(i * 37 % 11);
  return bytes;
}

const std::vector<std::vector<uint32_t>> kShapes{{4}, {0}, {300}, {2, 3, 4}, {0, 3, 4}, {1, 28, 28}, {3, 8, 8}};

// As most readers of these files do, by the number of dimensions.
void read_idx(std::string_view input, OneFolder& folder) {
  folder.set({{"x", input}});
  const FileSystemScope scope(folder);
  input.size() > 3 && input[3] == 1 ? read_idx_labels("x") : read_idx_images("x");
}

void mutate_idx(std::string& bytes, Random& random) {
  const size_t words =
      bytes.size() < 5 ? 0 : std::min<size_t>(static_cast<unsigned char>(bytes[3]) & 7, (bytes.size() - 4) / 4);
  switch (random.below(6)) {
    case 0:
      bytes.replace(random.below(4) % std::max<size_t>(bytes.size(), 1), 1, 1, static_cast<char>(random.below(16)));
      break;
    case 1:
      if (words > 0) bytes.replace(4 + 4 * random.below(words), 4, big_endian(edge_number(random), 4));
      break;
    case 2:
      if (words > 0) bytes.replace(4 + 4 * random.below(words), 4, big_endian(random.below(8), 4));
      break;
    case 3: bytes.resize(bytes.size() + random.below(64)); break;
    default: mutate_bytes(bytes, random); break;
  }
}

class IdxFormat final : public Format {
 public:
  std::string name() const override { return "idx"; }
  std::vector<std::string> corpus() const override {
    std::vector<std::string> files;
    for (const auto& shape : kShapes) files.push_back(idx_file(shape));
    return files;
  }
  void mutate(std::string& input, Random& random) const override {
    for (size_t changes = 1 + random.below(2); changes > 0; --changes) mutate_idx(input, random);
  }
  void read(std::string_view input) const override { read_idx(input, folder_); }
  // Magic number and sizes.
  bool passes_header(std::string_view input, std::string_view) const override {
    return input.size() >= 8 && input.starts_with(std::string_view("\0\0\x08", 3)) &&
           (input[3] == 1 || input[3] == 3) && input.size() >= 4 + 4 * static_cast<size_t>(input[3]);
  }

 private:
  mutable OneFolder folder_;
};

// ---- gzip ----

std::string gzipped(const std::string& bytes, int level, int strategy) {
  z_stream stream{};
  deflateInit2(&stream, level, Z_DEFLATED, 15 + 16, 8, strategy);
  std::string out(deflateBound(&stream, bytes.size()), '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));
  stream.avail_in = static_cast<uInt>(bytes.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  deflate(&stream, Z_FINISH);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  return out;
}

constexpr std::string_view kGzip("\x1f\x8b\x08", 3);
constexpr size_t kGzipHeader = 10, kGzipTrailer = 8;

// Flags, with or without the fields that they announce.
void mutate_gzip_header(std::string& bytes, Random& random) {
  if (bytes.size() <= kGzipHeader) return;
  bytes[3] = static_cast<char>(random.below(32));
  if (random.chance(1, 2)) bytes.insert(kGzipHeader, std::string("\3\0abcname\0", 10));
}

class GzipFormat final : public Format {
 public:
  std::string name() const override { return "gz"; }

  std::vector<std::string> corpus() const override {
    std::vector<std::string> files;
    for (const auto& shape : kShapes) {
      const std::string plain = idx_file(shape);
      files.push_back(gzipped(plain, 9, Z_DEFAULT_STRATEGY));
      files.push_back(gzipped(plain, 0, Z_DEFAULT_STRATEGY));
      files.push_back(gzipped(plain.substr(0, 5), 1, Z_FIXED) + gzipped(plain.substr(5), 1, Z_HUFFMAN_ONLY));
    }
    // A bomb: far more than it declares.
    files.push_back(gzipped(idx_file({1, 2, 2}) + std::string(size_t{1} << 20, '\0'), 9, Z_DEFAULT_STRATEGY));
    return files;
  }

  // What is inside is changed first, what is around it last.
  void mutate(std::string& input, Random& random) const override {
    if (random.chance(1, 2)) {
      std::string plain = idx_file(random.pick(kShapes));
      for (size_t changes = random.below(3); changes > 0; --changes) mutate_idx(plain, random);
      const size_t cut = random.chance(1, 4) ? random.below(plain.size()) : plain.size();
      constexpr std::array<int, 4> strategies{Z_DEFAULT_STRATEGY, Z_HUFFMAN_ONLY, Z_FIXED, Z_RLE};
      input = gzipped(plain.substr(0, cut), static_cast<int>(random.below(3)), random.pick(strategies));
      if (cut < plain.size()) input += gzipped(plain.substr(cut), 1, Z_DEFAULT_STRATEGY);
    }
    for (size_t changes = random.below(3); changes > 0; --changes) {
      switch (random.below(6)) {
        case 0: mutate_gzip_header(input, random); break;
        case 1: input += random.chance(1, 2) ? input : big_endian(random.next(), 1 << random.below(4)); break;
        case 2:  // checksum and length
          if (input.size() > kGzipTrailer) input[input.size() - 1 - random.below(kGzipTrailer)] ^= 1;
          break;
        case 3: {  // the compressed bytes alone
          if (input.size() <= kGzipHeader + kGzipTrailer) break;
          std::string body = input.substr(kGzipHeader);
          mutate_bytes(body, random);
          input.replace(kGzipHeader, std::string::npos, body);
          break;
        }
        default: mutate_bytes(input, random); break;
      }
    }
  }

  void read(std::string_view input) const override {
    folder_.set({{"x", input}});
    const FileSystemScope scope(folder_);
    try {
      read_idx_images("x");
    } catch (const Error&) {
      read_idx_labels("x");
    }
  }

  bool passes_header(std::string_view input, std::string_view) const override {
    return input.size() >= kGzipHeader && input.starts_with(kGzip) && (input[3] & 0xe0) == 0;
  }
  size_t decoded_bytes(std::string_view input) const override { return 1032 * input.size(); }

 private:
  mutable OneFolder folder_;
};

// ---- CIFAR ----

// The first byte says what the rest is: bit 0 CIFAR-100 in place of CIFAR-10, bit 1 class names in place of records.
class CifarFormat final : public Format {
 public:
  std::string name() const override { return "cifar"; }

  std::vector<std::string> corpus() const override {
    std::string names;
    for (int i = 0; i < 10; ++i) names += "class " + std::to_string(i) + "\n";
    return {"0" + records(1, 1), "0" + records(3, 1), "1" + records(2, 2), "2" + names};
  }

  void mutate(std::string& input, Random& random) const override {
    const size_t record = input[0] == '1' ? 3074 : 3073;
    switch (random.below(6)) {
      case 0:  // a label
        if (input.size() > record)
          input[1 + record * random.below(input.size() / record)] = static_cast<char>(random.below(12));
        break;
      case 1: input.resize(1 + record * random.below(4)); break;
      case 2: input[0] = static_cast<char>('0' + random.below(4)); break;
      case 3: input[1 + random.below(input.size() - 1)] = static_cast<char>(random.next()); break;
      case 4: input.resize(input.size() + random.below(4)); break;
      default: {
        std::string rest = input.substr(1);
        mutate_bytes(rest, random);
        input = input[0] + rest;
        break;
      }
    }
  }

  void read(std::string_view input) const override {
    const bool hundred = !input.empty() && (input[0] & 1) != 0, names = !input.empty() && (input[0] & 2) != 0;
    static const std::string good = records(1, 2);
    const std::string_view body = input.substr(std::min<size_t>(1, input.size()));
    const std::string_view whole = std::string_view(good).substr(hundred ? 0 : 1);
    folder_.set({{hundred ? "c/test.bin" : "c/test_batch.bin", names ? whole : body},
                 {hundred ? "c/fine_label_names.txt" : "c/batches.meta.txt", names ? body : std::string_view()}});
    if (!names) folder_.set({{hundred ? "c/test.bin" : "c/test_batch.bin", body}});
    const FileSystemScope scope(folder_);
    load_cifar("c", hundred ? Cifar::hundred : Cifar::ten, DataSplit::test);
  }

  // A whole number of records, or text.
  bool passes_header(std::string_view input, std::string_view message) const override {
    return (!input.empty() && (input[0] & 2) != 0) || message.find("no whole number") == message.npos;
  }

 private:
  static std::string records(size_t count, size_t labels) {
    std::string bytes;
    for (size_t i = 0; i < count; ++i) bytes += std::string(labels, static_cast<char>(i)) + std::string(3072, 'p');
    return bytes;
  }

  mutable OneFolder folder_;
};

}  // namespace

std::unique_ptr<Format> make_idx_format() { return std::make_unique<IdxFormat>(); }
std::unique_ptr<Format> make_gzip_format() { return std::make_unique<GzipFormat>(); }
std::unique_ptr<Format> make_cifar_format() { return std::make_unique<CifarFormat>(); }

}  // namespace sfumato::fuzz
