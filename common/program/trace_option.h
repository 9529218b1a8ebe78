#pragma once

namespace arcshard {

inline constexpr char kTraceHelp[] =
    "File for a trace of what this process does and when, which ui.perfetto.dev shows; %p in it is replaced by the "
    "process's number. Default: there is none";

}  // namespace arcshard
