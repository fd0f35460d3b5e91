// Valid safetensors files of every kind, written by other code than the library's own: with the tensors in canonical
// order, so that reading a file and saving it again must give its bytes.
//
//   std::string bytes = random_safetensors(random);
#pragma once

#include <string>

#include "tests/fuzz/random.h"

namespace sfumato::fuzz {

// The 8 bytes of the length, `header` and `data`.
std::string safetensors_file(const std::string& header, const std::string& data);

// 0 to 6 tensors of any dtype of ours, rank 0 to 8, names of any characters, perhaps metadata.
std::string random_safetensors(Random& random);

}  // namespace sfumato::fuzz
