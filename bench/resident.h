// The peak of this process's resident memory: what the machine gives, our caches, oneDNN and libraries included, where
// `peak_MB` counts tensors alone.
//
//   begin_peak_resident();
//   work();
//   peak_resident_bytes();
#pragma once

namespace sfumato::bench {

// Returns cached tensor memory to the system and starts counting afresh. Where the system refuses (it needs a writable
// /proc/self/clear_refs) the peak is that of the whole process so far.
void begin_peak_resident();
// 0 where /proc does not say.
double peak_resident_bytes();

}  // namespace sfumato::bench
