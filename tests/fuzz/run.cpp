#include "tests/fuzz/run.h"

#include <fmt/format.h>
#include <sys/time.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <stdexcept>

#include "tensor/check.h"
#include "tensor/io/file.h"
#include "tensor/parallel.h"
#include "tests/fuzz/memory_meter.h"

#if defined(__SANITIZE_ADDRESS__)
extern "C" void __sanitizer_set_death_callback(void (*callback)());
#endif

namespace sfumato::fuzz {
namespace {

// The rule for readers: twice what a file holds, and this.
constexpr size_t kSlack = size_t{16} << 20;
constexpr int kMostSeconds = 60;

// Which input is being read, for whoever has to tell of it when nothing else works any more.
std::string current_format;
std::atomic<uint64_t> current_seed{0}, current_index{0};

void print_current() {
  char line[160];
  const int length = std::snprintf(line, sizeof(line), "\nto see it again: sfumato_fuzz %s --seed %llu --only %llu\n",
                                   current_format.c_str(), static_cast<unsigned long long>(current_seed.load()),
                                   static_cast<unsigned long long>(current_index.load()));
  if (write(STDERR_FILENO, line, static_cast<size_t>(length)) < 0) _exit(1);
}

// The alarm rings every minute of processor time: twice during one input is too long.
void on_alarm(int) {
  static uint64_t last = ~uint64_t{0};
  if (last == current_index) {
    constexpr char text[] = "\nFINDING: an input takes longer than a minute";
    if (write(STDERR_FILENO, text, sizeof(text) - 1) < 0) _exit(1);
    print_current();
    _exit(1);
  }
  last = current_index;
}

void watch(const Format& format, uint64_t seed) {
  current_format = format.name();
  current_seed = seed;
  std::signal(SIGVTALRM, on_alarm);
  const itimerval every{{kMostSeconds, 0}, {kMostSeconds, 0}};
  setitimer(ITIMER_VIRTUAL, &every, nullptr);
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_set_death_callback(print_current);
#endif
}

// A message without what differs from file to file: quoted text, numbers, anything long.
std::string kind_of(const std::string& message) {
  std::string kind;
  char quote = 0;
  for (const char c : message) {
    if (quote != 0) {
      quote = c == quote ? 0 : quote;
    } else if (c == '\'' || c == '"') {
      quote = c;
      kind += '*';
    } else if (c >= '0' && c <= '9') {
      if (kind.empty() || kind.back() != '#') kind += '#';
    } else {
      kind += c;
    }
    constexpr size_t kLongest = 80;
    if (kind.size() > kLongest) break;
  }
  return kind;
}

// Also what it holds is measured against: half of the rule is for each.
void check_memory(const Format& format, std::string_view input, size_t used) {
  const size_t allowed = 2 * std::max(input.size(), format.decoded_bytes(input)) + kSlack;
  if (used + input.size() > allowed) {
    throw std::runtime_error(
        fmt::format("an input of {} bytes took {} more, {} in all are allowed", input.size(), used, allowed));
  }
}

}  // namespace

std::string make_input(const Format& format, uint64_t seed, uint64_t index) {
  static const Format* last = nullptr;
  static std::vector<std::string> corpus;
  if (last != &format) {
    corpus = format.corpus();
    last = &format;
  }
  Random random(seed, index);
  std::string input = random.pick(corpus);
  format.mutate(input, random);
  return input;
}

std::string try_input(const Format& format, std::string_view input, size_t* memory) {
  const MemoryMeter meter;
  std::string message;
  try {
    format.read(input);
  } catch (const Error& error) {
    message = error.what();
  } catch (const IoError& error) {
    message = error.what();
  } catch (const std::exception& error) {
    throw std::runtime_error(std::string("an error that no user should see: ") + error.what());
  }
  const size_t used = meter.peak();
  check_memory(format, input, used);
  if (memory != nullptr) *memory = used;
  return message;
}

Report run(const Format& format, const RunOptions& options) {
  set_num_threads(1);
  watch(format, options.seed);
  Report report;
  for (uint64_t i = options.first; i < options.first + options.count; ++i) {
    current_index = i;
    const std::string input = make_input(format, options.seed, i);
    std::string message;
    size_t memory = 0;
    try {
      message = try_input(format, input, &memory);
    } catch (const std::runtime_error& error) {
      report.finding =
          fmt::format("{} (sfumato_fuzz {} --seed {} --only {})", error.what(), format.name(), options.seed, i);
      return report;
    }
    ++report.inputs;
    report.past_header += format.passes_header(input, message) ? 1 : 0;
    report.accepted += message.empty() ? 1 : 0;
    report.most_memory = std::max(report.most_memory, memory);
    constexpr size_t kMostKinds = 2000;
    if (!message.empty() && report.messages.size() < kMostKinds) report.messages.insert(kind_of(message));
  }
  return report;
}

}  // namespace sfumato::fuzz
