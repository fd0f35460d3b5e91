// `sfumato`: train diffusion models, sample from them, look at what is here.
#include <fmt/format.h>

#include <unistd.h>

#include <cstdio>
#include <cstdlib>

#include "diffusion/cli/exit_codes.h"
#include "diffusion/cli/verbs.h"
#include "diffusion/train/config.h"
#include "diffusion/train/environment.h"
#include "diffusion/train/run_directory.h"
#include "tensor/io/file.h"
#include "tensor/parallel.h"

namespace sfumato::cli {

void add_common_options(CLI::App& verb, Common& common) {
  verb.add_option("--threads", common.threads, "Compute threads (default: all that this process may use)")
      ->check(CLI::PositiveNumber);
  verb.add_flag("--json", common.json, "Print one JSON object on stdout; human text goes to stderr");
}

void apply(const Common& common) {
  if (common.threads > 0) {
    set_num_threads(common.threads);
  }
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

int complain(const char* message, int code) {
  std::fputs(fmt::format("sfumato: {}\n", message).c_str(), stderr);
  return code;
}

// The one place that knows which error ends in which exit code.
int run_guarded(const Verb& verb) {
  try {
    return verb();
  } catch (const ConfigError& error) {
    return complain(error.what(), kBadConfig);
  } catch (const CannotCreate& error) {
    return complain(error.what(), kCannotCreate);
  } catch (const MissingInput& error) {
    return complain(error.what(), kMissingInput);
  } catch (const IoError& error) {
    return complain(error.what(), kIo);
  } catch (const FormatError& error) {
    return complain(error.what(), kBadData);
  } catch (const Error& error) {
    return complain(error.what(), kBadData);
  } catch (const std::bad_alloc&) {
    return complain("out of memory", kInternal);
  } catch (const std::exception& error) {
    return complain(fmt::format("internal error: {}", error.what()).c_str(), kInternal);
  }
}

int run(int argc, char** argv) {
  CLI::App app{"Sfumato: train diffusion models on CPUs and sample from them."};
  app.set_version_flag("--version", kVersion);
  app.require_subcommand(1);
  app.footer("Run 'sfumato VERB --help' for the options and examples of a verb.");
  Common common;
  std::vector<std::pair<CLI::App*, Verb>> verbs;
  for (auto* add : {&add_train, &add_sample, &add_forward, &add_inspect, &add_info}) {
    const Verb verb = (*add)(app, common);
    verbs.emplace_back(app.get_subcommands(nullptr).back(), verb);
  }
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? kOk : kUsage;
  }
  for (const auto& [subcommand, verb] : verbs) {
    if (subcommand->parsed()) {
      return run_guarded(verb);
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
