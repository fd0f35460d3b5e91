// What the rest of the library may know about oneDNN: its version and how many primitives were made.
//
//   const uint64_t before = onednn_primitives_created();
//   step();                                               // a step like those before it
//   assert(onednn_primitives_created() == before);        // found all of its primitives in the cache
//
// No header of oneDNN's is included here; those live in this folder's other files.
#pragma once

#include <cstdint>
#include <string>

namespace sfumato {

// Primitives (reorders included) created since the program began. Creating one generates machine code and costs up to
// half a millisecond, so a loop over the same shapes must not raise this number after its first round.
uint64_t onednn_primitives_created();

// The version of the library that runs, as "2.6.3".
std::string onednn_version();

}  // namespace sfumato
