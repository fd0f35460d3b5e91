#include "tensor/io/file.h"

#include <sys/stat.h>

#include <cerrno>

#include "catch.h"
#include "tests/io/io_testing.h"

using namespace sfumato;
using namespace sfumato::testing;

TEST_CASE("file: what is written is read back, with mode 0644 and nothing left beside it", "[io][file]") {
  const TemporaryFolder folder;
  const auto path = folder / "a.bin";
  const std::string bytes(300'000, 'x');
  write_file_durably(path, bytes);
  CHECK(read_file(path, bytes.size()) == bytes);
  struct stat status {};
  REQUIRE(::stat(path.c_str(), &status) == 0);
  CHECK((status.st_mode & 0777) == 0644);  // mkostemp alone would leave 0600
  write_file_durably(path, "");
  CHECK(read_file(path, 0).empty());
  CHECK(folder.entries() == 1);
}

TEST_CASE("file: the longest name that the file system takes can be written", "[io][file]") {
  const TemporaryFolder folder;
  const auto path = folder / std::string(255, 'n');  // a temporary name made by appending to it would be too long
  write_file_durably(path, "x");
  CHECK(get(path) == "x");
}

TEST_CASE("file: a write that fails leaves the old file and no temporary", "[io][file]") {
  const TemporaryFolder folder;
  const auto path = put(folder / "a", "old");
  const auto failing = [&] {
    write_file_durably(path, [](FileWriter& out) {
      out.write("half of the ne");
      throw std::runtime_error("stop");
    });
  };
  CHECK_THROWS_WITH(failing(), "stop");
  CHECK(get(path) == "old");
  CHECK(folder.entries() == 1);

  make_directory(folder / "folder/inner");
  CHECK_THROWS_AS(write_file_durably(folder / "folder", "x"), IoError);
  CHECK(folder.entries() == 2);
}

TEST_CASE("file: a folder is made or replaced as a whole, or not at all", "[io][file]") {
  const TemporaryFolder folder;
  const auto target = folder / "model";
  const auto fill_with = [](const std::string& text) {
    return [text](const std::filesystem::path& place) { write_file_durably(place / "a", text); };
  };
  write_folder_durably(target, fill_with("first"));
  CHECK(get(target / "a") == "first");
  put(target / "extra", "of the first");
  write_folder_durably(target, fill_with("second"));
  CHECK(get(target / "a") == "second");
  CHECK_FALSE(std::filesystem::exists(target / "extra"));

  CHECK_THROWS_WITH(write_folder_durably(target,
                                         [](const std::filesystem::path& place) {
                                           write_file_durably(place / "a", "third");
                                           throw std::runtime_error("disk full");
                                         }),
                    "disk full");
  CHECK(get(target / "a") == "second");
  CHECK(folder.entries() == 1);  // neither model.tmp nor model.old
}

TEST_CASE("file: errors name the path and the system's reason", "[io][file]") {
  const TemporaryFolder folder;
  const auto file = put(folder / "file", "12345");
  const auto check_error = [](const std::string& message, const std::string& path, const std::string& reason) {
    CHECK_THAT(message, ContainsSubstring(path));
    CHECK_THAT(message, ContainsSubstring(reason));
  };
  const auto missing = folder / "no/such";
  check_error(message_of<MissingInput>([&] { read_file(missing, 10); }), missing, "No such file");
  check_error(message_of<MissingInput>([&] { InputFile input(missing); }), missing, "No such file");
  check_error(message_of<IoError>([&] { write_file_durably(missing, "x"); }), missing, "No such file");
  check_error(message_of<IoError>([&] { write_file_durably(file / "x", "x"); }), file, "Not a directory");
  check_error(message_of<IoError>([&] { make_directory(file / "x"); }), file, "Not a directory");
  check_error(message_of<IoError>([&] { make_directory(file); }), file, "Not a directory");
  check_error(message_of<IoError>([&] { rename_durably(missing, file); }), missing, "No such file");
  check_error(message_of<IoError>([&] { InputFile input(folder.path()); }), folder.path(), "Is a directory");
  check_error(message_of<IoError>([&] { read_file(folder.path(), 10); }), folder.path(), "Is a directory");
  check_error(message_of<IoError>([&] { InputFile input("/dev/null"); }), "/dev/null", "not a regular file");
  check_error(message_of<IoError>([&] { read_file(file, 4); }), file, "more than 4 bytes");
  CHECK(read_file(file, 5) == "12345");

  try {
    read_file(folder.path(), 10);
  } catch (const IoError& error) {
    CHECK(error.error_number() == EISDIR);
  }
}

TEST_CASE("file: reads at an offset, and says so when the file has become shorter", "[io][file]") {
  const TemporaryFolder folder;
  const auto path = put(folder / "a", "0123456789");
  const InputFile input(path);
  CHECK(input.size() == 10);
  char some[4] = {};
  input.read_at(3, some, 4);
  CHECK(std::string(some, 4) == "3456");
  std::filesystem::resize_file(path, 5);
  CHECK_THAT(message_of<IoError>([&] { input.read_at(3, some, 4); }), ContainsSubstring("ends at byte 5"));
}

TEST_CASE("file: folders are made with parents, renamed over empty ones, and removed with all they hold",
          "[io][file]") {
  const TemporaryFolder folder;
  make_directory(folder / "a/b/c");
  make_directory(folder / "a/b/c");
  put(folder / "a/b/c/file", "x");
  make_directory(folder / "target");
  rename_durably(folder / "a/b/", folder / "target/");
  CHECK(get(folder / "target/c/file") == "x");
  CHECK_FALSE(std::filesystem::exists(folder / "a/b"));
  remove_tree(folder / "target");
  remove_tree(folder / "target");
  CHECK(folder.entries() == 1);
}
