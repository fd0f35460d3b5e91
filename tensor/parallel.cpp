#include "tensor/parallel.h"

#include <immintrin.h>
#include <omp.h>

#include <atomic>
#include <cstdlib>
#include <mutex>
#include <thread>

#include "tensor/check.h"

namespace sfumato {
namespace {

thread_local bool helper_thread = false;

constexpr unsigned kFlushToZero = 0x8000u;
constexpr unsigned kDenormalsAreZero = 0x0040u;

void set_flush_in_this_thread(bool on) {
  constexpr unsigned bits = kFlushToZero | kDenormalsAreZero;
  _mm_setcsr(on ? _mm_getcsr() | bits : _mm_getcsr() & ~bits);
}

struct Threads {
  std::atomic<int> count{0};
  std::atomic<bool> flush_denormal{true};
  std::atomic<bool> set_by_call{false};

  // Workers inherit nothing from each other: every thread of the pool sets its own control register.
  void apply() {
    const bool on = flush_denormal;
    const int n = count;
#pragma omp parallel num_threads(n)
    set_flush_in_this_thread(on);
  }

  Threads() {
    count = std::max(1, omp_get_max_threads());
    apply();
  }
};

Threads& threads() {
  static Threads instance;
  return instance;
}

}  // namespace

int num_threads() { return threads().count.load(std::memory_order_relaxed); }

void set_num_threads(int n) {
  check(n >= 1, "set_num_threads: at least 1, got ", n);
  threads().count = n;
  threads().set_by_call = true;
  omp_set_num_threads(n);
  threads().apply();
}

std::string num_threads_origin() {
  if (threads().set_by_call) {
    return "set_num_threads";
  }
  if (const char* text = std::getenv("OMP_NUM_THREADS"); text != nullptr && *text != '\0') {
    return "OMP_NUM_THREADS";
  }
  return "the affinity mask (" + std::to_string(omp_get_num_procs()) + " of " +
         std::to_string(std::thread::hardware_concurrency()) + " CPUs)";
}

void set_flush_denormal(bool on) {
  threads().flush_denormal = on;
  threads().apply();
}

HelperThreadScope::HelperThreadScope() : previous_(helper_thread) {
  helper_thread = true;
  set_flush_in_this_thread(threads().flush_denormal);
  omp_set_num_threads(1);  // libraries that ask OpenMP see one thread here too
}

HelperThreadScope::~HelperThreadScope() { helper_thread = previous_; }

bool may_open_parallel_region() { return !helper_thread && omp_in_parallel() == 0; }

namespace detail {

void run_parts(int parts, void (*body)(void*, int, int), void* context) {
  std::exception_ptr error;
  std::mutex error_mutex;
#pragma omp parallel num_threads(parts)
  {
    // OpenMP may grant fewer threads than asked for; the parts are then shared out among those it gave.
    const int granted = omp_get_num_threads();
    for (int part = omp_get_thread_num(); part < parts; part += granted) {
      try {
        body(context, part, parts);
      } catch (...) {
        std::lock_guard lock(error_mutex);
        if (!error) {
          error = std::current_exception();
        }
      }
    }
  }
  if (error) {
    std::rethrow_exception(error);
  }
}

}  // namespace detail
}  // namespace sfumato
