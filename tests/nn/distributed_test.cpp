// Several ranks, as threads: the sums between them, the optimiser's shards, and what finds out ranks that disagree.
#include "nn/distributed/data_parallel.h"

#include <cstring>
#include <map>

#include "autograd/ops/elementwise.h"
#include "catch.h"
#include "nn/distributed/binding.h"
#include "nn/distributed/launcher.h"
#include "nn/distributed/replicas.h"
#include "nn/init.h"
#include "nn/layers.h"
#include "nn/thread_group.h"
#include "tensor/ops/view.h"
#include "tensor/random.h"

using namespace sfumato;
using sfumato::testing::on_ranks;

namespace {

bool same_bits(const Tensor& a, const Tensor& b) {
  return a.shape() == b.shape() &&
         std::memcmp(a.raw_data(), b.raw_data(), static_cast<size_t>(a.numel()) * size_of(a.dtype())) == 0;
}

Tensor leaf_values(int64_t leaf, int64_t size) { return randn({size}, RandomStream::of("leaf", std::to_string(leaf))); }

// More than four chunks of 64 Ki elements, so that four ranks have shards, and parameters across the buckets' borders.
class Net : public Module {
 public:
  Net() : first(64, 2000), sometimes(64, 8), never(8, 8), second(2000, 70) {}
  Variable loss(const Variable& x, bool all) const {
    const Variable main = mean(square(second(square(first(x)))));
    return all ? main + mean(square(sometimes(x))) : main;
  }
  void visit(Visitor& v) override { v("first", first)("sometimes", sometimes)("never", never)("second", second); }
  Linear first, sometimes, never, second;
};

struct Trained {
  Tensor values, first_moment;
  std::vector<double> norms;
  int64_t kept = 0;  // elements of each moment on this rank
};

Trained train(ProcessGroup& group, int64_t leaves, const DataParallelOptions& options) {
  Net net;
  initialize(net, 3);
  FlatParameters flat(net);
  Adam adam(flat, {.lr = 1e-3});
  DataParallel parallel(flat, leaves, group, options);
  parallel.prepare(adam);
  Trained trained;
  for (int64_t step = 0; step < 3; ++step) {
    parallel.reset();
    for (int64_t i = 0; i < parallel.num_leaves(); ++i) {
      const RandomScope scope({.seed = 7, .step = step, .first_sample = parallel.first_leaf() + i});
      const Tensor x = randn({1, 64}, "x");
      parallel.begin_leaf();
      net.loss(x, /*all=*/(parallel.first_leaf() + i) % 2 == 0).backward();
      parallel.end_leaf();
    }
    trained.norms.push_back(parallel.gradient_norm());
    parallel.step(adam, 1e-3, 0.5);
  }
  trained.values = flat.values().clone();
  for (const auto& [name, tensor] : parallel.state_of(adam)) {
    if (name == "exp_avg.first.weight") trained.first_moment = tensor.clone();
  }
  for (const FlatRange& range : parallel.shard()) trained.kept += range.size();
  return trained;
}

}  // namespace

TEST_CASE("distributed: slices exchanged between ranks sum up in the order of the tree", "[nn]") {
  constexpr int64_t kSize = 1000;
  for (const bool bf16 : {false, true}) {
    GradientTree tree(kSize, 8, bf16);
    for (int64_t leaf = 0; leaf < 8; ++leaf) {
      tree.next_buffer().copy_from(leaf_values(leaf, kSize));
      tree.push();
    }
    for (const int ranks : {1, 2, 4, 8}) {
      CAPTURE(bf16, ranks);
      on_ranks(ranks, [&](ProcessGroup& group) {
        GradientTree mine(kSize, 8 / ranks, bf16);
        for (int64_t i = 0; i < 8 / ranks; ++i) {
          mine.next_buffer().copy_from(leaf_values(group.rank() * 8 / ranks + i, kSize));
          mine.push();
        }
        const TreeExchange exchange(group.rank(), ranks, {.grain = 16, .bf16 = bf16});
        group.run([&](Channel& channel) {
          // A range that the number of ranks does not divide, one too small for a slice each, and the rest.
          for (const FlatRange& range : {FlatRange{0, 489}, FlatRange{489, 500}, FlatRange{500, kSize}}) {
            exchange.reduce(channel, mine.total(), range);
            exchange.gather(channel, mine.total(), range);
          }
        });
        check(same_bits(mine.total(), tree.total()), "rank ", group.rank(), " has another sum");
      });
    }
  }
}

TEST_CASE("distributed: a leaf summed range by range is a leaf pushed whole", "[nn]") {
  for (const bool bf16 : {false, true}) {
    GradientTree whole(100, 8, bf16), ranged(100, 8, bf16);
    for (int64_t leaf = 0; leaf < 8; ++leaf) {
      whole.next_buffer().copy_from(leaf_values(leaf, 100));
      whole.push();
      ranged.next_buffer().copy_from(leaf_values(leaf, 100));
      if (leaf < 7) {
        CHECK_THROWS_AS(ranged.sum_range(0, 100), Error);
      } else {
        ranged.sum_range(40, 100);
        CHECK_THROWS_AS(ranged.push(), Error);
        ranged.sum_range(0, 40);
      }
      ranged.push();
    }
    CHECK(same_bits(whole.total(), ranged.total()));
  }
}

TEST_CASE("distributed: any number of ranks, ZeRO-1 or not, trains to the same bits", "[nn]") {
  const auto alone = single_process();
  for (const bool bf16 : {false, true}) {
    const Trained wanted = train(*alone, 8, {.bf16 = bf16});
    for (const int ranks : {1, 2, 4, 8}) {
      for (const bool zero1 : {false, true}) {
        for (const int64_t bucket : {int64_t{4096}, int64_t{1} << 20}) {
          on_ranks(ranks, [&](ProcessGroup& group) {
            const Trained got =
                train(group, 8, {.zero1 = zero1, .bf16 = bf16, .overlap = bucket > 4096, .bucket_bytes = bucket});
            const auto where =
                fmt::format("rank {} of {}, zero1 {}, bf16 {}, bucket {}", group.rank(), ranks, zero1, bf16, bucket);
            check(same_bits(got.values, wanted.values), where, ": other weights");
            check(same_bits(got.first_moment, wanted.first_moment), where, ": other moments");
            check(got.norms == wanted.norms, where, ": other norms");
            check(!zero1 || ranks > 4 || got.kept < wanted.kept / ranks + 2 * kSquaresChunk, where, ": keeps ",
                  got.kept, " of ", wanted.kept);
          });
        }
      }
    }
  }
  CHECK(!same_bits(train(*alone, 8, {}).values, train(*alone, 8, {.bf16 = true}).values));
}

TEST_CASE("distributed: a number of ranks that does not fit names those that do", "[nn]") {
  CHECK_NOTHROW(check_rank_count(1, 1));
  CHECK_NOTHROW(check_rank_count(8, 8));
  const auto complaint = [](int ranks, int64_t leaves) {
    try {
      check_rank_count(ranks, leaves);
    } catch (const LaunchError& error) {
      return std::string(error.what());
    }
    return std::string();
  };
  CHECK_THAT(complaint(3, 8), ContainsSubstring("(nearest: 2 or 4)"));
  CHECK_THAT(complaint(16, 8), ContainsSubstring("(nearest: 8)"));
  CHECK_THAT(complaint(6, 4), ContainsSubstring("(nearest: 4)"));
  CHECK_THAT(complaint(2, 1), ContainsSubstring("(nearest: 1)"));
}

TEST_CASE("distributed: a rank that drifts is named with the first tensor that differs", "[nn]") {
  const auto drift = [](int size, int drifting) {
    on_ranks(size, [&](ProcessGroup& group) {
      NamedTensors tensors{{"a", ones({3})}, {"b", ones({2, 2})}, {"c", ones({5})}};
      if (group.rank() == drifting) {
        tensors[1].second.mutable_data<float>()[3] = 1.0000001f;
        tensors[2].second.mutable_data<float>()[0] = 2;
      }
      check_replicas(group, tensors, "weights after step 7");
    });
  };
  CHECK_NOTHROW(drift(4, -1));
  for (const int drifting : {0, 2, 3}) {
    CHECK_THROWS_WITH(drift(4, drifting),
                      "weights after step 7: ranks differ, first in 'b', on rank " + std::to_string(drifting));
  }
}

TEST_CASE("distributed: ranks that were told different things are refused", "[nn]") {
  CHECK_THROWS_WITH(
      on_ranks(
          3, [](ProcessGroup& group) { check_same_text(group, group.rank() == 2 ? "a: 1\nb: 3\n" : "a: 1\nb: 2\n"); }),
      "ranks do not agree: rank 0 has 'b: 2', rank 2 has 'b: 3'");
}

TEST_CASE("distributed: tensors of rank 0 reach all", "[nn]") {
  on_ranks(3, [](ProcessGroup& group) {
    NamedTensors tensors;
    if (group.is_root()) tensors = {{"step", full({}, 5, DType::i64)}, {"w", ones({2, 3})}, {"none", zeros({0, 4})}};
    broadcast(group, tensors);
    check(tensors.size() == 3 && tensors[0].first == "step" && tensors[0].second.item() == 5, "step");
    check(tensors[1].second.shape() == Shape{2, 3} && tensors[1].second.to_vector() == std::vector<double>(6, 1), "w");
    check(tensors[2].second.shape() == Shape{0, 4}, "none");
  });
}

TEST_CASE("distributed: launchers are told from the environment", "[nn]") {
  using Environment = std::map<std::string, std::string>;
  const auto launch = [](const Environment& set) {
    return find_launch([&](const char* name) {
      const auto found = set.find(name);
      return found == set.end() ? nullptr : found->second.c_str();
    });
  };
  CHECK(!launch({}).seen);
  CHECK(!launch({{"SLURM_NTASKS", "4"}}).seen);          // a batch script
  CHECK(!launch({{"SLURM_STEP_NUM_TASKS", "1"}}).seen);  // srun of a single program
  const Launch mpirun = launch({{"OMPI_COMM_WORLD_SIZE", "4"}, {"PMIX_RANK", "1"}, {"SLURM_STEP_NUM_TASKS", "2"}});
  CHECK((mpirun.seen && mpirun.size == 4 && mpirun.can_meet && mpirun.by == "mpirun"));
  const Launch srun = launch({{"SLURM_STEP_NUM_TASKS", "4"}, {"PMIX_RANK", "0"}});
  CHECK((srun.seen && srun.size == 4 && srun.can_meet && srun.by == "srun"));
  const Launch apart = launch({{"SLURM_STEP_NUM_TASKS", "4"}});
  CHECK((apart.seen && apart.size == 4 && !apart.can_meet));
  const Launch mpich = launch({{"PMI_RANK", "0"}, {"PMI_SIZE", "3"}});
  CHECK((mpich.seen && mpich.size == 3 && mpich.can_meet));
}

TEST_CASE("distributed: bindings that waste cores are told", "[nn]") {
  const auto place = [](const char* host, uint64_t cpus, int threads, int host_cpus) {
    RankPlace p;
    std::strncpy(p.host.data(), host, p.host.size() - 1);
    p.cpus[0] = cpus;
    p.threads = threads;
    p.host_cpus = host_cpus;
    return p;
  };
  CHECK_THAT(binding_table({place("node1", 0x0f, 4, 4), place("node2", 0xf1, 5, 8)}), ContainsSubstring("0,4-7"));
  CHECK(binding_warnings({place("a", 0x0f, 4, 8), place("a", 0xf0, 4, 8)}).empty());
  const auto few = binding_warnings({place("a", 0x0f, 4, 8), place("a", 0x10, 4, 8)});
  REQUIRE(few.size() == 1);
  CHECK_THAT(few[0], ContainsSubstring("rank 1 on a has 4 threads for 1 CPU (4)"));
  const auto shared = binding_warnings({place("a", 0xff, 8, 8), place("a", 0xff, 8, 8)});
  REQUIRE(shared.size() == 1);
  CHECK_THAT(shared[0], ContainsSubstring("a has 16 threads on 8 CPUs"));
  const auto idle = binding_warnings({place("a", 0x1, 1, 8), place("a", 0x2, 1, 8)});
  REQUIRE(idle.size() == 1);
  CHECK_THAT(idle[0], ContainsSubstring("6 of a's 8 CPUs will idle"));
  CHECK(binding_warnings({place("a", 0x1, 1, 0), place("a", 0x2, 1, 0)}).empty());
}
