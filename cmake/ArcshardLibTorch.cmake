# arcshard::libtorch, an imported target over a LibTorch folder: a LibTorch download, the `torch` folder of a Python
# installation, or what scripts/setup fetched. LibTorch's own TorchConfig.cmake demands a CUDA toolkit even for the CPU.

if(ARCSHARD_LIBTORCH)
  set(arcshard_libtorch_dir ${ARCSHARD_LIBTORCH})
else()
  set(arcshard_libtorch_dir ${CMAKE_CURRENT_SOURCE_DIR}/.deps/libtorch)
endif()
if(NOT EXISTS ${arcshard_libtorch_dir}/lib/libtorch_cpu.so)
  message(FATAL_ERROR "No LibTorch in ${arcshard_libtorch_dir} (lib/libtorch_cpu.so is missing): run scripts/setup, or give -DARCSHARD_LIBTORCH=FOLDER")
endif()

add_library(arcshard_libtorch INTERFACE)
add_library(arcshard::libtorch ALIAS arcshard_libtorch)
# The wheel carries older google/protobuf headers than Debian's: its folders are searched last.
target_compile_options(arcshard_libtorch INTERFACE
  "SHELL:-idirafter ${arcshard_libtorch_dir}/include" "SHELL:-idirafter ${arcshard_libtorch_dir}/include/torch/csrc/api/include")
target_compile_definitions(arcshard_libtorch INTERFACE USE_DISTRIBUTED USE_C10D_GLOO)
target_link_libraries(arcshard_libtorch INTERFACE ${arcshard_libtorch_dir}/lib/libtorch_cpu.so ${arcshard_libtorch_dir}/lib/libc10.so)
target_link_options(arcshard_libtorch INTERFACE -Wl,-rpath,${arcshard_libtorch_dir}/lib)
