// The one place that knows Catch2 version 2 (Debian 12) from version 3 (Debian 13). Tests include nothing else of
// Catch2's.
//
//   #include "catch.h"
//   TEST_CASE("mul multiplies", "[tensor]") { CHECK(2.0 * 3.0 == Approx(6.0)); }
//
// The same in both versions: Approx and ContainsSubstring without a prefix. Use no macro that only version 3 has.
#pragma once

#include <string>

#if __has_include(<catch2/catch_all.hpp>)
#include <catch2/catch_all.hpp>
using Catch::Approx;
using Catch::Matchers::ContainsSubstring;
#else
#include <catch2/catch.hpp>  // brings Approx along
inline auto ContainsSubstring(const std::string& text) { return Catch::Matchers::Contains(text); }
#endif

namespace sfumato::testing {

// Sets the line that is printed last of all, after Catch2's own summary: for tests that end in a count of their own.
void set_closing_line(std::string line);

}  // namespace sfumato::testing
