#include "diffusion/cli/complete.h"

#include <fmt/format.h>

#include "diffusion/cli/exit_codes.h"
#include "diffusion/cli/options.h"
#include "diffusion/cli/verbs.h"
#include "diffusion/train/config.h"

namespace sfumato::cli {
namespace {

// `@...@` are filled in below. The script needs nothing but bash 4.
constexpr const char* kScript = R"(# Completion of sfumato for bash, written by `sfumato completion bash`.
_sfumato() {
  local word=${COMP_WORDS[COMP_CWORD]} option=${COMP_WORDS[COMP_CWORD - 1]} verb= i
  for ((i = 1; i < COMP_CWORD; ++i)); do
    case ${COMP_WORDS[i]} in
      -*) ;;
      *) verb=${COMP_WORDS[i]}; break ;;
    esac
  done
  # bash takes --option=value for three words.
  if [ "$word" = = ]; then word=; elif [ "$option" = = ]; then option=${COMP_WORDS[COMP_CWORD - 2]}; fi
  local words= paths= suffix=
  case "$verb $option" in
@values@    *)
      case $verb in
@options@      esac
      [[ $word == -* ]] && paths= ;;
  esac
  COMPREPLY=($(compgen -W "$words" -S "$suffix" -- "$word"))
  [ -z "$suffix" ] || compopt -o nospace 2>/dev/null
  case $paths in
    file) compopt -o filenames 2>/dev/null; COMPREPLY+=($(compgen -f -- "$word")) ;;
    folder) compopt -o filenames 2>/dev/null; COMPREPLY+=($(compgen -d -- "$word")) ;;
  esac
}
complete -F _sfumato sfumato
)";

std::string join(const std::vector<std::string>& words) { return fmt::format("{}", fmt::join(words, " ")); }

bool contains(const std::string& text, std::string_view part) { return text.find(part) != std::string::npos; }

std::string config_keys() {
  TrainConfig config;
  std::vector<std::string> keys;
  for (const NamedField& field : fields_of(config)) {
    keys.push_back(field.key);
  }
  return join(keys);
}

// What may stand where the option wants a value: shell assignments.
std::string completion_of(const CLI::Option& option) {
  const std::string type = option.get_type_name();
  if (contains(type, "KEY=VALUE")) {
    return fmt::format("words='{}' suffix==", config_keys());
  }
  const char* paths = contains(type, "FILE") || contains(type, "PATH") ? "file" : contains(type, "DIR") ? "folder" : "";
  return fmt::format("words='{}' paths={}", join(known_values(option)), paths);
}

// "--out" and, for flags with a negation, "--no-clip-sample" too.
std::vector<std::string> names_of(const CLI::Option& option) {
  std::vector<std::string> names;
  for (const std::string& name : option.get_lnames()) {
    names.push_back("--" + name);
  }
  return names;
}

// Those of the verb and of its nameless parts, which CLI11 calls option groups.
std::vector<const CLI::Option*> options_of(const CLI::App& verb) {
  std::vector<const CLI::Option*> options = verb.get_options();
  for (const CLI::App* part : verb.get_subcommands([](const CLI::App* p) { return p->get_name().empty(); })) {
    const std::vector<const CLI::Option*> more = part->get_options();
    options.insert(options.end(), more.begin(), more.end());
  }
  return options;
}

void describe(const CLI::App& app, std::string& values, std::string& options) {
  std::vector<std::string> words;
  std::string positional;
  for (const CLI::Option* option : options_of(app)) {
    if (option->get_positional()) {
      positional = completion_of(*option) + "; ";
      continue;
    }
    const std::vector<std::string> names = names_of(*option);
    words.insert(words.end(), names.begin(), names.end());
    if (takes_value(*option)) {
      for (const std::string& name : names) {
        values += fmt::format("    '{} {}') {} ;;\n", app.get_name(), name, completion_of(*option));
      }
    }
  }
  const std::string all = join(words);
  if (positional.empty()) {
    options += fmt::format("        {}) words='{}' ;;\n", app.get_name(), all);
  } else {
    options += fmt::format("        {}) {}[[ $word == -* ]] && words='{}' ;;\n", app.get_name(), positional, all);
  }
}

std::string replace(std::string text, const std::string& mark, const std::string& by) {
  return text.replace(text.find(mark), mark.size(), by);
}

}  // namespace

std::string bash_completion(const CLI::App& app) {
  std::string values, options;
  std::vector<std::string> verbs;
  for (const CLI::App* verb : app.get_subcommands([](const CLI::App* v) { return !v->get_name().empty(); })) {
    verbs.push_back(verb->get_name());
    describe(*verb, values, options);
  }
  options += fmt::format("        '') words='{} --help --version' ;;\n", join(verbs));
  return replace(replace(kScript, "@values@", values), "@options@", options);
}

Verb add_completion(CLI::App& app, Common& /*common*/) {
  auto shell = std::make_shared<std::string>();
  CLI::App* verb = app.add_subcommand("completion", "Print a completion script for the shell");
  verb->add_option("SHELL", *shell, "bash")->required()->check(CLI::IsMember({"bash"}));
  verb->footer(R"(Examples:
  source <(sfumato completion bash)
  sfumato completion bash > ~/.local/share/bash-completion/completions/sfumato)");
  return [shell, &app] {
    std::fputs(bash_completion(app).c_str(), stdout);
    return static_cast<int>(kOk);
  };
}

}  // namespace sfumato::cli
