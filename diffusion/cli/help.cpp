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
  // A flag with a negation is listed as --on,--off{false}.
  name = name.substr(0, name.find('{'));
  const std::string value = value_text(option);
  if (!option.get_positional() && !value.empty()) {
    name += " " + value;
  }
  return entry(name, option.get_description() + (option.get_required() ? " (required)" : ""));
}

std::vector<const CLI::App*> verbs_of(const CLI::App& app) {
  return app.get_subcommands([](const CLI::App* part) { return !part->get_name().empty(); });
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
  return line + (verbs_of(app).empty() ? "" : " VERB") + " [OPTIONS]\n";
}

std::string entries_of(const std::vector<const CLI::Option*>& options) {
  std::string entries;
  for (const CLI::Option* option : options) {
    entries += option_entry(*option);
  }
  return entries;
}

std::string option_groups(const CLI::App& app) {
  std::string out;
  // Options of which one is needed, or the like, are what CLI11 calls an option group: a nameless part of the verb.
  for (const CLI::App* part : app.get_subcommands([](const CLI::App* p) { return p->get_name().empty(); })) {
    const auto options = part->get_options([&](const CLI::Option* o) { return o != part->get_help_ptr(); });
    out += fmt::format("\n{} ({}):\n{}", part->get_group(), part->get_description(), entries_of(options));
  }
  std::vector<std::string> groups = app.get_groups();
  std::stable_partition(groups.begin(), groups.end(), [](const auto& group) { return group != kCommonOptions; });
  for (const std::string& group : groups) {
    const auto options = app.get_options([&](const CLI::Option* o) { return o->get_group() == group; });
    if (!group.empty() && !options.empty()) {
      out += "\n" + group + ":\n" + entries_of(options);
    }
  }
  return out;
}

std::string paragraph(const std::string& text) { return fmt::format("{}\n", fmt::join(wrap(text, kWidth), "\n")); }

void replace_all(std::string& text, const std::string& part, const std::string& by) {
  for (size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + by.size())) {
    text.replace(at, part.size(), by);
  }
}

// A verb as a section of the manual page. help2man takes *TITLE* for a section and `$` for the beginning of a command;
// "Options:" and "Examples:" would begin other sections.
std::string section(const CLI::App& verb, const std::string& name) {
  std::string text = usage(verb, name) + option_groups(verb) + "\n" + verb.get_footer() + "\n";
  replace_all(text, "Usage: ", "  $ ");
  replace_all(text, "\nOptions:\n", "\n");
  replace_all(text, "\nExamples:\n", "\nFor example:\n\n");
  replace_all(text, "\n  sfumato ", "\n  $ sfumato ");
  return fmt::format("\n*{}*\n\n{}.\n\n{}", name, verb.get_description(), text);
}

}  // namespace

std::string HelpFormatter::make_help(const CLI::App* app, std::string name, CLI::AppFormatMode mode) const {
  std::string out = usage(*app, name) + "\n" + paragraph(app->get_description() + ".") + option_groups(*app);
  const std::vector<const CLI::App*> verbs = verbs_of(*app);
  if (!verbs.empty()) {
    out += "\nVerbs:\n";
  }
  for (const CLI::App* verb : verbs) {
    out += entry(verb->get_name(), verb->get_description());
  }
  if (mode == CLI::AppFormatMode::All) {
    for (const CLI::App* verb : verbs) {
      out += section(*verb, name + " " + verb->get_name());
    }
  }
  std::string footer = app->get_footer().empty() ? "" : "\n" + app->get_footer() + "\n";
  if (mode == CLI::AppFormatMode::All) {
    replace_all(footer, "\n  sfumato ", "\n  $ sfumato ");
    replace_all(footer, "\nExit status:\n", "\n*Exit status*\n\n");
  }
  return out + footer;
}

}  // namespace sfumato::cli
