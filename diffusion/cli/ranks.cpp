#include "diffusion/cli/ranks.h"

#include <fmt/format.h>

#include "nn/distributed/binding.h"
#include "nn/distributed/replicas.h"

namespace sfumato::cli {

void greet(ProcessGroup& group, const std::string& what, const Say& say) {
  if (group.size() == 1) {
    return;
  }
  check_same_text(group, what);
  const std::vector<RankPlace> places = gather_places(group);
  std::string table = binding_table(places);
  table.pop_back();  // say() ends the line
  say(table);
  for (const std::string& warning : binding_warnings(places)) {
    say("warning: " + warning);
  }
}

Stop agree(ProcessGroup& group, const Stop& mine) {
  const std::vector<Stop> all = all_gather(group, mine);
  Stop agreed{.time_is_up = all.front().time_is_up};
  for (const Stop& one : all) {
    agreed.signal = agreed.signal != 0 ? agreed.signal : one.signal;
  }
  return agreed;
}

void share(ProcessGroup& group, std::optional<CheckpointContents>& contents) {
  char present = contents.has_value() ? 1 : 0;
  group.broadcast(&present, sizeof(present));
  if (present == 0 || group.size() == 1) {
    return;
  }
  if (!contents) {
    contents.emplace();
  }
  group.broadcast(&contents->step, sizeof(contents->step));
  broadcast(group, contents->environment);
  for (NamedTensors* part : {&contents->weights, &contents->optimizer, &contents->ema}) {
    broadcast(group, *part);
  }
}

std::string images_of_ranks(ProcessGroup& group, int64_t mine) {
  if (group.size() == 1) {
    return {};
  }
  std::string text;
  const std::vector<int64_t> all = all_gather(group, mine);
  for (size_t rank = 0; rank < all.size(); ++rank) {
    text += fmt::format("{} rank {}: {}", text.empty() ? "samples processed:" : ",", rank, all[rank]);
  }
  return text;
}

}  // namespace sfumato::cli
