#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "cli/supervision/first_failure.h"
#include "common/io/file.h"
#include "common/io/line_log.h"

namespace arcshard::cli {

struct RunningProcess {
  Role role = Role::kCoordinator;
  uint32_t index = 0;  // within the role
  int64_t pid = 0;
  std::string log;
};

// The files of `arcshard train`, the launcher, in a run's folder: a log for each process, logs/<role>-<i>.log;
// logs/launcher.log, with the deaths that the run has survived; logs/config.yaml, with which a coordinator that has
// died is started again; and, while the launcher runs, processes.json, from which people and scripts learn what runs:
//
//   {"launcher": 100, "coordinator": "127.0.0.1:4711",
//    "processes": [{"role": "shard", "index": 0, "pid": 101, "log": "/runs/a/logs/shard-0.log"}, ...]}
//
// Not thread-safe.
class RunFolder {
 public:
  // Locks the folder and creates missing folders. FailedPrecondition: another launcher runs in the folder. A file
  // system that has no locks is no error but a warning().
  static absl::StatusOr<RunFolder> Take(const std::string& path);
  RunFolder(RunFolder&&) = default;
  RunFolder& operator=(RunFolder&&) = delete;
  ~RunFolder();  // removes processes.json, if it is this launcher's

  // The coordinator's host:port of the run that is in progress in the folder `path`. NotFound: the folder does not
  // exist, or no run is in progress, even if the list of a launcher that was killed is there; the message says if one
  // has ended there. DataLoss: processes.json is not in the
  // form that List writes. Unavailable: the coordinator does not listen yet.
  static absl::StatusOr<std::string> CoordinatorOf(const std::string& path);

  const std::string& warning() const { return warning_; }  // that the folder cannot be locked; empty: it is locked
  std::string LogOf(Role role, uint32_t index) const;
  std::string backbone() const;       // path of the trained backbone
  std::string best_backbone() const;  // path of the backbone with the best verification

  // Whether logs/ is still the folder that was locked; it may have been deleted, or the whole folder with it.
  bool still_there() const { return StillNames(logs_, lock_); }

  // Writes logs/config.yaml, atomically, and returns its path.
  absl::StatusOr<std::string> KeepConfig(absl::string_view yaml) const;

  // Appends a line with `date` and the sentence to logs/launcher.log. If it cannot be written the log of this process
  // has a warning, once.
  void Note(absl::Time date, absl::string_view sentence);

  // Writes processes.json, atomically.
  absl::Status List(const std::string& coordinator, const std::vector<RunningProcess>& processes);

 private:
  RunFolder(std::string path, std::string logs, FileDescriptor lock)
      : path_(std::move(path)),
        logs_(std::move(logs)),
        lock_(std::move(lock)),
        notes_(logs_ + "/launcher.log", "the run continues") {}
  std::string processes_json() const;
  void RemoveTemporaryFiles() const;

  std::string path_;
  std::string logs_;
  std::string warning_ = {};
  FileDescriptor lock_;  // holds the lock on logs/
  LineLog notes_;
};

}  // namespace arcshard::cli
