# arcshard_allocator(PROGRAM): the program allocates with tcmalloc instead of the C library's malloc (docs/adr/0018). A sanitizer
# has an allocator of its own.
find_library(ARCSHARD_TCMALLOC tcmalloc_minimal REQUIRED)  # Debian: libgoogle-perftools-dev
function(arcshard_allocator program)
  if(NOT ARCSHARD_SANITIZE)
    # No symbol asks for it by name, so the linker would leave it out.
    target_link_libraries(${program} PRIVATE -Wl,--no-as-needed ${ARCSHARD_TCMALLOC} -Wl,--as-needed)
  endif()
endfunction()
