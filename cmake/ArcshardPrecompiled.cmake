# Headers that are compiled once instead of in every file: arcshard_precompile(TARGET base|test DEPS) gives TARGET those
# of cmake/precompiled/base.h or test.h, or torch.h and torch_test.h where one of DEPS is LibTorch or has it as a public
# dependency; arcshard_precompile(TARGET command_line "") those of command_line.h.
#
# GCC takes a precompiled header only under the options that it was made with, so all targets have the same ones; the
# head's kernels, which have more, go without.

option(ARCSHARD_PRECOMPILE "Precompile the headers that most files include" ON)
set_property(GLOBAL PROPERTY arcshard_torch_targets arcshard::libtorch arcshard::libtorch_cuda)

# Whether one of `deps` is a library whose headers include LibTorch's.
function(arcshard_knows_torch result deps)
  get_property(torch_targets GLOBAL PROPERTY arcshard_torch_targets)
  set(${result} OFF PARENT_SCOPE)
  foreach(dep ${deps})
    if(dep IN_LIST torch_targets)
      set(${result} ON PARENT_SCOPE)
    endif()
  endforeach()
endfunction()

function(arcshard_precompile target kind deps)
  if(NOT ARCSHARD_PRECOMPILE)
    return()
  endif()
  arcshard_knows_torch(torch "${deps}")
  if(torch AND kind STREQUAL base)
    set(kind torch)
  elseif(torch)
    set(kind torch_${kind})
  endif()
  set(owner arcshard_precompiled_${kind})
  if(NOT TARGET ${owner})
    file(GENERATE OUTPUT ${CMAKE_BINARY_DIR}/precompiled/${kind}.cc CONTENT "// The target of ${kind}.h needs a source file.\n")
    add_library(${owner} OBJECT ${CMAKE_BINARY_DIR}/precompiled/${kind}.cc)
    target_include_directories(${owner} PRIVATE ${PROJECT_SOURCE_DIR})
    target_link_libraries(${owner} PRIVATE absl::statusor absl::strings absl::str_format absl::span absl::time)
    if(torch)
      target_link_libraries(${owner} PRIVATE arcshard::libtorch)
    endif()
    if(kind MATCHES test)
      target_link_libraries(${owner} PRIVATE GTest::gmock)
    endif()
    target_compile_options(${owner} PRIVATE ${ARCSHARD_WARNINGS})
    if(kind STREQUAL command_line)
      target_compile_options(${owner} PRIVATE ${ARCSHARD_COMMAND_LINE_OPTIONS})
      target_link_libraries(${owner} PRIVATE CLI11::CLI11)
    endif()
    target_precompile_headers(${owner} PRIVATE <cmake/precompiled/${kind}.h>)  # no path, by which ccache would tell checkouts apart
  endif()
  target_precompile_headers(${target} REUSE_FROM ${owner})
endfunction()
