// What files that know LibTorch's tensors share; see base.h.
#pragma once

#include "ATen/TensorOperators.h"
#include "ATen/core/Tensor.h"
#include "cmake/precompiled/base.h"
