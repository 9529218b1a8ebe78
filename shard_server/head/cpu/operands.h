#pragma once

#include <cstdint>

#include "shard_server/head/bfloat16.h"

// How the factors of products.h are made from what is held: conversion to the compute type, to the nearest, and the
// order in memory that a product takes. Vectorised for the processor that runs them.
namespace arcshard::head {

void Convert(int64_t n, const float* x, float* y);
void Convert(int64_t n, const float* x, Bfloat16* y);
void Convert(int64_t n, const Bfloat16* x, float* y);
void Convert(int64_t n, const Bfloat16* x, Bfloat16* y);

// A right factor (rows×dim) from `rows` rows, an even number, which lie `stride` values apart.
void PairRows(int64_t rows, int64_t dim, const Bfloat16* x, int64_t stride, Bfloat16* paired);

// A right factor (padded_rows×dim) from rows×dim `x`, row i times factors[i], and zeros beyond.
void PairScaledRows(int64_t rows, int64_t dim, const float* x, const float* factors, int64_t padded_rows,
                    float* paired);
void PairScaledRows(int64_t rows, int64_t dim, const float* x, const float* factors, int64_t padded_rows,
                    Bfloat16* paired);

// Row i of rows×dim `x` becomes column i of a right factor (depth×columns, depth = DepthOf<T>(dim)); the other columns,
// and a dimension beyond `dim`, are 0.
void PairTransposed(int64_t rows, int64_t dim, const float* x, int64_t columns, float* paired);
void PairTransposed(int64_t rows, int64_t dim, const float* x, int64_t columns, Bfloat16* paired);

// y (columns×rows) <- x (rows×columns); both in multiples of 16.
void Transpose(int64_t rows, int64_t columns, const float* x, float* y);
void Transpose(int64_t rows, int64_t columns, const Bfloat16* x, Bfloat16* y);

}  // namespace arcshard::head
