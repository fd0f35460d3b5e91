// What reading a safetensors file may cost, and that what is read is what is written again.
#include <cstdio>
#include <string>

#include "catch.h"
#include "tensor/io/safetensors.h"
#include "tests/fuzz/memory_meter.h"
#include "tests/fuzz/random_safetensors.h"
#include "tests/io/io_testing.h"
#include "tests/io/memory_disk.h"

using namespace sfumato;
using namespace sfumato::testing;

namespace {

constexpr size_t kMiB = size_t{1} << 20;

// Reads a file whole and returns the memory that it took above that; the rule is twice the file and 16 MiB. What is
// refused has its message in `said`.
bool keeps_memory_rule(const std::string& bytes, std::string& said) {
  const TemporaryFolder folder;
  const auto path = put(folder / "x", bytes);
  const fuzz::MemoryMeter meter;
  said = message_of<FormatError>([&] {
    const SafetensorsReader reader(path);
    for (const auto& [name, entry] : reader.entries()) reader.read(name);
  });
  const size_t peak = meter.peak();
  CAPTURE(bytes.size(), peak, said);
  CHECK(peak <= 2 * bytes.size() + 16 * kMiB);
  return peak <= 2 * bytes.size() + 16 * kMiB;
}

std::string many(size_t bytes, const std::string& begin, const std::string& end) {
  std::string header = "{";
  for (size_t i = 0; header.size() < bytes; ++i) header += (i == 0 ? "" : ",") + begin + std::to_string(i) + end;
  return header + "}";
}

void check_round_trips(uint64_t count) {
  MemoryDisk disk;
  const FileSystemScope scope(disk);
  for (uint64_t i = 0; i < count; ++i) {
    fuzz::Random random(7, i);
    const std::string bytes = fuzz::random_safetensors(random);
    write_file_durably("/x", bytes);
    const SafetensorsReader reader("/x");
    save_safetensors("/y", reader.read_all(), reader.metadata());
    if (read_file("/y", 64 * kMiB) != bytes) {
      CAPTURE(i, bytes);
      FAIL_CHECK("written again, the file has other bytes");
    }
  }
  std::printf("safetensors: %llu random files round-trip byte for byte\n", static_cast<unsigned long long>(count));
}

}  // namespace

TEST_CASE("safetensors: no file takes more memory than twice its size and 16 MiB", "[io][safetensors]") {
  std::string said;
  const std::string of_nothing = R"(":{"dtype":"U8","shape":[0],"data_offsets":[0,0]})";
  SECTION("many tensors of nothing") {
    CHECK(keeps_memory_rule(fuzz::safetensors_file(many(20 * kMiB, "\"", of_nothing), ""), said));
    CHECK_THAT(said, ContainsSubstring("more entries than its size allows"));
    CHECK(keeps_memory_rule(fuzz::safetensors_file(many(4 * kMiB, "\"", of_nothing), ""), said));
    CHECK(said.empty());
  }
  SECTION("much metadata") {
    CHECK(keeps_memory_rule(fuzz::safetensors_file("{\"__metadata__\":" + many(16 * kMiB, "\"", "\":\"\"") + "}", ""),
                            said));
    CHECK_THAT(said, ContainsSubstring("more entries than its size allows"));
  }
  SECTION("one long string") {
    const auto with_string = [](size_t bytes) {
      return fuzz::safetensors_file(R"({"__metadata__":{"k":")" + std::string(bytes, 'x') + "\"}}", "");
    };
    CHECK(keeps_memory_rule(with_string(24 * kMiB), said));
    CHECK_THAT(said, ContainsSubstring("a word of 25165825 bytes"));
    CHECK(keeps_memory_rule(with_string(2 * kMiB), said));
    CHECK(said.empty());
  }
  SECTION("a number of many digits") {
    CHECK(keeps_memory_rule(fuzz::safetensors_file("{\"a\":" + std::string(24 * kMiB, '1') + "}", ""), said));
    CHECK_THAT(said, ContainsSubstring("a word of"));
  }
  SECTION("half precision, which grows in memory") {
    const std::string header = R"({"h":{"dtype":"F16","shape":[14417920],"data_offsets":[0,28835840]}})";
    CHECK(keeps_memory_rule(fuzz::safetensors_file(header, std::string(28835840, '\0')), said));
    CHECK(said.empty());
  }
}

TEST_CASE("safetensors: random files are read and written again to the same bytes", "[io][safetensors]") {
  check_round_trips(3'000);
}

TEST_CASE("safetensors: a hundred thousand of them", "[.slow][safetensors]") { check_round_trips(100'000); }
