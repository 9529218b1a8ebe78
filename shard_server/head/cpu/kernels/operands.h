#pragma once

#include <cstdint>

#include "shard_server/head/arithmetic/bfloat16.h"

// Preparation of the factors of products.h: conversion to the compute type, which rounds to nearest, and the layout
// that a product requires.
namespace arcshard::head {

void Convert(int64_t n, const float* x, float* y);
void Convert(int64_t n, const float* x, Bfloat16* y);
void Convert(int64_t n, const Bfloat16* x, float* y);
void Convert(int64_t n, const Bfloat16* x, Bfloat16* y);

// packed <- a right factor (rows×dim) from rows of `x` that are `stride` values apart. Requires an even number of rows
// for Bfloat16.
void PackRows(int64_t rows, int64_t dim, const float* x, int64_t stride, float* packed);
void PackRows(int64_t rows, int64_t dim, const Bfloat16* x, int64_t stride, Bfloat16* packed);

// wide <- the packed right factor (rows×dim), packed as float32. Requires an even number of rows.
void WidenPackedRows(int64_t rows, int64_t dim, const Bfloat16* packed, float* wide);

// packed <- a right factor (padded_rows×dim) from the rows of `x` (rows×dim), each multiplied by factors[i], followed
// by zeros.
void PackScaledRows(int64_t rows, int64_t dim, const float* x, const float* factors, int64_t padded_rows,
                    float* packed);
void PackScaledRows(int64_t rows, int64_t dim, const float* x, const float* factors, int64_t padded_rows,
                    Bfloat16* packed);

// packed <- a right factor (depth×columns, depth = DepthOf<T>(dim)) whose column i is row i of `x` (rows×dim). The
// other columns, and a row beyond `dim`, are 0.
void PackTransposed(int64_t rows, int64_t dim, const float* x, int64_t columns, float* packed);
void PackTransposed(int64_t rows, int64_t dim, const float* x, int64_t columns, Bfloat16* packed);

// y (columns×rows) <- the transpose of x (rows×columns). Requires multiples of 16.
void Transpose(int64_t rows, int64_t columns, const float* x, float* y);
void Transpose(int64_t rows, int64_t columns, const Bfloat16* x, Bfloat16* y);

}  // namespace arcshard::head
