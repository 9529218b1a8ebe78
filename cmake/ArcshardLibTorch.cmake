# arcshard::libtorch, an imported target over a LibTorch folder: a LibTorch download, the `torch` folder of a Python
# installation, or what scripts/setup fetched. LibTorch's own TorchConfig.cmake demands a CUDA toolkit even for the CPU.

if(ARCSHARD_LIBTORCH)
  set(arcshard_libtorch_dir ${ARCSHARD_LIBTORCH})
elseif(ARCSHARD_CUDA AND EXISTS ${CMAKE_CURRENT_SOURCE_DIR}/.deps/libtorch-cuda/torch/lib/libtorch_cuda.so)
  set(arcshard_libtorch_dir ${CMAKE_CURRENT_SOURCE_DIR}/.deps/libtorch-cuda/torch)  # scripts/setup --cuda
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

# arcshard::libtorch_cuda: LibTorch's GPU half, for workers on GPUs. It registers itself as it is loaded, so it is linked
# although no symbol asks for it. It finds NVIDIA's libraries beside it by itself, at run time only: a build needs none.
set(ARCSHARD_TORCH_CUDA OFF)
if(ARCSHARD_CUDA)
  find_path(ARCSHARD_NCCL_INCLUDE nccl.h HINTS ${arcshard_libtorch_dir}/../nvidia/nccl/include ${CUDAToolkit_INCLUDE_DIRS})
  if(NOT EXISTS ${arcshard_libtorch_dir}/lib/libtorch_cuda.so)
    message(STATUS "${arcshard_libtorch_dir} has no libtorch_cuda.so: workers compute on the CPU (scripts/setup --cuda fetches it)")
  elseif(NOT ARCSHARD_NCCL_INCLUDE)
    message(FATAL_ERROR "nccl.h is missing: install NCCL's headers (Debian: libnccl-dev; PyPI: nvidia-nccl-cu13), or give -DARCSHARD_NCCL_INCLUDE=FOLDER")
  else()
    set(ARCSHARD_TORCH_CUDA ON)
    add_library(arcshard_libtorch_cuda INTERFACE)
    add_library(arcshard::libtorch_cuda ALIAS arcshard_libtorch_cuda)
    target_link_libraries(arcshard_libtorch_cuda INTERFACE arcshard_libtorch
      -Wl,--no-as-needed ${arcshard_libtorch_dir}/lib/libtorch_cuda.so ${arcshard_libtorch_dir}/lib/libc10_cuda.so -Wl,--as-needed)
    target_link_options(arcshard_libtorch_cuda INTERFACE -Wl,--allow-shlib-undefined)
  endif()
endif()
