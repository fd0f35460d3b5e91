// Oracles by name, as the command line offers them: `--model oracle:NAME` and `--data oracle:NAME`.
//
//   OracleModel model = named_oracle("gaussian=0.3:1");        // N(0.3, 1) in both directions of the plane
//   OracleModel data = named_oracle("empirical=swissroll");    // the first points of a data set, and nothing else
//
// To add one: write its function, then its row in named.cpp.
#pragma once

#include <span>
#include <string_view>
#include <vector>

#include "diffusion/oracle/oracle.h"

namespace sfumato {

struct OracleModel {
  Oracle all;
  std::vector<Oracle> classes = {};  // the parts that `all` mixes in equal shares, where they are classes
};

struct OracleKind {
  std::string_view name;
  std::string_view argument;  // what may follow "=", and the default in brackets
  std::string_view summary;
  // `argument` is empty where there is none.
  OracleModel (*make)(std::string_view argument);
};
std::span<const OracleKind> oracle_kinds();

// "NAME" or "NAME=ARGUMENT". Throws MissingInput for an unknown name, with the nearest one and all that there are, and
// Error for an argument without meaning.
OracleModel named_oracle(std::string_view spec);

// The part of a path or data spec behind "oracle:"; empty where it does not begin so.
std::string_view oracle_spec(std::string_view text);

}  // namespace sfumato
