// A reporter that passes everything on to another one and keeps a copy: the repetitions of each benchmark and their
// medians, as JSON.
//
//   KeepingReporter keeper(benchmark::CreateDefaultDisplayReporter());
//   benchmark::RunSpecifiedBenchmarks(&keeper);
//   write_file_durably("results.json", keeper.json());
#pragma once

#include <benchmark/benchmark.h>

#include <algorithm>
#include <iterator>
#include <sstream>
#include <string>
#include <vector>

namespace sfumato::bench {

class KeepingReporter : public benchmark::BenchmarkReporter {
 public:
  // `display` may be null: then nothing is shown.
  explicit KeepingReporter(benchmark::BenchmarkReporter* display) : display_(display) {
    keeper_.SetOutputStream(&text_);
    keeper_.SetErrorStream(&text_);
  }

  bool ReportContext(const Context& context) override {
    return keeper_.ReportContext(context) && (display_ == nullptr || display_->ReportContext(context));
  }

  void ReportRuns(const std::vector<Run>& runs) override {
    if (display_ != nullptr) {
      display_->ReportRuns(runs);
    }
    // Other aggregates are left out: coefficients of variation can be NaN, which is no JSON.
    std::vector<Run> kept;
    std::copy_if(runs.begin(), runs.end(), std::back_inserter(kept),
                 [](const Run& run) { return run.run_type == Run::RT_Iteration || run.aggregate_name == "median"; });
    if (!kept.empty()) {
      keeper_.ReportRuns(kept);
    }
  }

  void Finalize() override {
    keeper_.Finalize();
    if (display_ != nullptr) {
      display_->Finalize();
    }
  }

  // After the run.
  std::string json() const { return text_.str(); }

 private:
  benchmark::BenchmarkReporter* display_;
  benchmark::JSONReporter keeper_;
  std::ostringstream text_;
};

}  // namespace sfumato::bench
