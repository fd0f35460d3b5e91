#include "tensor/backend/onednn/engine.h"

#include <omp.h>

#include <algorithm>
#include <atomic>
#include <mutex>
#include <unordered_map>

#include "tensor/backend/onednn/plan.h"
#include "tensor/backend/workspace.h"
#include "tensor/check.h"
#include "tensor/dry_run.h"
#include "tensor/parallel.h"

namespace sfumato {
namespace {
std::atomic<uint64_t> primitives_created{0};
void count_primitive() { primitives_created.fetch_add(1, std::memory_order_relaxed); }
}  // namespace

uint64_t onednn_primitives_created() { return primitives_created.load(std::memory_order_relaxed); }

std::string onednn_version() {
  const dnnl_version_t* version = dnnl_version();
  return fmt::format("{}.{}.{}", version->major, version->minor, version->patch);
}

namespace onednn {
namespace {

constexpr size_t kMaxPlans = 1024;

struct HashKey {
  size_t operator()(const Key& key) const { return key.hash(); }
};

struct PlanCache {
  std::mutex mutex;
  std::unordered_map<Key, std::shared_ptr<const Plan>, HashKey> plans;
};

// Never destroyed: other static objects may still compute while the program ends.
PlanCache& plan_cache() {
  static PlanCache& cache = *new PlanCache;
  return cache;
}

dnnl::stream& stream_of_this_thread() {
  thread_local dnnl::stream stream(cpu_engine());
  return stream;
}

dnnl::memory memory_at(const dnnl::memory::desc& desc, const void* data) {
  return dnnl::memory(desc, cpu_engine(), const_cast<void*>(data));
}

dnnl::primitive_attr user_scratchpad() {
  dnnl::primitive_attr attr;
  attr.set_scratchpad_mode(dnnl::scratchpad_mode::user);
  return attr;
}

using Arguments = std::unordered_map<int, dnnl::memory>;

void execute(const dnnl::primitive& primitive,
             const dnnl::memory::desc& scratchpad,
             dnnl::stream& stream,
             Arguments arguments) {
  const size_t bytes = scratchpad.get_size();
  const Workspace scratch = bytes > 0 ? Workspace(bytes) : Workspace();
  if (bytes > 0) {
    arguments.emplace(DNNL_ARG_SCRATCHPAD, memory_at(scratchpad, scratch.data()));
  }
  if (!dry_run()) {
    primitive.execute(stream, arguments);
  }
}

}  // namespace

Key::Key(PlanKind kind, std::initializer_list<int64_t> words) {
  ensure(words.size() + 2 <= words_.size(), "onednn: a key of ", words.size(), " words");
  words_[0] = static_cast<int64_t>(kind);
  words_[1] = may_open_parallel_region() ? omp_get_max_threads() : 1;
  std::copy(words.begin(), words.end(), words_.begin() + 2);
  count_ = words.size() + 2;
}

size_t Key::hash() const {
  // Multiply and fold (as wyhash does), word by word.
  uint64_t state = count_;
  for (size_t i = 0; i < count_; ++i) {
    const auto product =
        static_cast<unsigned __int128>(state ^ static_cast<uint64_t>(words_[i]) ^ 0x9e3779b97f4a7c15u) *
        0xd6e8feb86659fd93u;
    state = static_cast<uint64_t>(product) ^ static_cast<uint64_t>(product >> 64);
  }
  return state;
}

const dnnl::engine& cpu_engine() {
  static const dnnl::engine& engine = *[] {
    silence_library();
    return new dnnl::engine(dnnl::engine::kind::cpu, 0);
  }();
  return engine;
}

dnnl::primitive_attr plain_attributes() {
  dnnl::primitive_attr attr = user_scratchpad();
  attr.set_fpmath_mode(dnnl::fpmath_mode::strict);
  return attr;
}

Plan::Plan(dnnl::primitive primitive, const dnnl::memory::desc& scratchpad)
    : primitive_(std::move(primitive)), scratchpad_(scratchpad) {
  count_primitive();
}

void Plan::add_input(int argument, const dnnl::memory::desc& plain, const dnnl::memory::desc& wanted) {
  add(argument, plain, wanted, false);
}

void Plan::add_output(int argument, const dnnl::memory::desc& plain, const dnnl::memory::desc& wanted) {
  add(argument, plain, wanted, true);
}

void Plan::add(int argument, const dnnl::memory::desc& plain, const dnnl::memory::desc& wanted, bool is_output) {
  ensure(operand_count_ < kMaxOperands, "onednn: a plan has at most ", kMaxOperands, " operands");
  Operand& operand = operands_[operand_count_++];
  operand = {argument, is_output, plain, wanted, {}, std::nullopt};
  if (plain != wanted) {
    const auto& [from, to] = is_output ? std::tie(wanted, plain) : std::tie(plain, wanted);
    const dnnl::reorder::primitive_desc descriptor(cpu_engine(), from, cpu_engine(), to, user_scratchpad());
    operand.reorder.emplace(descriptor);
    operand.reorder_scratchpad = descriptor.scratchpad_desc();
    count_primitive();
  }
}

void Plan::run(std::initializer_list<const void*> pointers) const {
  ensure(pointers.size() == operand_count_, "onednn: ", pointers.size(), " pointers for ", operand_count_, " operands");
  dnnl::stream& stream = stream_of_this_thread();
  std::array<Workspace, kMaxOperands> buffers;
  std::array<dnnl::memory, kMaxOperands> outside, inside;
  Arguments arguments;
  for (size_t i = 0; i < operand_count_; ++i) {
    const Operand& operand = operands_[i];
    outside[i] = memory_at(operand.plain, pointers.begin()[i]);
    inside[i] = outside[i];
    if (operand.reorder) {
      buffers[i] = Workspace(operand.wanted.get_size());
      inside[i] = memory_at(operand.wanted, buffers[i].data());
      if (!operand.is_output) {
        execute(*operand.reorder, operand.reorder_scratchpad, stream,
                {{DNNL_ARG_FROM, outside[i]}, {DNNL_ARG_TO, inside[i]}});
      }
    }
    arguments.emplace(operand.argument, inside[i]);
  }
  execute(primitive_, scratchpad_, stream, std::move(arguments));
  for (size_t i = 0; i < operand_count_; ++i) {
    const Operand& operand = operands_[i];
    if (operand.reorder && operand.is_output) {
      execute(*operand.reorder, operand.reorder_scratchpad, stream,
              {{DNNL_ARG_FROM, inside[i]}, {DNNL_ARG_TO, outside[i]}});
    }
  }
}

namespace detail {

std::shared_ptr<const Plan> find_plan(const Key& key) {
  PlanCache& cache = plan_cache();
  std::lock_guard lock(cache.mutex);
  const auto found = cache.plans.find(key);
  return found == cache.plans.end() ? nullptr : found->second;
}

std::shared_ptr<const Plan> keep_plan(const Key& key, Plan plan) {
  PlanCache& cache = plan_cache();
  std::lock_guard lock(cache.mutex);
  if (cache.plans.size() >= kMaxPlans) {
    cache.plans.clear();
  }
  return cache.plans.insert_or_assign(key, std::make_shared<const Plan>(std::move(plan))).first->second;
}

}  // namespace detail
}  // namespace onednn
}  // namespace sfumato
