// PyTorch's C++ library beside the `overhead/` benchmarks: the same calls without Python in between. Not part of our
// build: `./run bench --against libtorch` sends it to a machine, container or chroot that has libtorch, as
//
//   g++ -O2 -std=c++20 libtorch_overhead.cpp -I/usr/include/torch/csrc/api/include -ltorch -ltorch_cpu -lc10
//   ./a.out THREADS REPETITIONS
//
// It prints results in Google Benchmark's JSON, named peer/libtorch/<the name of ours>.
#include <torch/torch.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>

namespace {

// Prints one result of the list.
void print_run(const std::string& name, int repetition, int iterations, double nanoseconds) {
  static const char* separator = "";
  std::printf(
      "%s\n{\"name\": \"peer/libtorch/overhead/%s\", \"run_type\": \"iteration\", \"repetition_index\": %d, "
      "\"iterations\": %d, \"real_time\": %.3f, \"cpu_time\": %.3f, \"time_unit\": \"ns\"}",
      separator, name.c_str(), repetition, iterations, nanoseconds, nanoseconds);
  separator = ",";
}

// Rounds of about 30 ms each, after one that finds out how many calls that is.
template <class F>
void measure(const std::string& name, int repetitions, F f) {
  using Clock = std::chrono::steady_clock;
  const auto round = [&](int count) {
    const auto begin = Clock::now();
    for (int i = 0; i < count; ++i) {
      f();
    }
    return std::chrono::duration<double>(Clock::now() - begin).count();
  };
  int count = 1;
  double seconds = 0;
  while ((seconds = round(count)) < 3e-3) {
    count *= 4;
  }
  count = std::max(1, static_cast<int>(30e-3 / seconds * count));
  for (int i = 0; i < repetitions; ++i) {
    print_run(name, i, count, 1e9 * round(count) / count);
  }
}

void measure_tensors(int repetitions) {
  const torch::NoGradGuard guard;
  const auto one = torch::ones(1), a = torch::ones(16), b = torch::full(16, 2.0), matrix = torch::ones({4, 4});
  measure("allocate_16", repetitions, [] { return torch::empty(16); });
  measure("reshape", repetitions, [&] { return matrix.reshape(16); });
  measure("slice", repetitions, [&] { return matrix.slice(0, 1, 3); });
  measure("add_1", repetitions, [&] { return one + one; });
  measure("add_16", repetitions, [&] { return a + b; });
  measure("add_strided_16", repetitions, [&] { return matrix.t() + matrix; });
}

void measure_tape(int repetitions) {
  const auto constant = torch::ones(16);
  auto w = torch::full(16, 2.0, torch::requires_grad()), b = torch::full(16, 3.0, torch::requires_grad());
  const auto clear = [&] {
    w.mutable_grad() = torch::Tensor();
    b.mutable_grad() = torch::Tensor();
  };
  measure("variable_add", repetitions, [&] { return constant + constant; });
  measure("record_add", repetitions, [&] { return w + b; });
  measure("add_backward", repetitions, [&] {
    clear();
    (w + b).backward(constant);
  });
  measure("chain_forward", repetitions, [&] { return (constant * w + b).relu().sum(); });
  measure("chain_forward_backward", repetitions, [&] {
    clear();
    (constant * w + b).relu().sum().backward();
  });
}

}  // namespace

int main(int argc, char** argv) {
  const int threads = argc > 1 ? std::atoi(argv[1]) : 1;
  const int repetitions = argc > 2 ? std::atoi(argv[2]) : 3;
  torch::set_num_threads(threads);
  std::printf(R"({"context": {"torch": "%s", "torch_threads": "%d"}, "benchmarks": [)", TORCH_VERSION, threads);
  measure_tensors(repetitions);
  measure_tape(repetitions);
  std::printf("\n]}\n");
}
