# CUDA for the preset `cuda`: nvcc wherever it is, sm_80 and sm_90, cuBLAS and the static runtime. Kernels are libraries of
# their own, arcshard_kernels(NAME SOURCES a.cu ...)  ->  arcshard::NAME, which hold nothing but .cu files.

if(NOT CMAKE_CUDA_COMPILER AND NOT DEFINED ENV{CUDACXX})
  find_program(ARCSHARD_NVCC nvcc HINTS ENV CUDA_HOME ENV CUDA_PATH PATHS /usr/local/cuda PATH_SUFFIXES bin)
  if(NOT ARCSHARD_NVCC)
    message(FATAL_ERROR "No nvcc in PATH, $CUDA_HOME/bin or /usr/local/cuda/bin: install CUDA's toolkit, or give -DCMAKE_CUDA_COMPILER=FILE")
  endif()
  set(CMAKE_CUDA_COMPILER ${ARCSHARD_NVCC})
endif()
if(NOT CMAKE_CUDA_ARCHITECTURES)
  set(CMAKE_CUDA_ARCHITECTURES 80 90)
endif()
enable_language(CUDA)
# Debian's CMake 3.25.1 wants to mark this one as outdated, and stops where a toolkit lacks it, as all do since CUDA 12.
add_library(CUDA::nvToolsExt INTERFACE IMPORTED)
find_package(CUDAToolkit REQUIRED)
set(CMAKE_CUDA20_STANDARD_COMPILE_OPTION -std=c++20)  # CMake 3.25 does not know nvcc's
set(CMAKE_CUDA_FLAGS_RELEASE "-O3 -DNDEBUG")

function(arcshard_kernels name)
  cmake_parse_arguments(arg "" "" "SOURCES" ${ARGN})
  set(target arcshard_${name})
  add_library(${target} STATIC ${arg_SOURCES})
  target_include_directories(${target} PUBLIC ${PROJECT_SOURCE_DIR})
  # Philox and bit_cast are constexpr functions of the host. 554: nvcc thinks of a conversion that `requires` excludes.
  target_compile_options(${target} PRIVATE --expt-relaxed-constexpr --diag-suppress=554 -Werror=all-warnings)
  set_target_properties(${target} PROPERTIES CUDA_SEPARABLE_COMPILATION OFF)
  add_library(arcshard::${name} ALIAS ${target})
  add_dependencies(gpu_code ${target})
endfunction()
