// Checkpoints survive everything that can happen to a disk: each call of a save fails, stops the process or cuts the
// power once, for every kind of fault, and afterwards the newest checkpoint is the old one or the new one, whole.
#include "diffusion/train/checkpoint.h"

#include <cstdio>

#include "catch.h"
#include "diffusion/train/checkpoint_writer.h"
#include "tensor/io/file.h"
#include "tensor/ops/compare.h"
#include "tests/io/io_testing.h"
#include "tests/io/memory_disk.h"

using namespace sfumato;
using namespace sfumato::testing;

namespace {

CheckpointContents contents_of(int64_t step) {
  const auto values = [step](double more) { return full({3, 5}, static_cast<double>(step) + more); };
  return {.step = step,
          .weights = {{"conv.weight", values(0.25)}, {"conv.bias", values(0.5)}},
          .optimizer = {{"step", full({}, static_cast<double>(step), DType::i64)}, {"exp_avg", values(0.125)}},
          .ema = {{"ema.conv.weight", values(0.75)}},
          .environment = R"({"threads": 2})"};
}

void check_contents(const CheckpointContents& found) {
  const CheckpointContents wanted = contents_of(found.step);
  REQUIRE(found.weights.size() == 2);
  for (const auto& [name, tensor] : found.weights) {
    CHECK(allclose(tensor, full({3, 5}, static_cast<double>(found.step) + (name == "conv.weight" ? 0.25 : 0.5))));
  }
  CHECK(allclose(found.ema.at(0).second, wanted.ema.at(0).second));
  CHECK(found.optimizer.size() == 2);
}

const std::filesystem::path kFolder = "/run/checkpoints";
const CheckpointPolicy kPolicy{.keep = 2};

// -1 when there is none.
int64_t newest(const CheckpointFolder& folder) {
  const auto found = folder.load_newest([](const std::string&) {});
  if (!found) return -1;
  check_contents(*found);
  return found->step;
}

// The steps that are saved without a fault before the one that is tried.
struct Scenario {
  const char* name;
  std::vector<int64_t> before;
  int64_t step;
};

// Tries one fault; returns false when the save has fewer calls than `call`.
bool try_fault(const Scenario& scenario, int64_t call, Fault fault) {
  MemoryDisk disk;
  const FileSystemScope scope(disk);
  const CheckpointFolder folder(kFolder);
  make_directory(kFolder.parent_path());
  for (const int64_t step : scenario.before) folder.save(contents_of(step), kPolicy);
  disk.sync_all();
  CAPTURE(scenario.name, call, name_of(fault));

  disk.fail_at(call, fault);
  bool saved = false;
  try {
    folder.save(contents_of(scenario.step), kPolicy);
    saved = !disk.stopped();
  } catch (const Stopped&) {
  } catch (const IoError&) {
  }
  if (disk.calls() <= call) return false;
  // What was saved must outlive a power cut right after; what failed must not have cost the older one.
  if (saved) disk.fail_at(0, Fault::power_cut);
  if (saved) {
    CHECK_THROWS_AS(folder.steps(), Stopped);
  }
  disk.reboot();
  const int64_t previous = scenario.before.empty() ? -1 : scenario.before.back();
  const int64_t found = newest(folder);
  if (saved) {
    CHECK(found == scenario.step);
  } else {
    CHECK((found == previous || found == scenario.step));
  }
  // And the next save is as good as any.
  folder.save(contents_of(scenario.step + 1), kPolicy);
  CHECK(newest(folder) == scenario.step + 1);
  CHECK(folder.steps().size() <= 3);
  return true;
}

}  // namespace

TEST_CASE("checkpoint: every fault at every call of a save leaves the old one or the new one", "[io][checkpoint]") {
  const Scenario scenarios[] = {{"the first save", {}, 10},
                                {"a later save that prunes", {10, 20}, 30},
                                {"a save over a step that is there", {10, 20}, 20}};
  int64_t cases = 0;
  for (const Scenario& scenario : scenarios) {
    for (const Fault fault : kFaults) {
      for (int64_t call = 0; try_fault(scenario, call, fault); ++call) ++cases;
    }
  }
  std::printf("faults: %lld cases\n", static_cast<long long>(cases));
  CHECK(cases >= 1000);
}

TEST_CASE("checkpoint: a damaged one is skipped, with the reason", "[io][checkpoint]") {
  const TemporaryFolder temporary;
  const CheckpointFolder folder(temporary.path() / "checkpoints");
  folder.save(contents_of(1), {.keep = 3});
  folder.save(contents_of(2), {.keep = 3});
  const auto file = folder.path_of(2) / "ema.safetensors";
  std::string bytes = read_file(file, 1 << 20);
  std::string said;
  const auto warn = [&](const std::string& text) { said = text; };

  SECTION("one bit differs") {
    bytes.back() = static_cast<char>(bytes.back() ^ 1);
    write_file_durably(file, bytes);
    CHECK(folder.load_newest(warn)->step == 1);
    CHECK_THAT(said, ContainsSubstring("its bytes are not those that were written"));
  }
  SECTION("it is shorter") {
    write_file_durably(file, std::string_view(bytes).substr(0, bytes.size() - 1));
    CHECK(folder.load_newest(warn)->step == 1);
    CHECK_THAT(said, ContainsSubstring("where the manifest says"));
  }
  SECTION("a file is missing") {
    remove_tree(file);
    CHECK(folder.load_newest(warn)->step == 1);
    CHECK_THAT(said, ContainsSubstring("ema.safetensors"));
  }
  SECTION("the manifest is of another step, or none") {
    write_file_durably(folder.path_of(2) / "manifest.json", read_file(folder.path_of(1) / "manifest.json", 1 << 20));
    CHECK(folder.load_newest(warn)->step == 1);
    CHECK_THAT(said, ContainsSubstring("its manifest is that of step 1"));
    write_file_durably(folder.path_of(2) / "manifest.json", "[]");
    CHECK(folder.load_newest(warn)->step == 1);
    CHECK_THAT(said, ContainsSubstring("not a checkpoint's manifest"));
  }
  SECTION("all are") {
    for (const int64_t step : {1, 2}) remove_tree(folder.path_of(step) / "manifest.json");
    CHECK_FALSE(folder.load_newest(warn).has_value());
  }
}

TEST_CASE("checkpoint: the newest stay, and those of every so many steps", "[io][checkpoint]") {
  const TemporaryFolder temporary;
  const CheckpointFolder folder(temporary.path() / "checkpoints");
  for (int64_t step = 1; step <= 9; ++step) folder.save(contents_of(step), {.keep = 2, .keep_every = 4});
  CHECK(folder.steps() == std::vector<int64_t>{4, 8, 9});
  CHECK(read_file(temporary.path() / "checkpoints" / "latest", 100) == "step-9\n");
}

TEST_CASE("checkpoint: the next save removes what killed ones left, and nothing else", "[io][checkpoint]") {
  const TemporaryFolder temporary;
  const CheckpointFolder folder(temporary.path() / "checkpoints");
  const auto root = temporary.path() / "checkpoints";
  folder.save(contents_of(1), kPolicy);
  for (const char* name : {"step-7.tmp", "step-9.old", "mine.tmp"}) make_directory(root / name);
  for (const char* name : {"step-7.tmp/weights.safetensors", ".writing-abc123", ".writing-mine", "notes"}) {
    put(root / name, "x");
  }
  folder.save(contents_of(2), kPolicy);
  CHECK(list_folder(root) ==
        std::vector<std::string>{".writing-mine", "latest", "mine.tmp", "notes", "step-1", "step-2"});
}

TEST_CASE("checkpoint: without room nothing is begun", "[io][checkpoint]") {
  MemoryDisk disk;
  const FileSystemScope scope(disk);
  const CheckpointFolder folder(kFolder);
  folder.save(contents_of(1), kPolicy);
  disk.set_free_space(1000);
  CHECK_THROWS_WITH(folder.save(contents_of(2), kPolicy), ContainsSubstring("1000 are free"));
  CHECK(newest(folder) == 1);
  CHECK(list_folder(kFolder) == std::vector<std::string>{"latest", "step-1"});
}

TEST_CASE("checkpoint writer: saves a snapshot, not what comes after", "[io][checkpoint]") {
  const TemporaryFolder temporary;
  const CheckpointFolder folder(temporary.path() / "checkpoints");
  CheckpointWriter writer(folder, {.keep = 5});
  CheckpointContents contents = contents_of(3);
  for (int64_t step = 3; step <= 6; ++step) {
    contents.step = step;
    for (auto& [name, tensor] : contents.weights) {
      tensor.fill(static_cast<double>(step) + (name == "conv.weight" ? 0.25 : 0.5));
    }
    contents.ema.at(0).second.fill(static_cast<double>(step) + 0.75);
    writer.save(contents);
    contents.weights.at(0).second.fill(-1);  // training goes on
  }
  writer.wait();
  CHECK_FALSE(writer.problem().has_value());
  for (int64_t step = 3; step <= 6; ++step) check_contents(folder.load(step));
}

TEST_CASE("checkpoint writer: a failure is told once and harms nothing", "[io][checkpoint]") {
  const TemporaryFolder temporary;
  write_file_durably(temporary.path() / "checkpoints", "a file where the folder should be");
  CheckpointWriter writer(CheckpointFolder(temporary.path() / "checkpoints"), {});
  writer.save(contents_of(1));
  CHECK_THROWS_AS(writer.wait(), IoError);
  CHECK_FALSE(writer.problem().has_value());
  writer.save(contents_of(2));
  std::optional<std::string> problem;
  while (!problem) problem = writer.problem();
  CHECK_THAT(*problem, ContainsSubstring("checkpoints"));
  CHECK_NOTHROW(writer.wait());
}
