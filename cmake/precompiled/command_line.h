// What files that declare command lines share; see base.h.
#pragma once

#include <CLI/CLI.hpp>

#include "cmake/precompiled/base.h"
