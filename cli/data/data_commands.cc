#include "cli/data/data_commands.h"

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <system_error>
#include <thread>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "common/base/status_macros.h"
#include "worker/data/formats/verification_set.h"
#include "worker/data/open_dataset.h"
#include "worker/data/tools/pack.h"
#include "worker/data/tools/pairs.h"
#include "worker/data/tools/survey.h"

namespace arcshard::cli {
namespace {

constexpr double kMiB = 1 << 20;
constexpr int64_t kMostPairs = 1'000'000;  // that a .bin may have for VerificationSet to read it

void Print(absl::string_view text) {
  std::fwrite(text.data(), 1, text.size(), stdout);
  std::fflush(stdout);
}

int Threads(const DataArguments& arguments) {
  return arguments.threads > 0 ? arguments.threads : std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
}

absl::StatusOr<std::unique_ptr<worker::EncodedDataset>> OpenSource(const DataArguments& arguments) {
  return worker::OpenEncodedDataset({.path = arguments.source, .format = arguments.format, .root = arguments.root});
}

// "left out: ..." for each, and how large the images are.
std::string Details(const worker::PackReport& report) {
  std::string text;
  for (const worker::DamagedSample& left_out : report.left_out) {
    const absl::string_view message = left_out.status.message();
    absl::StrAppend(&text, "left out: ", message, "\n");
  }
  if (report.mixed) {
    absl::StrAppend(&text, "the images differ in size; property has the most frequent one, ", report.height, " × ",
                    report.width, "\n");
  }
  return text;
}

std::string Summary(const std::string& out, const worker::PackReport& report) {
  return absl::StrFormat("%s: %d classes, %d images, %d bytes (%.1f MiB)\n", out, report.classes, report.images,
                         report.bytes, report.bytes / kMiB);
}

absl::Status Pack(const DataArguments& arguments) {
  ASSIGN_OR_RETURN(const auto dataset, OpenSource(arguments));
  ASSIGN_OR_RETURN(const worker::PackReport report, worker::PackDataset(*dataset, arguments.out,
                                                                        {.resize = arguments.resize,
                                                                         .skip_damaged = arguments.skip_damaged,
                                                                         .force = arguments.force,
                                                                         .threads = Threads(arguments)}));
  Print(Details(report));
  if (!report.ordered) {
    Print("the images of a class are no neighbours: their order is kept, header and identity records are left out\n");
  }
  Print(Summary(absl::StrCat(arguments.out, "/train.rec"), report));
  return absl::OkStatus();
}

absl::Status Unpack(const DataArguments& arguments) {
  ASSIGN_OR_RETURN(const auto dataset, OpenSource(arguments));
  ASSIGN_OR_RETURN(const worker::PackReport report,
                   worker::UnpackDataset(*dataset, arguments.out,
                                         {.skip_damaged = arguments.skip_damaged, .threads = Threads(arguments)}));
  Print(Details(report));
  Print(Summary(arguments.out, report));
  return absl::OkStatus();
}

absl::Status Pairs(const DataArguments& arguments) {
  std::error_code error;
  if (!arguments.force && std::filesystem::exists(arguments.out, error)) {
    return absl::AlreadyExistsError(absl::StrCat(arguments.out, " is there already; --force replaces it"));
  }
  ASSIGN_OR_RETURN(const auto dataset, OpenSource(arguments));
  const worker::Survey survey = worker::SurveyDataset(*dataset, Threads(arguments));
  RETURN_IF_ERROR(worker::CheckSound(survey, dataset->path(), "paired", arguments.skip_damaged));
  const absl::StatusOr<std::vector<worker::ImagePair>> pairs =
      worker::DrawPairs(survey.labels, {.pairs = arguments.pairs, .folds = arguments.folds, .seed = arguments.seed});
  if (!pairs.ok()) return Annotate(pairs.status(), dataset->path());
  RETURN_IF_ERROR(worker::WritePairs(*dataset, *pairs, arguments.out));
  Print(absl::StrFormat("%s: %d pairs, half of them of the same class, in %d folds; drawn from %d images\n",
                        arguments.out, pairs->size(), arguments.folds, survey.images));
  return absl::OkStatus();
}

absl::StatusOr<int> Check(const DataArguments& arguments) {
  worker::Survey survey;
  std::error_code error;
  if (absl::EndsWith(arguments.source, ".bin") && std::filesystem::is_regular_file(arguments.source, error)) {
    ASSIGN_OR_RETURN(const auto set, worker::VerificationSet::Load(arguments.source));
    survey = worker::SurveySet(*set, Threads(arguments));
    Print(absl::StrFormat("%s: a verification set of %d pairs, %d of the same class\n", set->path(), set->pairs(),
                          std::count(set->same().begin(), set->same().end(), true)));
  } else {
    ASSIGN_OR_RETURN(const auto dataset, OpenSource(arguments));
    survey = worker::SurveyDataset(*dataset, Threads(arguments));
    Print(absl::StrFormat("%s: a training set of %d samples\n", dataset->path(), dataset->samples()));
  }
  Print(worker::SurveyText(survey, arguments.damaged_lines));
  return survey.damaged.empty() ? 0 : 1;
}

}  // namespace

DataCommands::DataCommands(CLI::App* app)
    : data_(app->add_subcommand("data", "Pack, unpack and check training sets; draw verification pairs")) {
  data_->require_subcommand(1);
  pack_ = Add("pack", "Write a training set as InsightFace's train.rec, train.idx and property");
  pack_->add_option("out", arguments_.out, "The folder that gets the three files")->type_name("FOLDER")->required();
  pack_->add_option("--resize", arguments_.resize, "Bring images to this width and height; default: as they are")
      ->type_name("PIXELS")
      ->check(CLI::Range(1, 8192));
  unpack_ = Add("unpack", "Write a training set as folders 00000000, 00000001, ... of images, and property");
  unpack_->add_option("out", arguments_.out, "The folder to make")->type_name("FOLDER")->required();
  pairs_ = Add("pairs", "Draw pairs of images for verification and write them as InsightFace's .bin");
  pairs_->add_option("out", arguments_.out, "The file to write")->type_name("OUT.bin")->required();
  pairs_->add_option("--pairs", arguments_.pairs, "How many; half are of the same class")
      ->check(CLI::Range(int64_t{2}, kMostPairs))
      ->capture_default_str();
  pairs_->add_option("--folds", arguments_.folds, "Of the cross-validation; each has as many of both kinds")
      ->check(CLI::Range(int64_t{1}, kMostPairs))
      ->capture_default_str();
  pairs_->add_option("--seed", arguments_.seed, "Of the draw")->capture_default_str();
  check_ = Add("check", "Read and decode every image; count, measure, and name what is damaged (exit status 1)");
  check_->add_option("--show", arguments_.damaged_lines, "Name at most so many of the damaged images")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  for (CLI::App* command : {pack_, unpack_, pairs_}) {
    command->add_flag("--skip-damaged", arguments_.skip_damaged, "Leave damaged images out; they are named");
  }
  for (CLI::App* command : {pack_, pairs_}) {
    command->add_flag("--force", arguments_.force, "Replace what is there");
  }
}

CLI::App* DataCommands::Add(const char* name, const char* help) {
  CLI::App* command = data_->add_subcommand(name, help);
  command
      ->add_option("source", arguments_.source,
                   command->get_name() == "check" ? "A training set, as data.train of a run, or a .bin set"
                                                  : "A training set, as data.train of a run")
      ->type_name("PATH")
      ->required();
  command->add_option("--format", arguments_.format, "As data.format: how the training set lies there")
      ->check(CLI::IsMember({"auto", "recordio", "seed", "folders", "list"}))
      ->capture_default_str();
  command->add_option("--root", arguments_.root, "As data.root: what a list's paths count from")->type_name("FOLDER");
  command->add_option("--threads", arguments_.threads, "That decode images; default: all cores")
      ->check(CLI::PositiveNumber);
  return command;
}

absl::StatusOr<int> DataCommands::Run() const {
  if (check_->parsed()) return Check(arguments_);
  RETURN_IF_ERROR(pack_->parsed() ? Pack(arguments_) : unpack_->parsed() ? Unpack(arguments_) : Pairs(arguments_));
  return 0;
}

}  // namespace arcshard::cli
