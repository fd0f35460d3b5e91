// `sfumato`: train diffusion models, sample from them, look at what is here.
#include <fmt/format.h>

#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <sstream>
#include <thread>

#include "diffusion/cli/exit_codes.h"
#include "diffusion/cli/help.h"
#include "diffusion/cli/options.h"
#include "diffusion/cli/verbs.h"
#include "diffusion/train/config.h"
#include "diffusion/train/environment.h"
#include "diffusion/train/run_directory.h"
#include "tensor/backend/backend.h"
#include "tensor/backend/info.h"
#include "tensor/io/file.h"
#include "tensor/ops/conv.h"
#include "tensor/parallel.h"

namespace sfumato::cli {
namespace {

// More than any machine has; a slip of the keyboard must not start a million.
constexpr int64_t kMostThreads = 4096;

constexpr const char* kFooter = R"(Run 'sfumato VERB --help' for the options and examples of a verb.

Examples:
  sfumato train --preset fashion-small --data fashion-mnist --out runs/fashion
  sfumato sample --model runs/fashion/model --num 64 --out garments.png

Exit status:
  0    success
  1    internal error, or a difference that was asked for
  2    bad command line
  65   bad data: a broken file
  66   an input is missing
  70   diverged: loss or gradient not finite
  73   an output cannot be created
  74   input or output error
  75   stopped by a signal, with a checkpoint: run again with --resume
  78   bad configuration
  130  interrupted (Ctrl-C)

Environment:
  SFUMATO_BACKEND   reference: the plain kernels; fast (default): oneDNN and our vector kernels
  SFUMATO_ISA       lower the instruction set of our kernels: avx512, avx2 or baseline
  SFUMATO_CONV      auto, direct or winograd: the algorithm of 3x3 convolutions
  OMP_NUM_THREADS   compute threads, where --threads does not say
  NO_COLOR          no colour in progress bars)";

}  // namespace

void add_common_options(CLI::App& verb, Common& common) {
  verb.add_option("--threads", common.threads, "Compute threads (default: all that this process may use)")
      ->check(whole_number(1, kMostThreads))
      ->group(kCommonOptions);
  verb.add_flag("--json", common.json, "Print one JSON object on stdout; human text goes to stderr")
      ->group(kCommonOptions);
  verb.get_help_ptr()->group(kCommonOptions);
}

void apply(const Common& common) {
  try {  // now, not when an hour has been spent or a run directory made
    backend();
    conv_algorithm();
    instruction_set_name();
  } catch (const Error& error) {
    throw ConfigError(error.what());
  }
  if (common.threads > 0) {
    set_num_threads(common.threads);
  }
}

ProcessGroup& Common::join() {
  if (group == nullptr) {
    group = join_job();
  }
  return *group;
}

namespace {

// GNU OpenMP's threads wait for each other by spinning for long. Where another process wants the cores too, regions
// wait for whole time slices: steps of 0.3 s have been seen to take 12 s. So spin briefly, then sleep. The library
// reads this once, when it is loaded, hence the second start.
void limit_spinning(char** argv) {
  if (std::getenv("GOMP_SPINCOUNT") == nullptr && std::getenv("OMP_WAIT_POLICY") == nullptr) {
    setenv("GOMP_SPINCOUNT", "10000", 1);
    execv("/proc/self/exe", argv);  // comes back only where there is no /proc: then go on as we are
  }
}

// The cause as one line, whatever lists it holds.
int complain(const std::string& message, int code, const std::string& who = {}) {
  std::string line;
  std::istringstream parts(message);
  for (std::string part; std::getline(parts, part);) {
    const size_t text = part.find_first_not_of(' ');
    if (text != std::string::npos) {
      line += (line.empty() ? "" : "; ") + part.substr(text);
    }
  }
  std::fputs(fmt::format("sfumato: {}{}\n", who, line).c_str(), stderr);
  return code;
}

// Several processes often fail alike, and once is enough: rank 0 speaks first, and ends the others before they do.
constexpr std::chrono::seconds kFirstWord{2};

// Ends the job of all ranks when one fails: the others would wait for it.
int complain(const std::string& message, int code, const Common& common) {
  if (common.group == nullptr || common.group->size() == 1) {
    return complain(message, code);
  }
  if (!common.group->is_root()) {
    std::this_thread::sleep_for(kFirstWord);
  }
  complain(message, code, fmt::format("rank {}: ", common.group->rank()));
  common.group->abort(code);
  return code;
}

// The one place that knows which error ends in which exit code.
int run_guarded(const Verb& verb, const Common& common) {
  try {
    return verb();
  } catch (const LaunchError& error) {
    return complain(error.what(), kBadConfig, common);
  } catch (const UsageError& error) {
    return complain(error.what(), kUsage, common);
  } catch (const ConfigError& error) {
    return complain(error.what(), kBadConfig, common);
  } catch (const CannotCreate& error) {
    return complain(error.what(), kCannotCreate, common);
  } catch (const MissingInput& error) {
    return complain(error.what(), kMissingInput, common);
  } catch (const IoError& error) {
    return complain(error.what(), kIo, common);
  } catch (const FormatError& error) {
    return complain(error.what(), kBadData, common);
  } catch (const Error& error) {
    return complain(error.what(), kBadData, common);
  } catch (const std::bad_alloc&) {
    return complain("out of memory", kInternal, common);
  } catch (const std::exception& error) {
    return complain(fmt::format("internal error: {}", error.what()), kInternal, common);
  }
}

// `sfumato help [VERB]`, for those who try that first.
Verb add_help(CLI::App& app, Common& /*common*/) {
  auto name = std::make_shared<std::string>();
  CLI::App* verb = app.add_subcommand("help", "Show this text, or that of a verb");
  std::vector<std::string> names;
  for (const CLI::App* other : app.get_subcommands([](const CLI::App*) { return true; })) {
    names.push_back(other->get_name());
  }
  verb->add_option("VERB", *name, "The verb to explain")->check(CLI::IsMember(names));
  return [name, &app] {
    app.clear();  // help() speaks of the verb that was parsed, which is this one
    const CLI::App* topic = name->empty() ? &app : app.get_subcommand(*name);
    std::fputs(topic->help(name->empty() ? "" : "sfumato").c_str(), stdout);
    return static_cast<int>(kOk);
  };
}

// A bad command line: one line, and where to read on.
int refuse(const CLI::App& app, const CLI::ParseError& error) {
  const std::vector<CLI::App*> parsed = app.get_subcommands();
  const std::vector<std::string> unknown = app.remaining();
  if (parsed.empty() && !unknown.empty()) {
    return complain(fmt::format("there is no verb '{}' (see sfumato --help)", unknown.front()), kUsage);
  }
  const std::string verb = parsed.empty() ? "" : " " + parsed.front()->get_name();
  return complain(fmt::format("{} (see sfumato{} --help)", error.what(), verb), kUsage);
}

int run(int argc, char** argv) {
  CLI::App app{"Train diffusion models on CPUs, sample from them, and look at what they are made of", "sfumato"};
  app.formatter(std::make_shared<HelpFormatter>());
  app.set_version_flag("--version", fmt::format("sfumato {}", kVersion));
  app.require_subcommand(1);
  Common common;
  std::vector<std::pair<CLI::App*, Verb>> verbs;
  for (auto* add : {&add_train, &add_sample, &add_evaluate, &add_forward, &add_inspect, &add_convert, &add_info,
                    &add_completion, &add_help}) {
    const Verb verb = (*add)(app, common);
    verbs.emplace_back(app.get_subcommands(nullptr).back(), verb);
  }
  // Here, so that the verbs do not inherit them.
  app.footer(kFooter);
  app.set_help_all_flag("--help-all", "Print the help of all verbs and exit");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return error.get_exit_code() == 0 ? app.exit(error) : refuse(app, error);
  }
  for (const auto& [subcommand, verb] : verbs) {
    if (subcommand->parsed()) {
      return run_guarded(verb, common);
    }
  }
  return kUsage;
}

}  // namespace
}  // namespace sfumato::cli

int main(int argc, char** argv) {
  sfumato::cli::limit_spinning(argv);
  return sfumato::cli::run(argc, argv);
}
