// Replays the reference vectors of tests/golden, or of $SFUMATO_GOLDEN. Cases that are not built yet stand in
// tests/golden_pending.txt with the issue that will build them; the last line printed counts both.
#include "catch.h"

#include <cstdlib>
#include <fstream>
#include <iostream>
#include <map>
#include <sstream>

#include "tests/golden_runner/runner.h"

using namespace sfumato::golden;
namespace fs = std::filesystem;

namespace {

fs::path golden_folder() {
  const char* wanted = std::getenv("SFUMATO_GOLDEN");
  return wanted != nullptr && *wanted != 0 ? fs::path(wanted) : fs::path(SFUMATO_SOURCE_DIR) / "tests" / "golden";
}

// "samplers/dpmsolver++ issue 7  # comment": what is not built, and which issue builds it.
std::map<std::string, std::string> read_pending(std::istream& stream) {
  std::map<std::string, std::string> pending;
  int number = 0;
  for (std::string line; std::getline(stream, line);) {
    ++number;
    std::istringstream words(line.substr(0, line.find('#')));
    std::string name, issue, which, more;
    if (!(words >> name)) continue;
    if (!(words >> issue >> which) || issue != "issue" || which.find_first_not_of("0123456789") != which.npos ||
        (words >> more)) {
      throw std::runtime_error("golden_pending.txt:" + std::to_string(number) +
                               ": expected `name issue N`, got: " + line);
    }
    pending[name] = which;
  }
  return pending;
}

const std::map<std::string, std::string>& pending_list() {
  static const auto list = [] {
    std::ifstream stream(fs::path(SFUMATO_SOURCE_DIR) / "tests" / "golden_pending.txt");
    return read_pending(stream);
  }();
  return list;
}

// The issue of "samplers/euler.0", named by itself or as all cases of "samplers/euler"; empty when it is not pending.
std::string pending_issue(const std::string& name) {
  for (const auto& key : {name, name.substr(0, name.rfind('.'))}) {
    const auto found = pending_list().find(key);
    if (found != pending_list().end()) return found->second;
  }
  return {};
}

struct Count {
  int replayed = 0, pending = 0;
};

// Empty when the result is as it should be, else what is wrong.
std::string judge(const CaseResult& result, const std::string& issue) {
  switch (result.status) {
    case CaseResult::passed: return issue.empty() ? "" : "passes, and may leave golden_pending.txt";
    case CaseResult::failed: return result.message;
    case CaseResult::pending: return issue.empty() ? "is unknown and not in golden_pending.txt: " + result.message : "";
  }
  return "?";
}

void report(const std::string& family, const std::vector<CaseResult>& results) {
  static Count count;
  for (CaseResult result : results) {
    if (!family.empty() && !result.name.starts_with(family + "/")) result.name = family + "/" + result.name;
    const std::string issue = pending_issue(result.name);
    const std::string problem = judge(result, issue);
    if (!problem.empty()) FAIL_CHECK(result.name << ": " << problem);
    if (result.status != CaseResult::pending) {
      ++count.replayed;
    } else if (problem.empty()) {
      ++count.pending;
      std::cout << "pending: " << result.name << " (issue " << issue << ")\n";
    }
  }
  SUCCEED(results.size() << " cases");
  sfumato::testing::set_closing_line("golden: " + std::to_string(count.replayed) + " replayed, " +
                                     std::to_string(count.pending) + " pending");
}

}  // namespace

TEST_CASE("golden: the folder is there", "[golden]") {
  INFO(golden_folder());
  REQUIRE(fs::is_directory(golden_folder()));
  report("", {});
}

TEST_CASE("golden: ops", "[golden]") { report("ops", replay_ops(golden_folder())); }
TEST_CASE("golden: second derivatives", "[golden]") { report("second", replay_second(golden_folder())); }
TEST_CASE("golden: optimisers", "[golden]") { report("optim", replay_optim(golden_folder())); }
TEST_CASE("golden: schedules", "[golden]") { report("schedules", replay_schedules(golden_folder())); }
TEST_CASE("golden: samplers", "[golden]") { report("samplers", replay_samplers(golden_folder())); }
TEST_CASE("golden: U-Nets", "[golden]") { report("", replay_unets(golden_folder())); }
TEST_CASE("golden: training", "[golden]") { report("", replay_training(golden_folder())); }

TEST_CASE("golden: our own set is replayed whole", "[golden]") {
  // Guards the harness itself: a reader that finds nothing would pass everything above.
  const fs::path own = fs::path(SFUMATO_SOURCE_DIR) / "tests" / "golden";
  CHECK(replay_optim(own).size() == 4);
  CHECK(replay_schedules(own).size() == 3);
  CHECK(replay_second(own).size() == 7);
  CHECK(replay_samplers(own).size() == 30);
  CHECK(replay_ops(own).size() == 172);
  CHECK(replay_unets(own).size() == 3);
}

TEST_CASE("golden: what is pending is judged by the list", "[golden]") {
  std::istringstream good("# comment\n\nsamplers/euler  issue 7  # soon\nunet_adagn issue 5\n");
  const auto list = read_pending(good);
  CHECK(list.size() == 2);
  CHECK(list.at("samplers/euler") == "7");
  for (const char* bad :
       {"samplers/euler\n", "samplers/euler issue\n", "samplers/euler issue seven\n", "a issue 7 b\n"}) {
    std::istringstream stream(bad);
    CHECK_THROWS_AS(read_pending(stream), std::runtime_error);
  }
  CHECK(judge({"a", CaseResult::passed, ""}, "").empty());
  CHECK(judge({"a", CaseResult::pending, "no op"}, "7").empty());
  CHECK_FALSE(judge({"a", CaseResult::pending, "no op"}, "").empty());
  CHECK_FALSE(judge({"a", CaseResult::passed, ""}, "7").empty());
  CHECK_FALSE(judge({"a", CaseResult::failed, "off"}, "7").empty());
}
