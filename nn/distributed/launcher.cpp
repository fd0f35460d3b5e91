#include "nn/distributed/launcher.h"

#include <charconv>
#include <cstring>

namespace sfumato {
namespace {

bool is_set(const char* value) { return value != nullptr && *value != '\0'; }

int number(const char* text) {
  int value = 0;
  std::from_chars(text, text + std::strlen(text), value);
  return value;
}

}  // namespace

Launch find_launch(const std::function<const char*(const char* name)>& variable) {
  const bool pmi = is_set(variable("PMIX_RANK")) || is_set(variable("PMI_RANK"));
  // mpirun inside of a Slurm job shows the variables of both.
  if (const char* size = variable("OMPI_COMM_WORLD_SIZE"); is_set(size)) {
    return {.seen = true, .size = number(size), .can_meet = true, .by = "mpirun"};
  }
  // Not SLURM_NTASKS: the batch script itself has that one, and is one process.
  if (const char* size = variable("SLURM_STEP_NUM_TASKS"); is_set(size) && (pmi || number(size) > 1)) {
    return {.seen = true, .size = number(size), .can_meet = pmi, .by = "srun"};
  }
  if (pmi) {
    const char* size = variable("PMI_SIZE");
    return {.seen = true, .size = is_set(size) ? number(size) : 0, .can_meet = true, .by = "an MPI launcher"};
  }
  return {};
}

}  // namespace sfumato
