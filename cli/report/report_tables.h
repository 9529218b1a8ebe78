#pragma once

#include <string>

#include "cli/report/run_record.h"

// The tables of the report page, as HTML with their headings. Empty: the run has nothing for this table.
namespace arcshard::cli {

std::string VerificationTable(const RunRecord& record);
std::string MemberTable(const RunRecord& record);
std::string RecoveryTable(const RunRecord& record);
std::string LifeTable(const RunRecord& record);

}  // namespace arcshard::cli
