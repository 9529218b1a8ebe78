# Headers that are compiled once instead of in every file: arcshard_precompile(TARGET base|hot|torch|test|torch_test) gives
# TARGET those of cmake/precompiled/<kind>.h. hot has those of base, compiled for libraries that are HOT.
#
# GCC takes a precompiled header only under the options that it was made with, so all targets of a kind have the same
# ones; the head's kernels, which have more, go without.

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

function(arcshard_precompile target kind)
  if(NOT ARCSHARD_PRECOMPILE)
    return()
  endif()
  set(owner arcshard_precompiled_${kind})
  if(NOT TARGET ${owner})
    file(GENERATE OUTPUT ${CMAKE_BINARY_DIR}/precompiled/${kind}.cc CONTENT "// The target of ${kind}'s headers needs a source file.\n")
    add_library(${owner} OBJECT ${CMAKE_BINARY_DIR}/precompiled/${kind}.cc)
    target_include_directories(${owner} PRIVATE ${PROJECT_SOURCE_DIR})
    target_link_libraries(${owner} PRIVATE absl::statusor absl::strings absl::str_format absl::span absl::time)
    if(kind MATCHES torch)
      target_link_libraries(${owner} PRIVATE arcshard::libtorch)
    endif()
    if(kind MATCHES test)
      target_link_libraries(${owner} PRIVATE GTest::gmock)
    endif()
    target_compile_options(${owner} PRIVATE ${ARCSHARD_WARNINGS})
    if(kind MATCHES "^(hot|torch)$")
      target_compile_options(${owner} PRIVATE ${ARCSHARD_HOT_OPTIONS})
    endif()
    string(REPLACE hot base header ${kind})
    target_precompile_headers(${owner} PRIVATE <cmake/precompiled/${header}.h>)  # no path, by which ccache would tell checkouts apart
  endif()
  target_precompile_headers(${target} REUSE_FROM ${owner})
endfunction()
