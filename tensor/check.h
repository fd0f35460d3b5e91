// Error checks: `check(cond, parts...)` throws when the caller broke a rule; the message is built only then.
//
//   check(x.dim() == 4, "conv2d: input must be (N, C, H, W), got ", x.shape());
//
// User errors derive from std::invalid_argument, errors inside the library from std::logic_error, and running out of
// memory from std::bad_alloc, so that callers can tell them apart.
#pragma once

#include <fmt/format.h>

#include <new>
#include <stdexcept>
#include <string>

namespace sfumato {

// A rule of the public interface was broken: wrong shape, dtype, range or combination.
class Error : public std::invalid_argument {
 public:
  using std::invalid_argument::invalid_argument;
};

// A promise that the library makes to itself was broken: always a bug of ours.
class InternalError : public std::logic_error {
 public:
  using std::logic_error::logic_error;
};

namespace detail {

template <class Part>
void append_part(std::string& message, const Part& part) {
  if constexpr (requires { to_string(part); }) {
    message += to_string(part);
  } else {
    message += fmt::format("{}", part);
  }
}

template <class... Parts>
std::string join_parts(const Parts&... parts) {
  std::string message;
  (append_part(message, parts), ...);
  return message;
}

template <class... Parts>
[[noreturn, gnu::noinline, gnu::cold]] void fail(const Parts&... parts) {
  throw Error(join_parts(parts...));
}

template <class... Parts>
[[noreturn, gnu::noinline, gnu::cold]] void fail_internal(const Parts&... parts) {
  throw InternalError(join_parts(parts...));
}

}  // namespace detail

// Throws Error with the joined parts unless `condition` holds.
template <class... Parts>
inline void check(bool condition, const Parts&... parts) {
  if (!condition) [[unlikely]] {
    detail::fail(parts...);
  }
}

// Throws InternalError with the joined parts unless `condition` holds.
template <class... Parts>
inline void ensure(bool condition, const Parts&... parts) {
  if (!condition) [[unlikely]] {
    detail::fail_internal(parts...);
  }
}

}  // namespace sfumato
