// Reading results, and the table of ratios made from them.
#include "bench/results.h"

#include "bench/ratios.h"
#include "catch.h"
#include "tensor/io/file.h"

using namespace sfumato::bench;

namespace {

std::string run(const std::string& fields) { return "{" + fields + "}"; }

std::string file(const std::string& runs) {
  return R"({"context":{"cpu":"a CPU","num_cpus":2,"caches":[1],"scaling":false},"benchmarks":[)" + runs + "]}";
}

Results parse(const std::string& text) { return parse_results(text, "results.json"); }

}  // namespace

TEST_CASE("results: repetitions are kept by name, in seconds, without aggregates and failures") {
  const Results results =
      parse(file(run(R"("name":"a/real_time","run_type":"iteration","real_time":2,"time_unit":"ms","peak_rss_MB":5)") +
                 "," + run(R"("name":"b","real_time":3.5,"time_unit":"ns")") + "," +
                 run(R"("name":"a/real_time","run_type":"iteration","real_time":4,"time_unit":"us","peak_rss_MB":7)") +
                 "," + run(R"("name":"a/real_time_median","run_type":"aggregate","real_time":3,"time_unit":"us")") +
                 "," + run(R"("name":"c","error_occurred":true,"error_message":"no")")));
  CHECK(results.context.at("cpu") == "a CPU");
  CHECK(results.context.at("num_cpus") == "2");
  CHECK(results.context.at("scaling") == "false");
  REQUIRE(results.benchmarks.size() == 2);
  CHECK(results.benchmarks[0].name == "a");
  REQUIRE(results.benchmarks[0].seconds.size() == 2);
  CHECK(results.benchmarks[0].seconds[0] == Approx(2e-3));
  CHECK(results.benchmarks[0].seconds[1] == Approx(4e-6));
  CHECK(results.benchmarks[0].peak_rss_mb == 7);
  CHECK(results.find("b")->seconds[0] == Approx(3.5e-9));
  CHECK(results.find("c") == nullptr);
}

TEST_CASE("results: what is no file of results is refused by name") {
  for (const std::string& text : {
           std::string(),
           std::string("{"),
           std::string("[]"),
           std::string("null"),
           std::string("{}"),
           std::string(R"({"context":{}})"),
           std::string(R"({"context":{},"benchmarks":{}})"),
           std::string(R"({"context":{},"benchmarks":null})"),
           file("1"),
           file("{}"),
           file(R"({"name":"a"})"),
           file(run(R"("name":1,"real_time":1,"time_unit":"s")")),
           file(run(R"("name":"a","real_time":"1","time_unit":"s")")),
           file(run(R"("name":"a","real_time":1,"time_unit":"h")")),
           file(run(R"("name":"a","real_time":1)")),
           file(run(R"("name":"a","real_time":0,"time_unit":"s")")),
           file(run(R"("name":"a","real_time":-1,"time_unit":"s")")),
           file(run(R"("name":"a","real_time":NaN,"time_unit":"s")")),
           file(run(R"("name":"a","real_time":1,"time_unit":2)")),
       }) {
    CAPTURE(text);
    CHECK_THROWS_AS(parse(text), sfumato::FormatError);
    CHECK_THROWS_WITH(parse(text), ContainsSubstring("results.json"));
  }
}

TEST_CASE("results: median and spread") {
  CHECK(median({3, 1, 2}) == 2);
  CHECK(median({4, 1, 2, 3}) == 2.5);
  CHECK(median({7}) == 7);
  CHECK(relative_spread({7}) == 0);
  CHECK(relative_spread({1, 2, 3, 4, 5}) == Approx(1.0 / 3));  // quartiles 2 and 4 around 3
}

TEST_CASE("results: merging puts repetitions together") {
  Results all = parse(file(run(R"("name":"a","real_time":1,"time_unit":"s","peak_rss_MB":3)")));
  all.merge(parse(R"({"context":{"cpu":"other","torch":"2"},"benchmarks":[{"name":"b","real_time":2,"time_unit":"s"},)"
                  R"({"name":"a","real_time":3,"time_unit":"s","peak_rss_MB":2}]})"));
  CHECK(all.context.at("cpu") == "a CPU");
  CHECK(all.context.at("torch") == "2");
  CHECK(all.find("a")->seconds == std::vector<double>{1, 3});
  CHECK(all.find("a")->peak_rss_mb == 3);
  CHECK(all.find("b")->seconds == std::vector<double>{2});
}

TEST_CASE("ratios: pairs by name, with and without a mode") {
  Results results;
  results.context = {{"cpu", "a CPU"}, {"threads", "2"}, {"torch", "2.14"}};
  results.benchmarks = {
      {"conv/a", {2e-3, 1e-3, 3e-3}, 100},
      {"conv/a/direct", {5e-3}, 0},
      {"alone", {1}, 0},
      {"peer/torch/f32/conv/a", {6e-3}, 250},
      {"peer/torch/bf16/conv/a", {1e-3}, 0},
      {"peer/torch/conv/a/direct", {5e-3}, 0},
      {"peer/torch/x/y/conv/a", {9}, 0},
      {"peer/torch/xconv/a", {9}, 0},
      {"peer/onednn/conv/a", {9}, 0},
  };
  const std::string table = ratio_table(results, "torch");
  CAPTURE(table);
  std::vector<std::string> lines;
  for (size_t begin = 0, end = 0; (end = table.find('\n', begin)) != std::string::npos; begin = end + 1) {
    lines.push_back(table.substr(begin, end - begin));
  }
  REQUIRE(lines.size() == 7);
  CHECK(lines[0] == "a CPU; threads 2; torch 2.14");
  CHECK(lines[1] == "benchmark                     ours         torch  ratio    ours   torch  ratio");
  CHECK(lines[2] == "conv/a         f32   2.00 ms ±25 %  6.00 ms ±0 %   3.00  100 MB  250 MB   2.50");
  CHECK(lines[3] == "conv/a         bf16  2.00 ms ±25 %  1.00 ms ±0 %   0.50");
  CHECK(lines[4] == "conv/a/direct         5.00 ms ±0 %  5.00 ms ±0 %   1.00");
  CHECK(lines[5].empty());
  CHECK(ratio_table(results, "onednn").find("memory") == std::string::npos);
  CHECK_THROWS_WITH(ratio_table(results, "another"), ContainsSubstring("another"));
}
