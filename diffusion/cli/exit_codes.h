// Exit codes of every verb, after sysexits.h and the shell's habits.
#pragma once

namespace sfumato::cli {

enum ExitCode : int {
  kOk = 0,
  kInternal = 1,
  kUsage = 2,
  kBadData = 65,
  kMissingInput = 66,
  kDiverged = 70,
  kCannotCreate = 73,
  kIo = 74,
  kPreempted = 75,
  kBadConfig = 78,
  kInterrupted = 130,
};

}  // namespace sfumato::cli
