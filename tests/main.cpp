// The main function of every test executable: our own, because version 2 of Catch2 has it in a macro and version 3 in a
// library.
#define CATCH_CONFIG_RUNNER  // version 2: the framework itself is compiled here, once; version 3 ignores it
#include "catch.h"

#include <iostream>
#include <utility>

namespace {
std::string closing_line;
}

void sfumato::testing::set_closing_line(std::string line) { closing_line = std::move(line); }

int main(int argc, char** argv) {
  const int status = Catch::Session().run(argc, argv);
  if (!closing_line.empty()) std::cout << closing_line << std::endl;
  return status;
}
