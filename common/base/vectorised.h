#pragma once

// Compiles a function once for each level of x86 and chooses one when the program starts. Clang 14 does not know these
// names, and a sanitizer's runtime is not initialised yet when the choice is made.
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && !defined(__SANITIZE_ADDRESS__) && \
    !defined(__SANITIZE_THREAD__)
#define ARCSHARD_VECTORISED __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define ARCSHARD_VECTORISED
#endif
// For helpers of such functions, which then become part of each version.
#define ARCSHARD_INLINED __attribute__((always_inline)) inline
