#include "ringcast/admin/metrics.h"

#include <cstddef>
#include <cstdint>
#include <ctime>
#include <map>
#include <regex>
#include <set>
#include <sstream>
#include <string>

#include <gtest/gtest.h>
#include <unistd.h>

#include "ringcast/admin/audit_writer.h"
#include "ringcast/admin/version.h"

namespace ringcast::admin {
namespace {

/// What a scraper would understand of the text; every deviation from the format 0.0.4 is a failure.
struct Exposition {
  std::map<std::string, std::string> type;          // by name
  std::map<std::string, std::string> value;         // by name and labels
  std::map<std::string, std::set<std::string>> of;  // series of a name
};

Exposition parse(const std::string& text) {
  static const std::regex help(R"(# HELP ([a-zA-Z_:][a-zA-Z0-9_:]*) ([^\\]+))");
  static const std::regex type(R"(# TYPE ([a-zA-Z_:][a-zA-Z0-9_:]*) (counter|gauge))");
  static const std::regex sample(
      R"re((([a-zA-Z_:][a-zA-Z0-9_:]*)(\{[a-z]+="[^"\\]*"(,[a-z]+="[^"\\]*")*\})?) ([0-9]+(\.[0-9]+)?))re");
  Exposition all;
  std::string helped;
  std::string typed;
  EXPECT_FALSE(text.empty());
  EXPECT_EQ(text.back(), '\n') << "the last line must end";
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    std::smatch match;
    if (std::regex_match(line, match, help)) {
      helped = match[1];
      EXPECT_FALSE(all.type.contains(helped)) << "described twice: " << line;
    } else if (std::regex_match(line, match, type)) {
      typed = match[1];
      EXPECT_EQ(typed, helped) << "HELP and TYPE belong together: " << line;
      EXPECT_TRUE(all.type.emplace(typed, match[2]).second) << "typed twice: " << line;
    } else if (std::regex_match(line, match, sample)) {
      EXPECT_EQ(match[2], typed) << "samples follow their TYPE: " << line;
      EXPECT_TRUE(all.value.emplace(match[1], match[5]).second) << "given twice: " << line;
      all.of[match[2]].insert(match[1]);
    } else {
      ADD_FAILURE() << "not the format: " << line;
    }
  }
  return all;
}

TEST(Metrics, TheTextIsWellFormed) {
  const shard::Counters shards[3];
  const hub::Counters hub;
  const AuditWriter audit;
  const hub::RedisCounters redis;
  const Counter expiry;
  const Exposition all =
      parse(render_metrics({{&shards[0], &shards[1], &shards[2]}, &hub, &audit, &redis, &expiry}));
  for (const auto& [name, type] : all.type) {
    EXPECT_TRUE(name.starts_with("ringcast_")) << name;
    EXPECT_EQ(name.ends_with("_total"), type == "counter") << name;
    ASSERT_TRUE(all.of.contains(name)) << "no sample of " << name;
    const bool per_shard = all.of.at(name).begin()->find("{shard=") != std::string::npos;
    const std::size_t labels = name == "ringcast_limited_total"      ? 5
                               : name == "ringcast_tls_failed_total" ? 7
                               : name == "ringcast_redis_connected"  ? 3
                                                                     : 1;
    EXPECT_EQ(all.of.at(name).size(), per_shard ? 3 * labels : labels) << name;
  }
}

TEST(Metrics, TheShardIsALabel) {
  shard::Counters shards[2];
  shards[0].streams_open.set(11);
  shards[1].streams_open.set(22);
  const Exposition all = parse(render_metrics({{&shards[0], &shards[1]}}));
  EXPECT_EQ(all.value.at("ringcast_streams_open{shard=\"0\"}"), "11");
  EXPECT_EQ(all.value.at("ringcast_streams_open{shard=\"1\"}"), "22");
  EXPECT_FALSE(all.type.contains("ringcast_hub_events_total"));
}

TEST(Metrics, EachLimitIsALabel) {
  shard::Counters shards[2];
  shards[0].limited_connect.set(1);
  shards[0].limited_connect_address.set(2);
  shards[0].limited_streams_address.set(3);
  shards[0].limited_publish_user.set(4);
  shards[0].limited_login.set(5);
  shards[1].limited_login.set(6);
  const Exposition all = parse(render_metrics({{&shards[0], &shards[1]}}));
  const auto value = [&all](const std::string& labels) {
    return all.value.at("ringcast_limited_total{" + labels + "}");
  };
  EXPECT_EQ(value(R"(shard="0",limit="connect_per_second")"), "1");
  EXPECT_EQ(value(R"(shard="0",limit="connect_per_second_per_address")"), "2");
  EXPECT_EQ(value(R"(shard="0",limit="streams_per_address")"), "3");
  EXPECT_EQ(value(R"(shard="0",limit="publish_per_second_per_user")"), "4");
  EXPECT_EQ(value(R"(shard="0",limit="login_per_minute")"), "5");
  EXPECT_EQ(value(R"(shard="1",limit="login_per_minute")"), "6");
}

TEST(Metrics, IdentityIsCountedByItsOutcome) {
  shard::Counters shard;
  shard.tokens_refused.set(1);
  shard.forbidden.set(2);
  shard.origins_refused.set(3);
  shard.logins_accepted.set(4);
  shard.logins_refused.set(5);
  shard.logins_overloaded.set(6);
  shard.streams_ended_expired.set(7);
  shard.streams_ended_signed_out.set(8);
  shard.streams_paced.set(9);
  const Exposition all = parse(render_metrics({{&shard}}));
  const auto value = [&all](const std::string& name) {
    return all.value.at(name + "{shard=\"0\"}");
  };
  EXPECT_EQ(value("ringcast_tokens_refused_total"), "1");
  EXPECT_EQ(value("ringcast_forbidden_total"), "2");
  EXPECT_EQ(value("ringcast_origins_refused_total"), "3");
  EXPECT_EQ(value("ringcast_logins_accepted_total"), "4");
  EXPECT_EQ(value("ringcast_logins_refused_total"), "5");
  EXPECT_EQ(value("ringcast_logins_overloaded_total"), "6");
  EXPECT_EQ(value("ringcast_streams_ended_expired_total"), "7");
  EXPECT_EQ(value("ringcast_streams_ended_signed_out_total"), "8");
  EXPECT_EQ(value("ringcast_streams_paced"), "9");
}

TEST(Metrics, AuditLinesAreCounted) {
  std::string written;
  Log log({}, [&written](std::string_view line) { written += line; });
  AuditWriter audit(log);
  audit.record({});
  audit.record({.user = std::string(AuditWriter::kQueueTextMax + 1, 'x')});
  audit.record({});
  audit.flush();
  const Exposition all = parse(render_metrics({.audit = &audit}));
  EXPECT_EQ(all.value.at("ringcast_audit_lines_written_total"), "2");
  EXPECT_EQ(all.value.at("ringcast_audit_lines_dropped_total"), "1");
  EXPECT_FALSE(parse(render_metrics({})).type.contains("ringcast_audit_lines_written_total"));
}

TEST(Metrics, RedisIsShownWhereThereIsOne) {
  hub::RedisCounters redis;
  redis.tail_connected.set(1);
  redis.queue_events.set(7);
  redis.relay.set(1);
  redis.last_current_ms.set(1'700'000'000'042);
  const Exposition all = parse(render_metrics({.redis = &redis}));
  const auto connected = [&all](const std::string& name) {
    return all.value.at("ringcast_redis_connected{connection=\"" + name + "\"}");
  };
  EXPECT_EQ(connected("commands"), "0");
  EXPECT_EQ(connected("tail"), "1");
  EXPECT_EQ(connected("channel"), "0");
  EXPECT_EQ(all.value.at("ringcast_redis_queue_events"), "7");
  EXPECT_EQ(all.value.at("ringcast_redis_relay"), "1");
  EXPECT_EQ(all.value.at("ringcast_redis_current_timestamp_seconds"), "1700000000.042");
  for (const auto& [name, type] : parse(render_metrics({})).type) {
    EXPECT_FALSE(name.starts_with("ringcast_redis_")) << name;
  }
}

TEST(Metrics, TheExpiryOfCertificatesFollowsThoseInUse) {
  constexpr const char* kName = "ringcast_tls_certificate_expiry_timestamp_seconds";
  Counter expiry_ms;
  const MetricsSources sources{.certificate_expiry_ms = &expiry_ms};
  expiry_ms.set(1'700'000'000'000);
  EXPECT_EQ(parse(render_metrics(sources)).value.at(kName), "1700000000.000");
  expiry_ms.set(1'800'000'000'000);
  EXPECT_EQ(parse(render_metrics(sources)).value.at(kName), "1800000000.000");
  EXPECT_FALSE(parse(render_metrics({})).type.contains(kName)) << "there is no TLS";
}

TEST(Metrics, LagIsTheTimeSinceAllWasRead) {
  const auto lag = [](std::uint64_t last_current_ms) {
    hub::RedisCounters redis;
    redis.last_current_ms.set(last_current_ms);
    const Exposition all = parse(render_metrics({.redis = &redis}));
    return std::stod(all.value.at("ringcast_redis_lag_seconds"));
  };
  const auto now_ms = static_cast<std::uint64_t>(std::time(nullptr)) * 1'000;
  EXPECT_GE(lag(now_ms - 5'000), 5);
  EXPECT_LT(lag(now_ms - 5'000), 30);
  EXPECT_EQ(lag(0), 0) << "nothing was read yet";
  EXPECT_EQ(lag(now_ms + 60'000), 0) << "the clock was set back";
}

// The structs hold nothing but counters, so they can be filled as if they were arrays of them.
template <class Counters>
std::set<std::string> fill(Counters& counters, std::uint64_t first) {
  std::set<std::string> expected;
  auto* const each = reinterpret_cast<Counter*>(&counters);
  for (std::size_t i = 0; i < sizeof(Counters) / sizeof(Counter); ++i) {
    each[i].set(first + i);
    expected.insert(std::to_string(first + i));
  }
  return expected;
}

TEST(Metrics, EveryCounterIsExported) {
  shard::Counters shard;
  hub::Counters hub;
  hub::RedisCounters redis;
  std::set<std::string> missing = fill(shard, 1'000'000'001);
  missing.merge(fill(hub, 2'000'000'001));
  missing.merge(fill(redis, 3'000'000'001));
  Exposition all = parse(render_metrics({.shards = {&shard}, .hub = &hub, .redis = &redis}));
  all.value.erase("ringcast_redis_lag_seconds");  // made of one that is there
  std::size_t found = 0;
  for (const auto& [series, value] : all.value) {
    if (series.starts_with("ringcast_process") || series.starts_with("ringcast_build")) continue;
    std::string digits;
    for (const char c : value) {
      if (c != '.') digits += c;
    }
    found += missing.erase(digits);
  }
  // What is left over is the padding at the end of each struct, behind its last counter.
  EXPECT_EQ(found, all.value.size() - 4);
  for (const std::string& value : missing) {
    const std::uint64_t number = std::stoull(value);
    const std::uint64_t last =
        number > 3'000'000'000
            ? 3'000'000'001 + offsetof(hub::RedisCounters, takeovers) / sizeof(Counter)
        : number > 2'000'000'000
            ? 2'000'000'001 + offsetof(hub::Counters, wakes) / sizeof(Counter)
            : 1'000'000'001 + offsetof(shard::Counters, cpu_ns) / sizeof(Counter);
    EXPECT_GT(number, last);
  }
}

TEST(Metrics, TimesAreInSeconds) {
  shard::Counters shard;
  hub::Counters hub;
  shard.cpu_ns.set(1'000'000'007);
  shard.turn_ns_max.set(50);
  hub.last_id_ms.set(1'700'000'000'042);
  const Exposition all = parse(render_metrics({{&shard}, &hub}));
  EXPECT_EQ(all.value.at("ringcast_cpu_seconds_total{shard=\"0\"}"), "1.000000007");
  EXPECT_EQ(all.value.at("ringcast_turn_max_seconds{shard=\"0\"}"), "0.000000050");
  EXPECT_EQ(all.value.at("ringcast_hub_last_id_timestamp_seconds"), "1700000000.042");
}

TEST(Metrics, TheLargestNumberIsWrittenWhole) {
  shard::Counters shard;
  shard.sends.set(~std::uint64_t{0});
  shard.cpu_ns.set(~std::uint64_t{0});
  const Exposition all = parse(render_metrics({{&shard}}));
  EXPECT_EQ(all.value.at("ringcast_sends_total{shard=\"0\"}"), "18446744073709551615");
  EXPECT_EQ(all.value.at("ringcast_cpu_seconds_total{shard=\"0\"}"), "18446744073.709551615");
}

TEST(Metrics, TheProcessIsMeasured) {
  const Exposition before = parse(render_metrics({}));
  const double resident = std::stod(before.value.at("ringcast_process_resident_memory_bytes"));
  EXPECT_GT(resident, 1e6);
  EXPECT_LT(resident, 1e10);
  const double started = std::stod(before.value.at("ringcast_process_start_time_seconds"));
  EXPECT_LE(started, static_cast<double>(std::time(nullptr)) + 1);
  EXPECT_GT(started, static_cast<double>(std::time(nullptr)) - 3600);
  EXPECT_EQ(before.value.at("ringcast_build_info{version=\"" + std::string(version()) + "\"}"),
            "1");

  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  const Exposition after = parse(render_metrics({}));
  EXPECT_EQ(std::stoi(after.value.at("ringcast_process_open_fds")),
            std::stoi(before.value.at("ringcast_process_open_fds")) + 2);
  close(ends[0]);
  close(ends[1]);
}

TEST(Metrics, TheVersionHasThreeParts) {
  EXPECT_TRUE(std::regex_match(std::string(version()), std::regex(R"(\d+\.\d+\.\d+)")));
}

}  // namespace
}  // namespace ringcast::admin
