// What tests share; see base.h.
#pragma once

#include "cmake/precompiled/base.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
