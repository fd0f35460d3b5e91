// The ways in which a whole network is replayed in f32: on each backend, and with each algorithm for its convolutions.
//
//   std::string problem = first_problem(network_ways(), [&] { return run_network(net, io); });
#pragma once

#include <string>
#include <vector>

#include "tensor/backend/backend.h"
#include "tensor/ops/conv.h"

namespace sfumato::golden {

struct Way {
  const char* name;
  Backend backend;
  ConvAlgorithm convolution;
};

// Sets the convolution algorithm while it lives.
class ConvAlgorithmScope {
 public:
  explicit ConvAlgorithmScope(ConvAlgorithm wanted) : previous_(conv_algorithm()) { set_conv_algorithm(wanted); }
  ~ConvAlgorithmScope() { set_conv_algorithm(previous_); }
  ConvAlgorithmScope(const ConvAlgorithmScope&) = delete;
  ConvAlgorithmScope& operator=(const ConvAlgorithmScope&) = delete;

 private:
  ConvAlgorithm previous_;
};

// The last one is what users run.
inline std::vector<Way> network_ways() {
  std::vector<Way> ways{{"reference", Backend::reference, ConvAlgorithm::direct}};
  if (fast_backend_available()) {
    ways.push_back({"fast, direct convolutions", Backend::fast, ConvAlgorithm::direct});
    ways.push_back({"fast, Winograd convolutions", Backend::fast, ConvAlgorithm::winograd});
    ways.push_back({"fast", Backend::fast, ConvAlgorithm::auto_});
  }
  return ways;
}

// Runs `run` each way until one has a problem to report, and says which way it was.
template <class Run>
std::string first_problem(const std::vector<Way>& ways, Run run) {
  for (const Way& way : ways) {
    BackendScope backend(way.backend);
    ConvAlgorithmScope convolution(way.convolution);
    const std::string problem = run();
    if (!problem.empty()) return std::string(way.name) + ": " + problem;
  }
  return {};
}

}  // namespace sfumato::golden
