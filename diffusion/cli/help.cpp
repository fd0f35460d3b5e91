#include "diffusion/cli/help.h"

#include <fmt/format.h>

#include <algorithm>
#include <sstream>

#include "diffusion/cli/options.h"

namespace sfumato::cli {
namespace {

constexpr size_t kWidth = 100;
constexpr size_t kColumn = 26;  // where descriptions begin

// `text` broken at spaces into lines of at most `width`.
std::vector<std::string> wrap(const std::string& text, size_t width) {
  std::vector<std::string> lines(1);
  std::istringstream words(text);
  for (std::string word; words >> word;) {
    if (!lines.back().empty() && lines.back().size() + 1 + word.size() > width) {
      lines.emplace_back();
    }
    lines.back() += (lines.back().empty() ? "" : " ") + word;
  }
  return lines;
}

// "  name        description ...", the description hanging in its column.
std::string entry(const std::string& name, const std::string& description) {
  std::string out = "  " + name;
  for (const std::string& line : wrap(description, kWidth - kColumn)) {
    // Two spaces at least, or the description begins on a line of its own.
    if (out.find('\n') == std::string::npos && out.size() + 2 > kColumn) {
      out += "\n";
    }
    const size_t in_line = out.size() - (out.rfind('\n') == std::string::npos ? 0 : out.rfind('\n') + 1);
    out += std::string(kColumn - std::min(in_line, kColumn), ' ') + line + "\n";
  }
  return out;
}

std::string option_entry(const CLI::Option& option) {
  // CLI11 joins names by commas alone; GNU's form has a space after them.
  std::string name = option.get_positional() ? option.get_name(true) : option.get_name(false, true);
  for (size_t at = name.find(','); at != std::string::npos; at = name.find(',', at + 2)) {
    name.replace(at, 1, ", ");
  }
  const std::string value = value_text(option);
  if (!option.get_positional() && !value.empty()) {
    name += " " + value;
  }
  return entry(name, option.get_description() + (option.get_required() ? " (required)" : ""));
}

std::string usage(const CLI::App& app, const std::string& name) {
  std::string line = "Usage: " + name;
  for (const CLI::Option* option : app.get_options([](const CLI::Option* o) { return o->get_required(); })) {
    line += option->get_positional() ? " " + option->get_name(true)
                                     : fmt::format(" {} {}", option->get_name(), value_text(*option));
  }
  for (const CLI::Option* option : app.get_options([](const CLI::Option* o) { return !o->get_required(); })) {
    line += option->get_positional() ? " [" + option->get_name(true) + "]" : "";
  }
  const bool has_verbs = !app.get_subcommands([](const CLI::App*) { return true; }).empty();
  return line + (has_verbs ? " VERB" : "") + " [OPTIONS]\n";
}

std::string option_groups(const CLI::App& app) {
  std::string out;
  for (const std::string& group : app.get_groups()) {
    std::string entries;
    for (const CLI::Option* option : app.get_options([&](const CLI::Option* o) { return o->get_group() == group; })) {
      entries += option_entry(*option);
    }
    if (!group.empty() && !entries.empty()) {
      out += "\n" + group + ":\n" + entries;
    }
  }
  return out;
}

}  // namespace

std::string HelpFormatter::make_help(const CLI::App* app, std::string name, CLI::AppFormatMode mode) const {
  if (name.empty() || name.find('/') != std::string::npos) {
    name = "sfumato";
  }
  const auto verbs = app->get_subcommands([](const CLI::App* verb) { return !verb->get_group().empty(); });
  std::string out = usage(*app, name) + "\n";
  for (const std::string& line : wrap(app->get_description(), kWidth)) {
    out += line + "\n";
  }
  out += option_groups(*app);
  if (!verbs.empty()) {
    out += "\nVerbs:\n";
    for (const CLI::App* verb : verbs) {
      out += entry(verb->get_name(), verb->get_description());
    }
  }
  if (!app->get_footer().empty()) {
    out += "\n" + app->get_footer() + "\n";
  }
  if (mode == CLI::AppFormatMode::All) {
    for (const CLI::App* verb : verbs) {
      out += "\n" + verb->help("sfumato " + verb->get_name(), CLI::AppFormatMode::Sub);
    }
  }
  return out;
}

}  // namespace sfumato::cli
