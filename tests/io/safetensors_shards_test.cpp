// Sharded weights: what index and shards must agree on, and that a hostile index leaves its folder in no way.
#include "tensor/io/safetensors_shards.h"

#include "catch.h"
#include "tensor/ops/creation.h"
#include "tests/io/io_testing.h"

using namespace sfumato;
using namespace sfumato::testing;

namespace {

std::string index_of(const std::string& map, const std::string& more = "") {
  return R"({"metadata": {"total_size": 12}, )" + more + R"("weight_map": {)" + map + "}}";
}

// Two shards: a, b in the first, c in the second.
void put_shards(const TemporaryFolder& folder) {
  save_safetensors(folder / "w-1.safetensors", {{"a", full({2}, 1)}, {"b", full({3}, 2)}});
  save_safetensors(folder / "w-2.safetensors", {{"c", full({1}, 3, DType::f64)}});
}

constexpr const char* kGood = R"("a": "w-1.safetensors", "b": "w-1.safetensors", "c": "w-2.safetensors")";

}  // namespace

TEST_CASE("sharded safetensors: all tensors, and one alone", "[io][safetensors]") {
  const TemporaryFolder folder;
  put_shards(folder);
  const auto index = put(folder / "w.safetensors.index.json", index_of(kGood));
  const ShardedSafetensors weights(index);
  CHECK(weights.num_shards() == 2);
  CHECK(weights.contains("c"));
  CHECK(weights.read("c").dtype() == DType::f64);
  CHECK(weights.read("b").to_vector() == std::vector<double>{2, 2, 2});
  CHECK(weights.read_all().size() == 3);
  CHECK(read_tensors(index).size() == 3);
  CHECK(read_tensors(folder / "w-1.safetensors").size() == 2);
  CHECK_THAT(message_of<FormatError>([&] { weights.read("d"); }), ContainsSubstring("has no tensor 'd'"));
}

TEST_CASE("sharded safetensors: only what is asked for is read", "[io][safetensors]") {
  const TemporaryFolder folder;
  put_shards(folder);
  const ShardedSafetensors weights(put(folder / "w.json", index_of(kGood)));
  // The file loses the end of its data behind the reader's back: b, which lies there, fails, and a does not.
  std::filesystem::resize_file(folder / "w-1.safetensors", std::filesystem::file_size(folder / "w-1.safetensors") - 4);
  CHECK(weights.read("a").to_vector() == std::vector<double>{1, 1});
  CHECK_THROWS_AS(weights.read("b"), IoError);
}

TEST_CASE("sharded safetensors: what does not fit is refused by name", "[io][safetensors]") {
  const TemporaryFolder folder;
  put_shards(folder);
  const auto message = [&](const std::string& text) {
    put(folder / "w.json", text);
    return message_of<FormatError>([&] { ShardedSafetensors weights(folder / "w.json"); });
  };
  const std::string good = kGood;
  CHECK(message(index_of(good)).empty());
  const auto with_c_in = [&](const std::string& shard) {
    return index_of(R"("a": "w-1.safetensors", "b": "w-1.safetensors", "c": ")" + shard + "\"");
  };
  for (const std::string shard : {"../w-2.safetensors", "/etc/passwd", "x/w-2.safetensors", "..", ".", "",
                                  "w-2.safetensors\\u0000", "..\\\\w-2.safetensors"}) {
    CAPTURE(shard);
    CHECK_THAT(message(with_c_in(shard)), ContainsSubstring("'c'") && ContainsSubstring("not the name of a file"));
  }
  CHECK_THAT(message(with_c_in("w-1.safetensors")), ContainsSubstring("'c' is not in w-1.safetensors"));
  CHECK_THAT(message(index_of(good + R"(, "d": "w-2.safetensors")")), ContainsSubstring("'d' is not in"));
  CHECK_THAT(message(index_of(R"("a": "w-1.safetensors", "c": "w-2.safetensors")")),
             ContainsSubstring("does not name tensor 'b' of w-1.safetensors"));
  CHECK_THAT(message(index_of(good + R"(, "a": "w-1.safetensors")")), ContainsSubstring("the key 'a' appears twice"));
  CHECK_THAT(message(index_of(R"("a": 1)")), ContainsSubstring("'a' is 1, not a string"));
  CHECK_THAT(message("{}"), ContainsSubstring("no object weight_map"));
  CHECK_THAT(message("[]"), ContainsSubstring("no object weight_map"));
  CHECK_THAT(message("{"), ContainsSubstring("w.json"));
  CHECK_THAT(message(index_of(good, R"("extra": 1, )")), ContainsSubstring("unknown key 'extra'"));
  put(folder / "w.json", with_c_in("w-3.safetensors"));
  CHECK_THROWS_AS(ShardedSafetensors(folder / "w.json"), MissingInput);
  CHECK_THROWS_AS(ShardedSafetensors(folder / "none.json"), MissingInput);

  save_safetensors(folder / "w-2.safetensors", {{"c", full({1}, 3)}, {"a", full({1}, 3)}});
  CHECK_THAT(message(index_of(good)), ContainsSubstring("'a' is in w-2.safetensors and in w-1.safetensors"));
}
