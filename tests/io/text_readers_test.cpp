// What the readers of JSON and TOML must bear, whoever wrote the text: found by fuzzing, kept as rows.
#include <filesystem>
#include <string>

#include "catch.h"
#include "diffusion/model/mlp.h"
#include "diffusion/model/unet_config.h"
#include "diffusion/pipeline/classes.h"
#include "diffusion/schedule/scheduler_config.h"
#include "diffusion/train/checkpoint.h"
#include "diffusion/train/config.h"
#include "tensor/io/json.h"
#include "tensor/io/safetensors_shards.h"
#include "tests/io/io_testing.h"

using namespace sfumato;
using namespace sfumato::testing;

namespace {

std::string nested(int depth) {
  return std::string(static_cast<size_t>(depth), '[') + std::string(static_cast<size_t>(depth), ']');
}

std::string json_error(const std::string& text) {
  return message_of<FormatError>([&] { check_json(text, "x.json"); });
}

std::string toml_error(const std::string& text) {
  return message_of<ConfigError>([&] { TrainConfig::from_toml(text, "x.toml"); });
}

}  // namespace

TEST_CASE("json: syntax, equal keys, depth and number of values are checked before a tree is built", "[io][json]") {
  CHECK(json_error(R"({"a": [1, -2.5e3, "x", null, true], "b": {"a": 1}, "c": {"a": 1}})").empty());
  CHECK_THAT(json_error("{"), ContainsSubstring("x.json: not valid JSON: "));
  CHECK_THAT(json_error(""), ContainsSubstring("not valid JSON"));
  CHECK_THAT(json_error("{} {}"), ContainsSubstring("not valid JSON"));
  CHECK_THAT(json_error("\"\xff\""), ContainsSubstring("not valid JSON"));
  CHECK_THAT(json_error(R"({"a": 1, "b": 2, "\u0061": 3})"), ContainsSubstring("the key 'a' appears twice"));
  CHECK_THAT(json_error(R"([{"a": {"k": 1, "k": 1}}])"), ContainsSubstring("the key 'k' appears twice"));
  CHECK(json_error(nested(64)).empty());
  CHECK_THAT(json_error(nested(65)), ContainsSubstring("nested deeper than 64"));
  std::string many = "[0";
  for (int i = 0; i < 300'000; ++i) many += ",0";
  CHECK_THAT(json_error(many + "]"), ContainsSubstring("more values than its size allows"));
}

TEST_CASE("json: no reader follows deep nesting until the stack is full", "[io][json]") {
  const std::string deep = nested(300'000);
  const std::string field = R"({"act_fn": )" + deep + "}";
  CHECK_THROWS_AS(UNetConfig::from_json(field, "x"), Error);
  CHECK_THROWS_AS(MlpConfig::from_json(R"({"depth": )" + deep + "}", "x"), Error);
  CHECK_THROWS_AS(parse_scheduler_config(R"({"beta_start": )" + deep + "}"), FormatError);
  CHECK_THROWS_AS(ClassList::from_json(R"({"count": 1, "names": )" + deep + "}", "x"), FormatError);
  CHECK_THROWS_AS(first_difference(R"({"lr": )" + deep + "}", "{}"), Error);
  const TemporaryFolder folder;
  put(folder / "i.json", R"({"weight_map": {"a": )" + deep + "}}");
  CHECK_THROWS_AS(ShardedSafetensors(folder / "i.json"), FormatError);
  std::filesystem::create_directory(folder / "step-1");
  put(folder / "step-1/manifest.json", R"({"step": 1, "files": {}, "environment": {"a": )" + deep + "}}");
  CHECK_THROWS_AS(CheckpointFolder(folder.path()).load(1), FormatError);
}

TEST_CASE("toml: a value of the wrong type is shown, whatever it is", "[io][toml]") {
  CHECK_THAT(toml_error("lr_decay = -9223372036854775808"), ContainsSubstring("got -9223372036854775808"));
  CHECK_THAT(toml_error("seed = [-9223372036854775808, [1.5, true], {a = 1}]"),
             ContainsSubstring("got [-9223372036854775808, [1.5, true], a table]"));
  CHECK_THAT(toml_error("seed = [1,2,3,4,5,6,7,8,9]"), ContainsSubstring("6, 7, 8, ...]"));
  CHECK(toml_error("seed = '" + std::string(5000, 'x') + "'").size() < 300);
  CHECK(toml_error(std::string(5000, 'k') + " = 1").size() < 300);
}

// toml++ 3.3 runs into undefined behaviour where a value ends in such a letter.
TEST_CASE("toml: letters outside ASCII stand in comments alone", "[io][toml]") {
  CHECK_THAT(toml_error("seed = 3\nlr = \xc3\xa4\n"), ContainsSubstring("x.toml: line 2, column 6"));
  CHECK_THAT(toml_error("lr = 1\xc3\xa4"), ContainsSubstring("line 1, column 7"));
  CHECK_THAT(toml_error("s\xc3\xa4ntimo = 1"), ContainsSubstring("line 1, column 2"));
  CHECK_THAT(toml_error("unet.block_out_channels = [8\"\xc3\xa4\", 16]"), ContainsSubstring("line 1, column 30"));
  CHECK_THAT(toml_error("lr_decay = \"\"\"a#\"\"\"\"\xc3\xa4"), ContainsSubstring("line 1"));
  CHECK_THAT(toml_error("lr_decay = \"\\\"#\xc3\xa4\""), ContainsSubstring("line 1, column 16"));
  CHECK_THAT(toml_error("lr_decay = '#\xc3\xa4'"), ContainsSubstring("line 1, column 14"));
  CHECK_THAT(toml_error("lr_decay = '''\n''' \xe3\x80\x80"), ContainsSubstring("line 2, column 5"));
  CHECK(toml_error("# gr\xc3\xb6\xc3\x9f"
                   "er\nseed = 3 # \xe2\x80\x94 so\n")
            .empty());
  CHECK(toml_error("lr_decay = \"\"\"\n\" \"\"\"\"\" # \xc3\xa4\nlr_decay2='\\'# \xc3\xa4").find("comments") ==
        std::string::npos);
  TrainConfig config;
  CHECK_THROWS_AS(config.set("lr=1\xc3\xa4"), ConfigError);
  CHECK_THROWS_AS(config.set("lr=\xc3\xa4"), ConfigError);
}
