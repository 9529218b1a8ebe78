#include "cli/data/data_commands.h"

#include <algorithm>
#include <filesystem>
#include <memory>
#include <system_error>
#include <thread>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "cli/data/task_progress.h"
#include "cli/display/console.h"
#include "common/base/status_macros.h"
#include "common/io/output_file.h"
#include "common/text/printable_text.h"
#include "worker/data/dataset_files.h"
#include "worker/data/formats/verification_list.h"
#include "worker/data/formats/verification_set.h"
#include "worker/data/open_dataset.h"
#include "worker/data/tools/pack.h"
#include "worker/data/tools/pairs.h"
#include "worker/data/tools/survey.h"

namespace arcshard::cli {
namespace {

constexpr double kMiB = 1 << 20;
constexpr int64_t kMostPairs = 1'000'000;  // the most that VerificationSet reads from a .bin
constexpr char kSourceHelp[] = "A training set, as data.train of a run";

int Threads(const DataArguments& arguments) {
  return arguments.threads > 0 ? arguments.threads : std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
}

absl::StatusOr<std::unique_ptr<worker::EncodedDataset>> OpenSource(const DataArguments& arguments) {
  return worker::OpenEncodedDataset({.path = arguments.source, .format = arguments.format, .root = arguments.root});
}

worker::ProgressFunction ShowIn(TaskProgress* progress) {
  return [progress](absl::string_view verb, int64_t done, int64_t all) { progress->Show(verb, done, all); };
}

// What a data set's folders hold besides it, a line each.
std::string Warnings(const worker::EncodedDataset& dataset) {
  std::string text;
  for (const std::string& warning : dataset.Warnings())
    absl::StrAppend(&text, "warning: ", PrintableLine(warning), "\n");
  return text;
}

// "left out: ..." for each damaged image, and the size that property names if the images differ in size.
std::string Details(const worker::PackReport& report) {
  std::string text;
  for (const worker::DamagedSample& left_out : report.left_out) {
    absl::StrAppend(&text, "left out: ", PrintableLine(left_out.status.message()), "\n");
  }
  if (report.mixed) {
    absl::StrAppend(&text, "the images differ in size; property names the most frequent one, ", report.height, " × ",
                    report.width, "\n");
  }
  return text;
}

std::string Summary(const std::string& out, const worker::PackReport& report) {
  return absl::StrFormat("%s: %d classes, %d images, %d bytes (%.1f MiB)\n", PrintableLine(out), report.classes,
                         report.images, report.bytes, report.bytes / kMiB);
}

absl::Status Pack(const DataArguments& arguments) {
  ASSIGN_OR_RETURN(const auto dataset, OpenSource(arguments));
  TaskProgress progress(TaskProgress::OfThisProcess());
  ASSIGN_OR_RETURN(const worker::PackReport report, worker::PackDataset(*dataset, arguments.out,
                                                                        {.resize = arguments.resize,
                                                                         .skip_damaged = arguments.skip_damaged,
                                                                         .force = arguments.force,
                                                                         .threads = Threads(arguments),
                                                                         .progress = ShowIn(&progress)}));
  progress.Clear();
  RETURN_IF_ERROR(PrintText(Warnings(*dataset)));
  RETURN_IF_ERROR(PrintText(Details(report)));
  if (!report.ordered) {
    RETURN_IF_ERROR(PrintText(
        "the images of a class are not adjacent: their order is kept, and header and identity records are left out\n"));
  }
  RETURN_IF_ERROR(PrintText(Summary(absl::StrCat(arguments.out, "/train.rec"), report)));
  return absl::OkStatus();
}

absl::Status Unpack(const DataArguments& arguments) {
  ASSIGN_OR_RETURN(const auto dataset, OpenSource(arguments));
  TaskProgress progress(TaskProgress::OfThisProcess());
  ASSIGN_OR_RETURN(const worker::PackReport report, worker::UnpackDataset(*dataset, arguments.out,
                                                                          {.skip_damaged = arguments.skip_damaged,
                                                                           .threads = Threads(arguments),
                                                                           .progress = ShowIn(&progress)}));
  progress.Clear();
  RETURN_IF_ERROR(PrintText(Warnings(*dataset)));
  RETURN_IF_ERROR(PrintText(Details(report)));
  RETURN_IF_ERROR(PrintText(Summary(arguments.out, report)));
  return absl::OkStatus();
}

absl::Status Pairs(const DataArguments& arguments) {
  RETURN_IF_ERROR(CheckOutputFile(arguments.out, arguments.force, {arguments.source}));
  ASSIGN_OR_RETURN(const auto dataset, OpenSource(arguments));
  if (arguments.force && worker::DatasetReadsFile(*dataset, arguments.out)) {
    return absl::FailedPreconditionError(
        absl::StrCat(arguments.out, " is one of the images or their list: it is not replaced"));
  }
  TaskProgress progress(TaskProgress::OfThisProcess());
  const worker::Survey survey = worker::SurveyDataset(*dataset, Threads(arguments), ShowIn(&progress));
  RETURN_IF_ERROR(worker::CheckSound(survey, dataset->path(), "paired", arguments.skip_damaged));
  const absl::StatusOr<std::vector<worker::ImagePair>> pairs =
      worker::DrawPairs(survey.labels, {.pairs = arguments.pairs, .folds = arguments.folds, .seed = arguments.seed});
  if (!pairs.ok()) return Annotate(pairs.status(), dataset->path());
  RETURN_IF_ERROR(worker::WritePairs(*dataset, *pairs, arguments.out, ShowIn(&progress)));
  progress.Clear();
  RETURN_IF_ERROR(PrintText(Warnings(*dataset)));
  return PrintText(absl::StrFormat("%s: %d pairs, half of them of the same class, in %d folds; drawn from %d images\n",
                                   PrintableLine(arguments.out), pairs->size(), arguments.folds, survey.images));
}

bool IsVerificationSet(const std::string& path) {
  std::error_code error;
  if (!std::filesystem::is_regular_file(path, error)) return false;
  return absl::EndsWith(path, ".bin") || worker::IsPairListWithTabs(path);
}

absl::StatusOr<int> CheckSource(const DataArguments& arguments) {
  worker::Survey survey;
  TaskProgress progress(TaskProgress::OfThisProcess());
  if (IsVerificationSet(arguments.source)) {
    ASSIGN_OR_RETURN(const auto set, worker::VerificationSet::Load(arguments.source));
    survey = worker::SurveySet(*set, Threads(arguments), ShowIn(&progress));
    progress.Clear();
    RETURN_IF_ERROR(PrintText(absl::StrFormat("%s: a verification set of %d pairs, %d of the same class\n",
                                              PrintableLine(set->path()), set->pairs(),
                                              std::count(set->same().begin(), set->same().end(), true))));
  } else {
    ASSIGN_OR_RETURN(const auto dataset, OpenSource(arguments));
    survey = worker::SurveyDataset(*dataset, Threads(arguments), ShowIn(&progress));
    progress.Clear();
    RETURN_IF_ERROR(PrintText(
        absl::StrFormat("%s: a training set of %d samples\n", PrintableLine(dataset->path()), dataset->samples())));
    if (const std::string suffixes = dataset->Suffixes(); !suffixes.empty()) {
      RETURN_IF_ERROR(PrintText(absl::StrCat("files: ", PrintableLine(suffixes), "\n")));
    }
    RETURN_IF_ERROR(PrintText(Warnings(*dataset)));
  }
  RETURN_IF_ERROR(PrintText(worker::SurveyText(survey, arguments.damaged_lines)));
  return survey.damaged.empty() ? 0 : 1;
}

}  // namespace

DataCommands::DataCommands(CommandLine program)
    : Command(program.AddCommand("data", "Pack, unpack and check training sets; draw verification pairs")),
      pack_(Add("pack", "Write a training set as InsightFace's train.rec, train.idx and property", kSourceHelp)),
      unpack_(Add("unpack", "Write a training set as folders 00000000, 00000001, ... of images, and property",
                  kSourceHelp)),
      pairs_(Add("pairs", "Draw pairs of images for verification and write them as InsightFace's .bin", kSourceHelp)),
      check_(Add("check", "Read and decode every image; count, measure, and name what is damaged (exit status 1)",
                 "A training set, as data.train of a run, or a verification set")) {
  pack_.Add("out", &arguments_.out, "The folder that gets the three files").ValueName("FOLDER").Required();
  pack_.Add("--resize", &arguments_.resize, "Resize images to this width and height; default: unchanged")
      .ValueName("PIXELS")
      .Within(1, 8192);
  unpack_.Add("out", &arguments_.out, "The folder to make").ValueName("FOLDER").Required();
  pairs_.Add("out", &arguments_.out, "The file to write").ValueName("OUT.bin").Required();
  pairs_.Add("--pairs", &arguments_.pairs, "How many pairs; half are of the same class")
      .Within(2, kMostPairs)
      .ShowDefault();
  pairs_.Add("--folds", &arguments_.folds, "Folds of the cross-validation; each has as many pairs of both kinds")
      .Within(1, kMostPairs)
      .ShowDefault();
  pairs_.Add("--seed", &arguments_.seed, "Seed of the draw").ShowDefault();
  check_.Add("--show", &arguments_.damaged_lines, "Name at most so many of the damaged images")
      .NotNegative()
      .ShowDefault();
  for (CommandLine* command : {&pack_, &unpack_, &pairs_}) {
    command->AddFlag("--skip-damaged", &arguments_.skip_damaged, "Leave damaged images out and name them");
  }
  for (CommandLine* command : {&pack_, &pairs_}) {
    command->AddFlag("--force", &arguments_.force, "Replace files that exist");
  }
}

CommandLine DataCommands::Add(const char* name, const char* help, const char* source_help) {
  CommandLine command = line().AddCommand(name, help);
  command.Add("source", &arguments_.source, source_help).ValueName("PATH").Required();
  command.Add("--format", &arguments_.format, "Format of the training set, as data.format of a run")
      .OneOf({"auto", "recordio", "seed", "folders", "list"})
      .ShowDefault();
  command.Add("--root", &arguments_.root, "Folder that a list's paths are relative to, as data.root of a run")
      .ValueName("FOLDER");
  command.Add("--threads", &arguments_.threads, "Threads that decode images; default: all cores").Positive();
  return command;
}

absl::StatusOr<int> DataCommands::Run() {
  if (check_.given()) return CheckSource(arguments_);
  RETURN_IF_ERROR(pack_.given() ? Pack(arguments_) : unpack_.given() ? Unpack(arguments_) : Pairs(arguments_));
  return 0;
}

}  // namespace arcshard::cli
