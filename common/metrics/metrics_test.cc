#include "common/metrics/metrics.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>
#include <thread>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "common/base/testing/fake_clock.h"
#include "common/io/testing/memory_file_system.h"
#include "common/metrics/metric_list.h"
#include "common/metrics/metrics_server.h"
#include "common/metrics/phase.h"
#include "common/metrics/process_stats.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "prometheus/check_names.h"

namespace arcshard {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

// The answer to GET /metrics, headers and body.
std::string Scrape(int port) {
  const int fd = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  std::string answer;
  if (connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0) {
    const std::string request = "GET /metrics HTTP/1.0\r\n\r\n";
    EXPECT_EQ(write(fd, request.data(), request.size()), static_cast<ssize_t>(request.size()));
    char buffer[4096];
    for (ssize_t got; (got = read(fd, buffer, sizeof(buffer))) > 0;) answer.append(buffer, static_cast<size_t>(got));
  }
  close(fd);
  return answer;
}

// A connection to the port that sends `text`; -1 if there is none.
int ConnectAndSend(int port, const std::string& text) {
  const int fd = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address)) != 0) return -1;
  EXPECT_EQ(send(fd, text.data(), text.size(), MSG_NOSIGNAL), static_cast<ssize_t>(text.size()));
  return fd;
}

template <typename Metrics>
std::vector<MetricDescription> DescriptionsOf() {
  MetricRegistry registry;
  const Metrics metrics(&registry);
  return registry.descriptions();
}

TEST(MetricListTest, EveryMetricFollowsPrometheusNaming) {
  for (const auto& list :
       {DescriptionsOf<CoordinatorMetrics>(), DescriptionsOf<ShardMetrics>(), DescriptionsOf<WorkerMetrics>()}) {
    std::set<std::string> names;
    for (const MetricDescription& metric : list) {
      EXPECT_TRUE(names.insert(metric.name).second) << metric.name << " is there twice";
      EXPECT_TRUE(absl::StartsWith(metric.name, "arcshard_")) << metric.name;
      EXPECT_TRUE(prometheus::CheckMetricName(metric.name)) << metric.name;
      EXPECT_EQ(std::count_if(metric.name.begin(), metric.name.end(), [](char c) { return c >= 'A' && c <= 'Z'; }), 0);
      EXPECT_TRUE(metric.label.empty() || prometheus::CheckLabelName(metric.label)) << metric.name;
      EXPECT_TRUE(absl::EndsWith(metric.help, ".") && metric.help.size() > 20) << metric.name;
      const absl::string_view base = absl::StripSuffix(metric.name, "_total");
      for (const char* unit : {"seconds", "bytes"}) {
        if (metric.unit == unit) {
          EXPECT_TRUE(absl::EndsWith(base, absl::StrCat("_", unit))) << metric.name;
        }
      }
      for (const char* no_base_unit : {"_ms", "_milliseconds", "_kb", "_mb", "_percent", "_count", "_sum", "_bucket"}) {
        EXPECT_FALSE(absl::EndsWith(base, no_base_unit)) << metric.name;
      }
    }
  }
}

TEST(MetricListTest, CountersAndOnlyCountersEndInTotal) {
  MetricRegistry registry;
  CoordinatorMetrics coordinator(&registry);
  coordinator.refused_messages.With("INVALID_ARGUMENT");
  coordinator.step_phase.With(kDecision);
  coordinator.verification_accuracy.With("lfw");
  MetricRegistry registry_of_worker;
  const WorkerMetrics worker(&registry_of_worker);
  MetricRegistry registry_of_shard;
  const ShardMetrics shard(&registry_of_shard);
  for (MetricRegistry* each : {&registry, &registry_of_worker, &registry_of_shard}) {
    for (const prometheus::MetricFamily& family : each->scraped()->Collect()) {
      EXPECT_EQ(absl::EndsWith(family.name, "_total"), family.type == prometheus::MetricType::Counter) << family.name;
    }
  }
}

TEST(MetricListTest, OutcomesThatNeverCameAreShownAsZero) {
  MetricRegistry registry;
  const WorkerMetrics metrics(&registry);
  size_t outcomes = 0;
  for (const prometheus::MetricFamily& family : registry.scraped()->Collect()) {
    if (family.name == "arcshard_steps_total") outcomes = family.metric.size();
  }
  EXPECT_EQ(outcomes, 2u);
}

TEST(MetricsServerTest, AScrapeShowsHelpTypeLabelsAndValues) {
  MetricRegistry registry;
  CoordinatorMetrics metrics(&registry);
  metrics.steps.With(kCommitted).Increment();
  metrics.steps.With(kCommitted).Increment(2);
  metrics.loss.Set(12.5);
  metrics.step_phase.With(kDecision).Observe(0.003);
  const auto server = MetricsServer::Create(registry, "127.0.0.1:0");
  ASSERT_TRUE(server.ok()) << server.status();
  ASSERT_GT((*server)->port(), 0);
  metrics.phase.With("training");
  metrics.verification_accuracy.With("lfw");
  metrics.verification_tar.With("lfw");
  const std::string page = Scrape((*server)->port());
  EXPECT_THAT(page, HasSubstr("200 OK"));
  EXPECT_THAT(page, HasSubstr("# TYPE arcshard_steps_total counter\n"));
  EXPECT_THAT(page, HasSubstr("arcshard_steps_total{outcome=\"commit\"} 3\n"));
  EXPECT_THAT(page, HasSubstr("arcshard_steps_total{outcome=\"skip\"} 0\n"));
  EXPECT_THAT(page, HasSubstr("# TYPE arcshard_loss gauge\narcshard_loss 12.5\n"));
  EXPECT_THAT(page, HasSubstr("# TYPE arcshard_step_phase_seconds histogram\n"));
  EXPECT_THAT(page, HasSubstr("arcshard_step_phase_seconds_bucket{phase=\"decision\",le=\"0.004\"} 1\n"));
  EXPECT_THAT(page, HasSubstr(absl::StrCat("arcshard_build_info{version=\"", BuildVersion(), "\"} 1\n")));
  for (const MetricDescription& metric : registry.descriptions()) {
    EXPECT_THAT(page, HasSubstr(absl::StrCat("# HELP ", metric.name, " ", metric.help, "\n")));
  }
}

TEST(MetricsServerTest, AProcessIsCalledByItsRoleUntilItHasANumber) {
  MetricRegistry registry;
  ShardMetrics metrics(&registry);
  EXPECT_EQ(metrics.member_info.With("shard").Value(), 1);
  metrics.SetMember(kShardRole, 3);
  EXPECT_EQ(metrics.member_info.With("shard").Value(), 0);
  EXPECT_EQ(metrics.member_info.With("shard 3").Value(), 1);
}

TEST(MetricsServerTest, AScrapeBringsMemoryAndDiskUpToDate) {
  MetricRegistry registry;
  ShardMetrics metrics(&registry);
  registry.scraped()->Collect();
  EXPECT_GT(metrics.device_memory.With(kCpu).Value(), 0);
  EXPECT_EQ(metrics.disk_size.Value(), 0);
  metrics.WatchDisk(::testing::TempDir() + "/runs/not/there/yet");
  registry.scraped()->Collect();
  EXPECT_GT(metrics.disk_size.Value(), 0);
  EXPECT_GT(metrics.disk_free.Value(), 0);
  EXPECT_LE(metrics.disk_free.Value(), metrics.disk_size.Value());
}

TEST(MetricsServerTest, ScrapesAtTheSameTimeUpdateOneAfterTheOther) {
  MetricRegistry registry;
  ShardMetrics metrics(&registry);
  int updates = 0;  // a data race, unless updates run one at a time
  registry.BeforeScrape([&] { metrics.classes.Set(++updates); });
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      for (int n = 0; n < 50; ++n) registry.scraped()->Collect();
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(updates, 200);
}

TEST(MetricsServerTest, APortInUseIsNamed) {
  const MetricRegistry registry;
  const auto first = MetricsServer::Create(registry, "127.0.0.1:0");
  ASSERT_TRUE(first.ok()) << first.status();
  const std::string address = absl::StrCat("127.0.0.1:", (*first)->port());
  const absl::Status second = MetricsServer::Create(registry, address).status();
  EXPECT_EQ(second.code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(second.message()),
              HasSubstr(absl::StrCat("metrics cannot be served: cannot listen on ", address, ": the port is in use")));
}

TEST(MetricsServerTest, AnAddressThatIsNotOneIsRefused) {
  const MetricRegistry registry;
  for (const char* address : {"", ":80", "8080", "127.0.0.1", "127.0.0.1:", "127.0.0.1:x", "127.0.0.1:+80",
                              "127.0.0.1:65536", "127.0.0.1:80,8081", "127.0.0.1:80s", "a b:80", "[::1:80"}) {
    const absl::Status status = MetricsServer::Create(registry, address).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << address;
    EXPECT_THAT(std::string(status.message()), HasSubstr(absl::StrCat("'", address, "'")));
  }
}

TEST(MetricsServerTest, ThePortIsFreeAgainWhenTheServerIsGone) {
  const MetricRegistry registry;
  auto server = MetricsServer::Create(registry, "127.0.0.1:0");
  ASSERT_TRUE(server.ok()) << server.status();
  const int port = (*server)->port();
  EXPECT_THAT(Scrape(port), HasSubstr("200 OK"));
  server->reset();
  EXPECT_EQ(Scrape(port), "");
}

TEST(MetricsServerTest, ClientsThatSayNothingKeepNobodyFromTheAnswer) {
  const MetricRegistry registry;
  const auto server = MetricsServer::Create(registry, "127.0.0.1:0");
  ASSERT_TRUE(server.ok()) << server.status();
  std::vector<int> slow;
  for (int i = 0; i < 200; ++i) slow.push_back(ConnectAndSend((*server)->port(), i % 2 == 0 ? "" : "GET /metr"));
  for (int i = 0; i < 5; ++i) EXPECT_THAT(Scrape((*server)->port()), HasSubstr("200 OK"));
  for (const int fd : slow) close(fd);
}

TEST(MetricsServerTest, AClientHasSomeTimeForItsRequestAndNoMore) {
  const MetricRegistry registry;
  const auto server = MetricsServer::Create(registry, "127.0.0.1:0", absl::Milliseconds(1));
  ASSERT_TRUE(server.ok()) << server.status();
  for (const char* const request : {"", "GET /metr"}) {
    const int slow = ConnectAndSend((*server)->port(), request);
    char byte = 0;
    EXPECT_LE(recv(slow, &byte, 1, 0), 0) << "the server ends the connection, without a word";
    close(slow);
  }
}

TEST(MetricsServerTest, ServesOnAnIpv6AddressToo) {
  const int six = socket(AF_INET6, SOCK_STREAM, 0);
  sockaddr_in6 address = {};
  address.sin6_family = AF_INET6;
  address.sin6_addr = in6addr_loopback;
  const bool has_ipv6 = bind(six, reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0;
  close(six);
  if (!has_ipv6) GTEST_SKIP() << "this machine has no IPv6";
  const MetricRegistry registry;
  const auto server = MetricsServer::Create(registry, "[::1]:0");
  ASSERT_TRUE(server.ok()) << server.status();
  EXPECT_GT((*server)->port(), 0);
}

TEST(MetricsTest, HandlesAreSharedByAllThreads) {
  MetricRegistry registry;
  WorkerMetrics metrics(&registry);
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      for (int n = 0; n < 1000; ++n) {
        metrics.refused_messages.With("NOT_FOUND").Increment();
        metrics.corrupt_records.Increment();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(metrics.refused_messages.With("NOT_FOUND").Value(), 4000);
  EXPECT_EQ(metrics.corrupt_records.Value(), 4000);
}

TEST(PhaseTest, ATimerObservesTheTimeOfItsClock) {
  MetricRegistry registry;
  ShardMetrics metrics(&registry);
  FakeClock clock;
  StepPhase phase(&metrics, kPass1, TraceRow());
  {
    const PhaseTimer timer(&phase, &clock);
    clock.Advance(absl::Milliseconds(1500));
    clock.SetBack(absl::Hours(1));  // the date
  }
  const prometheus::ClientMetric collected = metrics.step_phase.With(kPass1).Collect();
  EXPECT_EQ(collected.histogram.sample_count, 1u);
  EXPECT_DOUBLE_EQ(collected.histogram.sample_sum, 1.5);
}

TEST(PhaseTest, AMetricAndASpanOfTheTraceSayTheSame) {
  MemoryFileSystem files;
  FakeClock clock;
  MetricRegistry registry;
  double seconds = 0.0;
  {
    const auto tracer = Tracer::Start({.path = "/t.json", .process = "shard", .clock = &clock, .files = &files});
    ShardMetrics metrics(&registry, tracer.get());
    metrics.SetMember(kShardRole, 3);
    StepPhase phase(&metrics, kPass1, TraceRow(tracer.get(), "executor"));
    {
      const PhaseTimer timer(&phase, &clock, {.step = 8});
      clock.Advance(absl::Milliseconds(250));
    }
    seconds = metrics.step_phase.With(kPass1).Collect().histogram.sample_sum;
  }
  EXPECT_DOUBLE_EQ(seconds, 0.25);
  std::string process;
  nlohmann::json span;
  for (const nlohmann::json& event : nlohmann::json::parse(files.Contents("/t.json"))) {
    if (event["name"] == "process_name") process = event["args"]["name"].get<std::string>();
    if (event["ph"] == "X") span = event;
  }
  EXPECT_EQ(process, "shard 3");
  EXPECT_EQ(span["name"], "pass_1");
  EXPECT_EQ(span["dur"], 250000);
  EXPECT_EQ(span["args"]["step"], 8);
}

TEST(ProcessStatsTest, SaysWhatThePhasesHaveSummedUp) {
  MetricRegistry registry;
  ShardMetrics metrics(&registry);
  metrics.step_phase.With(kPass1).Observe(0.5);
  metrics.step_phase.With(kPass1).Observe(0.25);
  const ParticipantStats stats = StatsOf(&metrics, {kPass1, kPass2});
  EXPECT_THAT(stats.phases, ::testing::ElementsAre(PhaseTime{"pass_1", 2, 0.75}, PhaseTime{"pass_2", 0, 0.0}));
  EXPECT_GT(stats.resident_bytes, 0u);
}

TEST(MetricsTest, BucketsGrowByTheFactor) {
  EXPECT_THAT(ExponentialBuckets(0.5, 2, 4), ::testing::ElementsAre(0.5, 1, 2, 4));
}

}  // namespace
}  // namespace arcshard
