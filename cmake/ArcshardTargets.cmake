# How every library, program and test of arcshard is built: one concept is one library with an alias, arcshard::<name>.

set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
add_compile_options(-fPIC -pthread)  # everywhere the same: precompiled headers demand it
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/bin)
set(CMAKE_ARCHIVE_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/lib)
# A library says -O3 (HOT) where its code works on every sample, class or byte of a step. Elsewhere -O1 computes the same
# in the same time, and compiles in two thirds of it.
set(CMAKE_CXX_FLAGS_RELEASE "-O1 -DNDEBUG")
set(ARCSHARD_HOT_OPTIONS $<$<AND:$<CONFIG:Release>,$<COMPILE_LANGUAGE:CXX>>:-O3>)
set(CMAKE_CXX_FLAGS_RELWITHDEBINFO "-O1 -g1")  # of the sanitizers: asserts stay on
if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE Release CACHE STRING "" FORCE)
endif()

# Mistakes with memory end a program instead of serving an attacker: a guard behind what is on the stack, no jump over its
# end, checked lengths in the C library's calls (which need -O1), and tables of functions that are read-only from the start.
# hardening_test reads them in the programs. CUDA's compiler does not know all of these.
include(CheckCXXCompilerFlag)
set(ARCSHARD_HARDENING -fstack-protector-strong)
check_cxx_compiler_flag(-fstack-clash-protection ARCSHARD_HAS_STACK_CLASH_PROTECTION)
if(ARCSHARD_HAS_STACK_CLASH_PROTECTION)
  list(APPEND ARCSHARD_HARDENING -fstack-clash-protection)
endif()
if(CMAKE_BUILD_TYPE STREQUAL Release AND NOT ARCSHARD_SANITIZE)
  list(APPEND ARCSHARD_HARDENING -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2)
endif()
add_compile_options("$<$<COMPILE_LANGUAGE:CXX>:${ARCSHARD_HARDENING}>")
add_link_options(-Wl,-z,relro -Wl,-z,now)

# Google's libraries list each other as interface libraries; what is not used need not be loaded at start.
find_program(ARCSHARD_MOLD mold)
add_link_options(-Wl,--as-needed)
if(ARCSHARD_MOLD)
  add_link_options(-fuse-ld=mold)
endif()
if(ARCSHARD_SANITIZE)
  add_compile_options(-fsanitize=${ARCSHARD_SANITIZE} -fno-omit-frame-pointer)
  add_link_options(-fsanitize=${ARCSHARD_SANITIZE})
  if(ARCSHARD_SANITIZE MATCHES undefined)
    add_compile_options(-fno-sanitize-recover=undefined)
  endif()
endif()

set(ARCSHARD_WARNINGS -Wall -Wextra -Wpedantic -Wshadow -Wnon-virtual-dtor -Woverloaded-virtual -Werror)
if(CMAKE_CXX_COMPILER_ID MATCHES Clang)
  list(APPEND ARCSHARD_WARNINGS -Wthread-safety)
endif()
if(CMAKE_CXX_COMPILER_ID STREQUAL GNU)
  # GCC 12 reports these falsely inside std::string once its header is precompiled.
  list(APPEND ARCSHARD_WARNINGS -Wno-array-bounds -Wno-restrict -Wno-stringop-overflow)
endif()

include(ArcshardPrecompiled)

# arcshard_library(NAME SOURCES a.cc ... [DEPS target ...] [PRIVATE_DEPS target ...] [HOT])  ->  arcshard::NAME
#
# HOT: see above. What includes LibTorch's headers always is.
function(arcshard_library name)
  cmake_parse_arguments(arg "HOT" "" "SOURCES;DEPS;PRIVATE_DEPS" ${ARGN})
  set(target arcshard_${name})
  arcshard_knows_torch(torch "${arg_DEPS}")
  if(arg_SOURCES)
    add_library(${target} STATIC ${arg_SOURCES})
    target_include_directories(${target} PUBLIC ${PROJECT_SOURCE_DIR})
    target_link_libraries(${target} PUBLIC ${arg_DEPS} PRIVATE ${arg_PRIVATE_DEPS})
    target_compile_options(${target} PRIVATE ${ARCSHARD_WARNINGS})
    if(torch OR arg_HOT)
      target_compile_options(${target} PRIVATE ${ARCSHARD_HOT_OPTIONS})
    endif()
    if(torch)
      arcshard_precompile(${target} torch)
    elseif(arg_HOT)
      arcshard_precompile(${target} hot)
    else()
      arcshard_precompile(${target} base)
    endif()
  else()
    add_library(${target} INTERFACE)
    target_include_directories(${target} INTERFACE ${PROJECT_SOURCE_DIR})
    target_link_libraries(${target} INTERFACE ${arg_DEPS})
  endif()
  add_library(arcshard::${name} ALIAS ${target})
  if(torch)
    set_property(GLOBAL APPEND PROPERTY arcshard_torch_targets arcshard::${name})
  endif()
endfunction()

# arcshard_program(NAME SOURCES main.cc DEPS target ...)  ->  bin/NAME
function(arcshard_program name)
  cmake_parse_arguments(arg "" "" "SOURCES;DEPS" ${ARGN})
  add_executable(${name} ${arg_SOURCES})
  target_link_libraries(${name} PRIVATE ${arg_DEPS})
  target_compile_options(${name} PRIVATE ${ARCSHARD_WARNINGS})
  arcshard_precompile(${name} base)
endfunction()

# arcshard_test(NAME SOURCES x_test.cc ... [DEPS target ...] [LABELS label ...] [TIMEOUT seconds] [DEVICES])
#
# Labels: fast unless given. DEVICES: in a build with GPU code there is one entry more, cuda/NAME with the label cuda,
# which runs the whole program on a GPU (ARCSHARD_TEST_DEVICE) and is skipped where there is none.
# One ctest entry for each TEST, so that a name reads as a sentence in ctest's list too. Files find what is checked in, and
# the programs, by "test_paths.h". Label "slow": only scripts/test --all runs it.
# "hostile": attacks over loopback beside a run; scripts/test --all runs it, and `ctest -L hostile` alone does.
# "partition": cuts links between processes on hosts of their own; as root, else it is skipped.
# "sanitized": scripts/test --all runs it under the sanitizers too; target sanitized_tests builds these. "address-sanitized":
# not under ThreadSanitizer, which GCC cannot build what includes LibTorch for.
include(GoogleTest)
set(ARCSHARD_TEST_PATHS ${CMAKE_BINARY_DIR}/test_paths)
configure_file(${CMAKE_CURRENT_LIST_DIR}/test_paths.h.in ${ARCSHARD_TEST_PATHS}/test_paths.h @ONLY)
add_custom_target(sanitized_tests)
add_custom_target(gpu_code)  # the GPU code and the head's tests: what scripts/test builds of the preset cuda
function(arcshard_test name)
  cmake_parse_arguments(arg "DEVICES" "TIMEOUT" "SOURCES;DEPS;LABELS" ${ARGN})
  if(NOT BUILD_TESTING)
    return()
  endif()
  if(NOT arg_LABELS)
    set(arg_LABELS fast)
  endif()
  # A limit ends a test that hangs. It is far from what a test takes on a slow or busy machine.
  if(NOT arg_TIMEOUT)
    set(arg_TIMEOUT 1800)
    if(arg_LABELS STREQUAL slow)
      set(arg_TIMEOUT 7200)
    endif()
  endif()
  add_executable(${name} ${arg_SOURCES})
  if(arg_LABELS STREQUAL sanitized OR (arg_LABELS STREQUAL address-sanitized AND NOT ARCSHARD_SANITIZE STREQUAL thread))
    add_dependencies(sanitized_tests ${name})
  endif()
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/test)
  target_link_libraries(${name} PRIVATE ${arg_DEPS} GTest::gmock arcshard::test_main)
  target_compile_options(${name} PRIVATE ${ARCSHARD_WARNINGS})
  arcshard_knows_torch(torch "${arg_DEPS}")
  if(torch)
    arcshard_precompile(${name} torch_test)
  else()
    arcshard_precompile(${name} test)
  endif()
  target_include_directories(${name} PRIVATE ${ARCSHARD_TEST_PATHS})
  # On a busy machine a program that loads LibTorch may take far more than CMake's 5 s to list its tests.
  gtest_discover_tests(${name} DISCOVERY_MODE PRE_TEST DISCOVERY_TIMEOUT 1800 PROPERTIES LABELS "${arg_LABELS}" TIMEOUT ${arg_TIMEOUT}
    ENVIRONMENT "TSAN_OPTIONS=suppressions=${PROJECT_SOURCE_DIR}/tests/tsan.supp")
  if(arg_DEVICES AND ARCSHARD_CUDA)
    add_test(NAME cuda/${name} COMMAND ${name})
    set_tests_properties(cuda/${name} PROPERTIES LABELS cuda RESOURCE_LOCK gpu SKIP_RETURN_CODE 77
      TIMEOUT 1800 ENVIRONMENT ARCSHARD_TEST_DEVICE=cuda)
  endif()
endfunction()
