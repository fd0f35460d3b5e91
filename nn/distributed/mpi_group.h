// The group of processes that MPI has started; everything that names MPI is in mpi_group.cpp.
//
//   if (mpi_is_built_in()) group = make_mpi_group();
#pragma once

#include <memory>
#include <string>

#include "nn/distributed/process_group.h"

namespace sfumato {

// Whether this build has MPI (CMake's SFUMATO_MPI).
bool mpi_is_built_in();
// "Open MPI v4.1.4", or "none".
std::string mpi_library();
// Initialises MPI, once per process. Throws LaunchError when MPI refuses, or is not built in.
std::unique_ptr<ProcessGroup> make_mpi_group();

}  // namespace sfumato
