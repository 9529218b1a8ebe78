// What tests of files that know LibTorch's tensors share; see base.h.
#pragma once

#include "cmake/precompiled/test.h"
#include "cmake/precompiled/torch.h"
