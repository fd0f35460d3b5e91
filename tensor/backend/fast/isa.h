// Instruction sets: every `*.isa.cpp` is compiled three times (AVX-512, AVX2, plain x86-64) into a namespace of its
// own, and `isa()` picks one of them at run time, so that one portable binary runs everywhere at full speed.
//
// Rules for such a file: raw pointers and plain structs only, internals in an anonymous namespace, no standard
// templates and no Tensor (the linker keeps one copy of an inline function, and it might keep the AVX-512 one). Vectors
// are GCC vector extensions of `kLanes` floats, so one source serves every width.
#pragma once

#include <cstdint>

#if defined(__AVX512F__)
#define SFUMATO_ISA avx512
#define SFUMATO_LANES 16
#elif defined(__AVX2__)
#define SFUMATO_ISA avx2
#define SFUMATO_LANES 8
#else
#define SFUMATO_ISA baseline
#define SFUMATO_LANES 4
#endif

namespace sfumato::fast {

enum class Isa { baseline, avx2, avx512 };

// The best instruction set that this CPU has and SFUMATO_ISA (baseline, avx2, avx512) allows; fixed at first use.
Isa isa();
const char* name_of(Isa isa);

namespace SFUMATO_ISA {
inline constexpr int kLanes = SFUMATO_LANES;
}

}  // namespace sfumato::fast
