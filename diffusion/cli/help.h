// The layout of `--help`: usage, description, options by group with their texts wrapped to 100 columns, verbs,
// examples. GNU's form, so that help2man makes a manual page of it.
//
//   app.formatter(std::make_shared<HelpFormatter>());    // before the verbs are added: they inherit it
//
// `--help-all` has all verbs' texts one after the other: the body of the manual page.
#pragma once

#include <CLI/CLI.hpp>

#include <string>

namespace sfumato::cli {

// The group of --threads, --json and --help, which is listed last.
inline constexpr const char* kCommonOptions = "Common options";

class HelpFormatter : public CLI::FormatterBase {
 public:
  std::string make_help(const CLI::App* app, std::string name, CLI::AppFormatMode mode) const override;
};

}  // namespace sfumato::cli
