#include "tests/process/testing/process_kit.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/inotify.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <limits>
#include <random>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "common/checkpoint/checkpoint_folder.h"
#include "common/io/file_system.h"
#include "nlohmann/json.hpp"
#include "test_paths.h"

namespace arcshard {
namespace {

sockaddr_in LocalAddress(int port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(static_cast<uint16_t>(port));
  return address;
}

// A file of safetensors without the view in its metadata: the view does not follow from what was trained.
std::string WithoutView(const std::string& file) {
  uint64_t size = 0;
  if (file.size() < sizeof(size)) return file;
  std::memcpy(&size, file.data(), sizeof(size));
  nlohmann::json header = nlohmann::json::parse(file.substr(sizeof(size), size));
  header["__metadata__"].erase("view");
  return header.dump() + file.substr(sizeof(size) + size);
}

}  // namespace

Program::Program(const std::string& program, const std::vector<std::string>& arguments, int inherit_fd) {
  int ends[2];
  EXPECT_EQ(pipe2(ends, O_CLOEXEC), 0);
  from_ = FileDescriptor(ends[0]);
  const FileDescriptor to(ends[1]);
  auto process = cli::Process::Start({.program = absl::StrCat(ARCSHARD_BIN_DIR "/", program),
                                      .arguments = arguments,
                                      .environment = {"OMP_NUM_THREADS=1"},
                                      .log = "",
                                      .output_fd = to.get(),
                                      .inherit_fd = inherit_fd});
  if (!process.ok()) {
    ADD_FAILURE() << process.status();
    std::abort();
  }
  process_ = *std::move(process);
}

bool Program::ReadLine(std::string* line) {
  while (true) {
    const size_t end = output_.find('\n', taken_);
    if (end != std::string::npos) {
      *line = output_.substr(taken_, end - taken_);
      taken_ = end + 1;
      return true;
    }
    char buffer[4096];
    const ssize_t bytes = read(from_.get(), buffer, sizeof(buffer));
    if (bytes > 0) output_.append(buffer, static_cast<size_t>(bytes));
    if (bytes == 0 || (bytes < 0 && errno != EINTR)) return false;
  }
}

std::string Program::AwaitLine(const std::string& text) {
  for (std::string line; ReadLine(&line);) {
    if (line.find(text) != std::string::npos) return line;
  }
  ADD_FAILURE() << "no line with '" << text << "' in:\n" << output_;
  return "";
}

cli::ProcessExit Program::AwaitEnd() {
  for (std::string line; ReadLine(&line);) {
  }
  siginfo_t info;
  EXPECT_EQ(waitid(P_PID, static_cast<id_t>(pid()), &info, WEXITED | WNOWAIT), 0);
  return process_->Poll().value_or(cli::ProcessExit{.code = -1});
}

ProcessTestBase::ProcessTestBase() : folder_(::testing::TempDir() + "arcshard_process_XXXXXX") {
  EXPECT_NE(mkdtemp(folder_.data()), nullptr);
}

ProcessTestBase::~ProcessTestBase() { std::filesystem::remove_all(folder_); }

void ProcessTestBase::Write(const std::string& name, const std::string& text) const {
  std::ofstream(Path(name)) << text;
}

std::string ProcessTestBase::ErrorOf(const std::string& program, const std::vector<std::string>& arguments,
                                     int status) const {
  Program running = Start(program, arguments);
  EXPECT_EQ(running.AwaitEnd(), (cli::ProcessExit{.code = status})) << running.output();
  constexpr absl::string_view kMark = "error: ";
  std::vector<std::string> errors;
  for (const absl::string_view line : absl::StrSplit(running.output(), '\n')) {
    const size_t mark = line.find(kMark);
    if (mark != absl::string_view::npos) errors.emplace_back(line.substr(mark + kMark.size()));
  }
  EXPECT_EQ(errors.size(), 1u) << running.output();
  return errors.empty() ? "" : errors.front();
}

std::vector<std::string> ProcessTestBase::SmallRun(const std::vector<std::string>& overrides) const {
  Write("run.yaml", absl::StrCat("run: {folder: ", Path("run"), "}\n",
                                 "data: {train: " ARCSHARD_SOURCE_DIR "/examples/omniglot/data, image_size: 16, "
                                 "batch_size: 16, micro_batch_size: 4, flip: false}\n",
                                 "backbone: {name: iresnet18, width: 4, embedding_size: 32}\n", "head: {scale: 32}\n",
                                 "loss: {margin: cosface, m: 0.4}\n", "schedule: {epochs: 1000}\n",
                                 "cluster: {shards: 2, workers: 2, connect_timeout: 10m, heartbeat_timeout: 60s}\n"));
  std::vector<std::string> arguments = {"train", Path("run.yaml")};
  for (const std::string& override : overrides) arguments.insert(arguments.end(), {"--set", override});
  return arguments;
}

LocalPort::LocalPort() : socket_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
  sockaddr_in address = LocalAddress(0);
  socklen_t size = sizeof(address);
  EXPECT_EQ(bind(socket_.get(), reinterpret_cast<sockaddr*>(&address), size), 0);
  EXPECT_EQ(listen(socket_.get(), 1), 0);
  EXPECT_EQ(getsockname(socket_.get(), reinterpret_cast<sockaddr*>(&address), &size), 0);
  port_ = ntohs(address.sin_port);
}

bool Answers(const std::string& address) {
  const FileDescriptor probe(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const sockaddr_in peer = LocalAddress(std::stoi(address.substr(address.rfind(':') + 1)));
  return connect(probe.get(), reinterpret_cast<const sockaddr*>(&peer), sizeof(peer)) == 0;
}

Listing Listing::Of(const std::string& run_folder) {
  const auto text = ReadFile(run_folder + "/processes.json");
  EXPECT_TRUE(text.ok()) << text.status();
  const nlohmann::json json = nlohmann::json::parse(text.value_or("{}"));
  Listing listing;
  listing.coordinator = json.value("coordinator", "");
  for (const nlohmann::json& entry : json.value("processes", nlohmann::json::array())) {
    listing.processes.push_back({entry["role"], entry["index"], entry["pid"], entry["log"]});
  }
  return listing;
}

const Listing::Entry& Listing::Find(const std::string& role, uint32_t index) const {
  for (const Entry& entry : processes) {
    if (entry.role == role && entry.index == index) return entry;
  }
  ADD_FAILURE() << "no " << role << " " << index << " is listed";
  std::abort();
}

void AwaitDeath(pid_t pid) {
  const FileDescriptor process(static_cast<int>(syscall(SYS_pidfd_open, pid, 0)));
  if (!process.valid()) {
    EXPECT_EQ(errno, ESRCH);  // it has ended, and its parent has waited for it
    return;
  }
  pollfd ended = {process.get(), POLLIN, 0};
  EXPECT_EQ(poll(&ended, 1, static_cast<int>(absl::ToInt64Milliseconds(kPatience))), 1)
      << "process " << pid << " still runs";
}

void AwaitEndOfReports(cli::WatchClient* watch) {
  watch->AwaitEnd(kPatience);
  EXPECT_TRUE(watch->ended()) << "the coordinator still sends reports";
}

std::string ScrapeCoordinator(const Listing& run) {
  const std::string log = ReadFile(run.Find("coordinator", 0).log).value_or("");
  const std::string mark_text = "metrics on port ";
  const size_t mark = log.find(mark_text);
  EXPECT_NE(mark, std::string::npos) << log;
  const sockaddr_in address = LocalAddress(std::stoi(log.substr(mark + mark_text.size())));
  const FileDescriptor client(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  EXPECT_EQ(connect(client.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)), 0);
  const std::string request = "GET /metrics HTTP/1.0\r\n\r\n";
  EXPECT_EQ(write(client.get(), request.data(), request.size()), static_cast<ssize_t>(request.size()));
  std::string answer;
  char buffer[4096];
  for (ssize_t bytes; (bytes = read(client.get(), buffer, sizeof(buffer))) > 0;) {
    answer.append(buffer, static_cast<size_t>(bytes));
  }
  return answer;
}

void AwaitReadable(int fd) {
  pollfd readable = {fd, POLLIN, 0};
  poll(&readable, 1, -1);
}

void AwaitText(const std::string& path, const std::string& text) {
  const FileDescriptor changes(inotify_init1(IN_CLOEXEC));
  EXPECT_GE(inotify_add_watch(changes.get(), path.c_str(), IN_MODIFY), 0) << path;
  while (ReadFile(path).value_or(text).find(text) == std::string::npos) {
    char events[4096];
    EXPECT_GT(read(changes.get(), events, sizeof(events)), 0);
  }
}

std::vector<v1::Progress> AwaitReports(cli::WatchClient* watch) {
  while (true) {
    std::vector<v1::Progress> reports = watch->Take();
    if (!reports.empty()) return reports;
    if (watch->ended()) return watch->Take();  // those that have come before the end
    AwaitReadable(watch->fd());
  }
}

std::vector<uint64_t> CheckpointSteps(const std::string& run_folder) {
  std::vector<uint64_t> steps;
  const auto complete = ListCheckpoints(RealFileSystem(), run_folder);
  EXPECT_TRUE(complete.ok()) << complete.status();
  if (!complete.ok()) return steps;
  for (const CheckpointId& id : *complete) steps.push_back(id.step);
  return steps;
}

std::map<std::string, std::string> ModelOf(const std::string& run_folder) {
  std::map<std::string, std::string> files;
  for (const auto& entry : std::filesystem::directory_iterator(run_folder + "/model")) {
    files[entry.path().filename()] = WithoutView(ReadFile(entry.path()).value_or(""));
  }
  return files;
}

void ExpectSameModel(const std::map<std::string, std::string>& model,
                     const std::map<std::string, std::string>& expected) {
  EXPECT_GE(expected.size(), 2u);  // the backbone, and the class centers of each shard
  EXPECT_EQ(model.size(), expected.size());
  for (const auto& [name, bytes] : expected) {
    EXPECT_TRUE(model.contains(name) && model.at(name) == bytes) << name << " has other bits";
  }
}

uint32_t PrintedSeed() {
  const char* const given = std::getenv("ARCSHARD_TEST_SEED");
  uint32_t seed = 0;
  if (given == nullptr || !absl::SimpleAtoi(given, &seed)) seed = std::random_device()();
  std::printf("ARCSHARD_TEST_SEED=%u\n", seed);
  std::fflush(stdout);
  return seed;
}

void AwaitSteps(cli::WatchClient* watch, uint64_t steps) {
  uint64_t first = std::numeric_limits<uint64_t>::max();
  AwaitReport(watch, [&](const v1::Progress& report) {
    first = std::min<uint64_t>(first, report.step());
    return report.step() >= first + steps;
  });
}

}  // namespace arcshard
