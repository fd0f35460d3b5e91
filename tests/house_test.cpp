// The rules of the house, proved from the sources themselves: which layer may include which, where the outside
// libraries may be named, how long a file may grow, and how a header opens.
//
//   diffusion -> nn -> autograd -> tensor, never backwards     (tests, bench and examples may include everything)
//   oneDNN in tensor/backend/onednn/ and bench/peers/, MPI in nn/distributed/, OpenMP in tensor/ and bench/
#include "catch.h"

#include <algorithm>
#include <array>
#include <filesystem>
#include <fstream>
#include <initializer_list>
#include <map>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

namespace fs = std::filesystem;

namespace {

constexpr std::array kLayers{"tensor", "autograd", "nn", "diffusion"};  // each may include itself and those before it
constexpr std::array kFolders{"tensor", "autograd", "nn", "diffusion", "tests", "bench", "examples"};

// Below this a file is still read in one sitting.
constexpr int kMaxLines = 450;

// Files that may be longer, each with its reason. A file that no longer needs its place here fails the test.
const std::map<std::string, std::string> kLongFiles{};

// 0 for tensor ... 3 for diffusion, -1 for anything else: the first part of a source's path or of an #include decides.
int layer_of(std::string_view path) {
  const auto folder = path.substr(0, path.find('/'));
  const auto* layer = std::find(kLayers.begin(), kLayers.end(), folder);
  return layer == kLayers.end() ? -1 : static_cast<int>(layer - kLayers.begin());
}

bool is_below(std::string_view path, std::initializer_list<std::string_view> folders) {
  return std::any_of(folders.begin(), folders.end(), [&](auto folder) { return path.starts_with(folder); });
}

std::string_view trim_left(std::string_view text) {
  text.remove_prefix(std::min(text.find_first_not_of(" \t\r\n"), text.size()));
  return text;
}

// What follows `#`, e.g. `include "tensor/shape.h"`; empty when the line is no directive.
std::string_view directive(std::string_view line) {
  line = trim_left(line);
  return line.starts_with('#') ? trim_left(line.substr(1)) : std::string_view{};
}

// The file that a line includes, e.g. `tensor/shape.h`; empty when it includes none.
std::string_view included(std::string_view line) {
  auto rest = directive(line);
  if (!rest.starts_with("include")) return {};
  const auto open = rest.find_first_of("<\"");
  if (open == rest.npos) return {};
  rest.remove_prefix(open + 1);
  return rest.substr(0, rest.find_first_of(">\""));
}

std::string check_include(std::string_view path, std::string_view header) {
  const auto name = header.substr(header.rfind('/') + 1);
  const int layer = layer_of(path);
  if (layer >= 0) {
    if (header.find("..") != header.npos) return "is written from the root, as \"tensor/shape.h\" is";
    if (layer_of(header) > layer || is_below(header, {"tests/", "bench/", "examples/"})) return "points backwards";
  }
  if (name.starts_with("dnnl") && !is_below(path, {"tensor/backend/onednn/", "bench/peers/"})) {
    return "names oneDNN outside tensor/backend/onednn/ and bench/peers/";
  }
  if (name == "mpi.h" && !is_below(path, {"nn/distributed/"})) return "names MPI outside nn/distributed/";
  if (name == "omp.h" && !is_below(path, {"tensor/", "bench/"})) return "names OpenMP outside tensor/ and bench/";
  return {};
}

// Every rule that the text of one file breaks, a line each.
std::vector<std::string> violations(const std::string& path, const std::string& text) {
  std::vector<std::string> found;
  const bool is_header = path.ends_with(".h");
  bool guarded = false;
  int number = 0;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    ++number;
    const auto where = path + ":" + std::to_string(number) + ": ";
    const auto header = included(line);
    if (!header.empty()) {
      const auto complaint = check_include(path, header);
      if (!complaint.empty()) found.push_back(where + "#include of " + std::string(header) + " " + complaint);
    }
    const auto pragma = directive(line);
    if (pragma.starts_with("pragma omp") && !is_below(path, {"tensor/", "bench/"})) {
      found.push_back(where + "OpenMP belongs in tensor/ and bench/");
    }
    guarded = guarded || pragma.starts_with("pragma once");
  }
  if (is_header && !guarded) found.push_back(path + ": a header says #pragma once");
  if (is_header && !is_below(trim_left(text), {"//", "/*"})) {
    found.push_back(path + ": a header opens with a comment on its purpose");
  }
  if (!is_header && !path.ends_with(".cpp")) found.push_back(path + ": sources are named .h and .cpp");
  if ((number >= kMaxLines) != kLongFiles.contains(path)) {
    found.push_back(path + ": has " + std::to_string(number) + " lines" +
                    (number >= kMaxLines ? ": find a seam to split it at" : " and may leave the list of long files"));
  }
  return found;
}

// All C++ below the folders of the house, as paths from the root of the repository.
std::vector<std::string> sources() {
  constexpr std::array endings{".h", ".hpp", ".hh", ".inl", ".inc", ".cpp", ".cc", ".cxx", ".c"};
  std::vector<std::string> paths;
  for (const auto* folder : kFolders) {
    const auto top = fs::path(SFUMATO_SOURCE_DIR) / folder;
    if (!fs::exists(top)) continue;
    for (const auto& entry : fs::recursive_directory_iterator(top)) {
      if (entry.is_regular_file() &&
          std::count(endings.begin(), endings.end(), entry.path().extension().string()) > 0) {
        paths.push_back(fs::relative(entry.path(), SFUMATO_SOURCE_DIR).generic_string());
      }
    }
  }
  std::sort(paths.begin(), paths.end());
  return paths;
}

}  // namespace

TEST_CASE("every source keeps the rules of the house", "[house]") {
  const auto paths = sources();
  REQUIRE(std::count(paths.begin(), paths.end(), "tests/house_test.cpp") == 1);  // we are looking in the right place
  for (const auto& path : paths) {
    std::ostringstream text;
    text << std::ifstream(fs::path(SFUMATO_SOURCE_DIR) / path).rdbuf();
    for (const auto& violation : violations(path, text.str())) FAIL_CHECK(violation);
  }
  for (const auto& [path, reason] : kLongFiles) {
    INFO(path << " may be long because: " << reason);
    CHECK(std::count(paths.begin(), paths.end(), path) == 1);
  }
}

TEST_CASE("the rules of the house catch what they forbid", "[house]") {
  const auto broken = [](const std::string& path, const std::string& text) { return violations(path, text).size(); };
  const std::string good = "// What it is for.\n#pragma once\n#include <vector>\n#include \"tensor/shape.h\"\n";

  SECTION("a good file breaks none") {
    for (const auto* folder : kFolders) CHECK(broken(std::string(folder) + "/a.h", good) == 0);
  }
  SECTION("layers") {
    for (size_t from = 0; from < kLayers.size(); ++from) {
      for (size_t to = 0; to < kLayers.size(); ++to) {
        const std::string path = std::string(kLayers[from]) + "/sub/a.cpp", header = std::string(kLayers[to]) + "/b.h";
        CAPTURE(path, header);
        CHECK(broken(path, "#include \"" + header + "\"\n") == (to > from ? 1 : 0));
        CHECK(broken(path, "  #  include <" + header + ">  // why\n") == (to > from ? 1 : 0));
        CHECK(broken("examples/a.cpp", "#include \"" + header + "\"\n") == 0);
      }
    }
    CHECK(broken("nn/a.cpp", "#include \"tests/catch.h\"\n") == 1);
    CHECK(broken("tensor/a.cpp", "#include \"../nn/module.h\"\n") == 1);
    CHECK(broken("tensor/a.cpp", "// #include \"nn/module.h\"\n") == 0);
  }
  SECTION("outside libraries") {
    for (const auto* line :
         {"#include <dnnl.hpp>\n", "#include <oneapi/dnnl/dnnl.hpp>\n", "#include \"dnnl_types.h\"\n"}) {
      CAPTURE(line);
      CHECK(broken("tensor/backend/backend.cpp", line) == 1);
      CHECK(broken("tests/a.cpp", line) == 1);
      CHECK(broken("tensor/backend/onednn/conv.cpp", line) == 0);
      CHECK(broken("bench/peers/conv.cpp", line) == 0);
    }
    CHECK(broken("nn/loader.cpp", "#include <mpi.h>\n") == 1);
    CHECK(broken("nn/distributed/group.cpp", "#include <mpi.h>\n") == 0);
    for (const auto* line : {"#include <omp.h>\n", "  #pragma omp parallel for\n", "# pragma omp simd\n"}) {
      CAPTURE(line);
      CHECK(broken("autograd/engine.cpp", line) == 1);
      CHECK(broken("tests/a.cpp", line) == 1);
      CHECK(broken("tensor/ops/sum.cpp", line) == 0);
      CHECK(broken("bench/roofline.cpp", line) == 0);
    }
  }
  SECTION("files and headers") {
    std::string text;
    for (int line = 1; line < kMaxLines; ++line) text += "\n";
    CHECK(broken("nn/a.cpp", text) == 0);
    CHECK(broken("nn/a.cpp", text + "\n") == 1);
    CHECK(broken("nn/a.h", "// No guard.\n") == 1);
    CHECK(broken("nn/a.h", "#pragma once\n// Too late.\n") == 1);
    CHECK(broken("nn/a.hpp", "// Another name.\n") == 1);
  }
}
