#include "ringcast/admin/metrics.h"

#include <array>
#include <charconv>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <string_view>
#include <utility>

#include <dirent.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ringcast/admin/audit_writer.h"
#include "ringcast/admin/version.h"

namespace ringcast::admin {
namespace {

enum class Kind : std::uint8_t { counter, gauge };

/// What a number is divided by, so that it is in the base unit that its name says.
enum class Unit : std::uint8_t { one, ns_to_seconds, ms_to_seconds };

template <class Counters>
struct Metric {
  std::string_view name;
  Kind kind;
  Unit unit;
  std::string_view help;
  Counter Counters::*value;
  std::string_view label = {};  ///< `name="value"`; metrics of one name stand together
};

constexpr Kind kCounter = Kind::counter;
constexpr Kind kGauge = Kind::gauge;
constexpr Unit kOne = Unit::one;

constexpr std::string_view kLimited = "ringcast_limited_total";
constexpr std::string_view kLimitedHelp = "Requests refused by each limit.";

constexpr std::string_view kTlsFailed = "ringcast_tls_failed_total";
constexpr std::string_view kTlsFailedHelp =
    "Connections that TLS ended before they were streams, by the reason.";

using Shard = shard::Counters;
constexpr std::array kShardMetrics = std::to_array<Metric<Shard>>({
    {"ringcast_connections_accepted_total", kCounter, kOne, "Connections accepted.",
     &Shard::connections_accepted},
    {"ringcast_connections_open", kGauge, kOne,
     "Connections open: in their request, streaming, or being closed.", &Shard::connections_open},
    {"ringcast_slots_used", kGauge, kOne, "Places for connections in use, armed accepts included.",
     &Shard::slots_used},
    {"ringcast_slots_max", kGauge, kOne, "Places for connections.", &Shard::slots_max},
    {"ringcast_accept_errors_total", kCounter, kOne, "Accepts that failed.", &Shard::accept_errors},
    {"ringcast_requests_total", kCounter, kOne, "Requests answered or turned into streams.",
     &Shard::requests},
    {"ringcast_responses_4xx_total", kCounter, kOne, "Responses with a status of 400 to 499.",
     &Shard::responses_4xx},
    {"ringcast_responses_5xx_total", kCounter, kOne, "Responses with a status of 500 to 599.",
     &Shard::responses_5xx},
    {"ringcast_streams_open", kGauge, kOne, "Streams open.", &Shard::streams_open},
    {"ringcast_streams_max", kGauge, kOne, "Streams that may be open.", &Shard::streams_max},
    {"ringcast_streams_opened_total", kCounter, kOne, "Streams opened.", &Shard::streams_opened},
    {"ringcast_streams_resumed_total", kCounter, kOne, "Streams opened with a last event ID.",
     &Shard::streams_resumed},
    {"ringcast_streams_refused_total", kCounter, kOne, "Streams refused because of a limit.",
     &Shard::streams_refused},
    {"ringcast_streams_ended_by_peer_total", kCounter, kOne, "Streams that the client ended.",
     &Shard::streams_ended_by_peer},
    {"ringcast_streams_ended_slow_total", kCounter, kOne,
     "Streams ended because the client fell behind the kept history.", &Shard::streams_ended_slow},
    {"ringcast_streams_ended_drain_total", kCounter, kOne,
     "Streams ended because the server stops.", &Shard::streams_ended_drain},
    {"ringcast_streams_ended_expired_total", kCounter, kOne,
     "Streams ended because their token expired.", &Shard::streams_ended_expired},
    {"ringcast_streams_ended_signed_out_total", kCounter, kOne,
     "Streams ended because their user signed out.", &Shard::streams_ended_signed_out},
    {"ringcast_streams_blocked", kGauge, kOne, "Streams whose socket takes nothing now.",
     &Shard::streams_blocked},
    {"ringcast_streams_paced", kGauge, kOne, "Streams that have news and wait for their next send.",
     &Shard::streams_paced},
    {"ringcast_streams_catching_up", kGauge, kOne,
     "Streams that are sent older events than the log holds, from the event store.",
     &Shard::streams_catching_up},
    {"ringcast_history_events_total", kCounter, kOne,
     "Events sent to streams from the history of the event store.", &Shard::history_events},
    {"ringcast_gaps_total", kCounter, kOne, "Gap events sent.", &Shard::gaps},
    {"ringcast_heartbeats_total", kCounter, kOne, "Heartbeats sent.", &Shard::heartbeats},
    {"ringcast_events_appended_total", kCounter, kOne, "Events appended to the history.",
     &Shard::events_appended},
    {"ringcast_events_evicted_total", kCounter, kOne, "Events that left the history.",
     &Shard::events_evicted},
    {"ringcast_events_kept", kGauge, kOne, "Events in the history.", &Shard::events_kept},
    {"ringcast_history_bytes", kGauge, kOne, "Bytes of the events in the history.",
     &Shard::bytes_kept},
    {"ringcast_topics", kGauge, kOne, "Topics known.", &Shard::topics},
    {"ringcast_deliveries_total", kCounter, kOne, "Events handed to the sockets of streams.",
     &Shard::deliveries},
    {"ringcast_delivered_bytes_total", kCounter, kOne,
     "Bytes of events handed to the sockets of streams.", &Shard::delivered_bytes},
    {"ringcast_sends_total", kCounter, kOne, "Sends.", &Shard::sends},
    {"ringcast_sends_short_total", kCounter, kOne, "Sends that a socket took only a part of.",
     &Shard::sends_short},
    {"ringcast_sends_refused_total", kCounter, kOne, "Sends that a socket took nothing of.",
     &Shard::sends_refused},
    {"ringcast_sends_put_off_total", kCounter, kOne,
     "Times that a stream with news had to wait for stream_sends_per_second.",
     &Shard::sends_put_off},
    {"ringcast_tail_bytes", kGauge, kOne, "Bytes kept of sends that were taken in part.",
     &Shard::tail_bytes},
    {"ringcast_tails_full_total", kCounter, kOne,
     "Streams ended because there was no room for the rest of a send.", &Shard::tails_full},
    {"ringcast_append_waits_total", kCounter, kOne,
     "Turns in which streams that were not served yet held back the history.",
     &Shard::append_waits},
    {"ringcast_publishes_accepted_total", kCounter, kOne, "Publish requests answered with 204.",
     &Shard::publishes_accepted},
    {"ringcast_publishes_refused_total", kCounter, kOne, "Publish requests answered with 400.",
     &Shard::publishes_refused},
    {"ringcast_publishes_overloaded_total", kCounter, kOne, "Publish requests answered with 503.",
     &Shard::publishes_overloaded},
    {"ringcast_tokens_refused_total", kCounter, kOne, "Requests answered with 401.",
     &Shard::tokens_refused},
    {"ringcast_forbidden_total", kCounter, kOne, "Requests answered with 403 for want of a grant.",
     &Shard::forbidden},
    {"ringcast_origins_refused_total", kCounter, kOne,
     "Requests answered with 403 because of their origin.", &Shard::origins_refused},
    {"ringcast_logins_accepted_total", kCounter, kOne, "Sign-ins that succeeded.",
     &Shard::logins_accepted},
    {"ringcast_logins_refused_total", kCounter, kOne, "Sign-ins answered with 401.",
     &Shard::logins_refused},
    {"ringcast_logins_overloaded_total", kCounter, kOne, "Sign-ins answered with 503.",
     &Shard::logins_overloaded},
    {kLimited, kCounter, kOne, kLimitedHelp, &Shard::limited_connect,
     "limit=\"connect_per_second\""},
    {kLimited, kCounter, kOne, kLimitedHelp, &Shard::limited_connect_address,
     "limit=\"connect_per_second_per_address\""},
    {kLimited, kCounter, kOne, kLimitedHelp, &Shard::limited_streams_address,
     "limit=\"streams_per_address\""},
    {kLimited, kCounter, kOne, kLimitedHelp, &Shard::limited_publish_user,
     "limit=\"publish_per_second_per_user\""},
    {kLimited, kCounter, kOne, kLimitedHelp, &Shard::limited_login, "limit=\"login_per_minute\""},
    {"ringcast_tls_handshakes_total", kCounter, kOne, "TLS handshakes completed.",
     &Shard::handshakes},
    {"ringcast_tls_handshakes_resumed_total", kCounter, kOne,
     "Of these, resumed with a session ticket.", &Shard::handshakes_resumed},
    {"ringcast_tls_handshakes_open", kGauge, kOne, "TLS handshakes under way.",
     &Shard::handshakes_open},
    {kTlsFailed, kCounter, kOne, kTlsFailedHelp, &Shard::handshakes_late, "reason=\"late\""},
    {kTlsFailed, kCounter, kOne, kTlsFailedHelp, &Shard::handshakes_cut, "reason=\"client-left\""},
    {kTlsFailed, kCounter, kOne, kTlsFailedHelp, &Shard::handshakes_no_agreement,
     "reason=\"no-agreement\""},
    {kTlsFailed, kCounter, kOne, kTlsFailedHelp, &Shard::handshakes_refused_by_client,
     "reason=\"refused-by-client\""},
    {kTlsFailed, kCounter, kOne, kTlsFailedHelp, &Shard::handshakes_broken, "reason=\"protocol\""},
    {kTlsFailed, kCounter, kOne, kTlsFailedHelp, &Shard::handshakes_plain_http,
     "reason=\"plain-http\""},
    {kTlsFailed, kCounter, kOne, kTlsFailedHelp, &Shard::handshakes_not_tls, "reason=\"not-tls\""},
    {"ringcast_streams_tls", kGauge, kOne, "Streams under TLS 1.3 without an SSL object.",
     &Shard::streams_tls},
    {"ringcast_streams_tls_openssl", kGauge, kOne, "Streams under TLS that have an SSL object.",
     &Shard::streams_tls_openssl},
    {"ringcast_streams_ended_tls_total", kCounter, kOne,
     "Streams ended because what came under TLS may not come.", &Shard::streams_ended_tls},
    {"ringcast_redirects_total", kCounter, kOne, "Plain requests sent to HTTPS.",
     &Shard::redirects},
    {"ringcast_turns_total", kCounter, kOne, "Turns of the event loop.", &Shard::turns},
    {"ringcast_turn_max_seconds", kGauge, Unit::ns_to_seconds,
     "Longest turn of the event loop so far.", &Shard::turn_ns_max},
    {"ringcast_cpu_seconds_total", kCounter, Unit::ns_to_seconds,
     "CPU time of the thread, read once a second.", &Shard::cpu_ns},
});

using Hub = hub::Counters;
constexpr std::array kHubMetrics = std::to_array<Metric<Hub>>({
    {"ringcast_hub_events_total", kCounter, kOne, "Events that got an ID.", &Hub::events},
    {"ringcast_hub_event_bytes_total", kCounter, kOne, "Bytes of the encoded events.",
     &Hub::event_bytes},
    {"ringcast_hub_inbox_full_total", kCounter, kOne,
     "Times that the slowest shard held back the hub.", &Hub::inbox_full},
    {"ringcast_hub_last_id_timestamp_seconds", kGauge, Unit::ms_to_seconds,
     "Time in the newest event ID, since the Unix epoch.", &Hub::last_id_ms},
    {"ringcast_hub_last_id_sequence", kGauge, kOne, "Sequence number in the newest event ID.",
     &Hub::last_id_sequence},
    {"ringcast_hub_wakes_total", kCounter, kOne, "Sleeping shards woken.", &Hub::wakes},
});

using Redis = hub::RedisCounters;
constexpr std::string_view kConnected = "ringcast_redis_connected";
constexpr std::string_view kConnectedHelp = "1 while this connection to Redis works.";
constexpr std::array kRedisMetrics = std::to_array<Metric<Redis>>({
    {kConnected, kGauge, kOne, kConnectedHelp, &Redis::commands_connected,
     "connection=\"commands\""},
    {kConnected, kGauge, kOne, kConnectedHelp, &Redis::tail_connected, "connection=\"tail\""},
    {kConnected, kGauge, kOne, kConnectedHelp, &Redis::channel_connected, "connection=\"channel\""},
    {"ringcast_redis_reconnects_total", kCounter, kOne, "Connections to Redis that were made anew.",
     &Redis::reconnects},
    {"ringcast_redis_published_total", kCounter, kOne, "Publications that Redis took.",
     &Redis::published},
    {"ringcast_redis_not_taken_total", kCounter, kOne, "Publications that Redis did not take.",
     &Redis::not_taken},
    {"ringcast_redis_unknown_total", kCounter, kOne,
     "Publications that Redis may have taken: it did not answer in time.", &Redis::unknown},
    {"ringcast_redis_resent_total", kCounter, kOne,
     "Publications sent again after it was certain that Redis did not have them.", &Redis::resent},
    {"ringcast_redis_queue_events", kGauge, kOne, "Publications that Redis has not answered.",
     &Redis::queue_events},
    {"ringcast_redis_queue_bytes", kGauge, kOne, "Bytes of them.", &Redis::queue_bytes},
    {"ringcast_redis_entries_total", kCounter, kOne, "Entries of the stream that were read.",
     &Redis::entries},
    {"ringcast_redis_entries_invalid_total", kCounter, kOne,
     "Entries of the stream that are no event.", &Redis::entries_invalid},
    {"ringcast_redis_current_timestamp_seconds", kGauge, Unit::ms_to_seconds,
     "When this instance had last read all of the stream, since the Unix epoch.",
     &Redis::last_current_ms},
    {"ringcast_redis_caught_up", kGauge, kOne,
     "1 once all has been read that was in the stream at start.", &Redis::caught_up},
    {"ringcast_redis_holes_total", kCounter, kOne,
     "Times that the stream was trimmed before it was read.", &Redis::holes},
    {"ringcast_redis_went_backwards_total", kCounter, kOne,
     "Times that Redis had lost events of the stream.", &Redis::went_backwards},
    {"ringcast_redis_history_pages_total", kCounter, kOne,
     "Pages read for positions that the history no longer has.", &Redis::history_pages},
    {"ringcast_redis_history_waiting", kGauge, kOne, "Streams that wait for such a page.",
     &Redis::history_waiting},
    {"ringcast_redis_history_refused_total", kCounter, kOne,
     "Pages refused because Redis was away or too many waited.", &Redis::history_refused},
    {"ringcast_redis_channel_messages_total", kCounter, kOne, "Messages heard on the channel.",
     &Redis::channel_messages},
    {"ringcast_redis_channel_relayed_total", kCounter, kOne,
     "Messages of the channel that this instance appended to the stream.", &Redis::channel_relayed},
    {"ringcast_redis_channel_invalid_total", kCounter, kOne,
     "Messages of the channel that are no event.", &Redis::channel_invalid},
    {"ringcast_redis_channel_dropped_total", kCounter, kOne,
     "Messages of the channel that were lost because their queue was full.",
     &Redis::channel_dropped},
    {"ringcast_redis_channel_queue", kGauge, kOne,
     "Messages of the channel that are not in the stream yet.", &Redis::channel_queue},
    {"ringcast_redis_relay", kGauge, kOne, "1 while this instance relays the channel.",
     &Redis::relay},
    {"ringcast_redis_standing", kGauge, kOne,
     "1 while this instance relays the channel or could take over.", &Redis::standing},
    {"ringcast_redis_takeovers_total", kCounter, kOne, "Times that this instance became the relay.",
     &Redis::takeovers},
});

// The count of an aggregate's members: the most initialisers that it takes. It keeps the tables
// above complete: a counter that is added without a metric does not compile.
struct AnyMember {
  template <class T>
  operator T() const;  // NOLINT(google-explicit-constructor)
};
template <class T, std::size_t... kIndex>
constexpr bool takes_initialisers(std::index_sequence<kIndex...>) {
  return requires {
    T{(static_cast<void>(kIndex), AnyMember{})...};
  };
}
template <class T, std::size_t kCount>
constexpr bool has_members() {
  return takes_initialisers<T>(std::make_index_sequence<kCount>{}) &&
         !takes_initialisers<T>(std::make_index_sequence<kCount + 1>{});
}
static_assert(has_members<Shard, kShardMetrics.size()>(), "each shard counter needs a metric");
static_assert(has_members<Hub, kHubMetrics.size()>(), "each hub counter needs a metric");
static_assert(has_members<Redis, kRedisMetrics.size()>(), "each Redis counter needs a metric");

void append_number(std::string& out, std::uint64_t value) {
  std::array<char, 20> text;
  out.append(text.data(), std::to_chars(text.data(), text.data() + text.size(), value).ptr);
}

void append_number(std::string& out, std::uint64_t value, std::uint64_t divisor, int decimals) {
  append_number(out, value / divisor);
  std::array<char, 20> text;
  const auto end = std::to_chars(text.data(), text.data() + text.size(), value % divisor).ptr;
  const auto digits = static_cast<std::size_t>(end - text.data());
  out += '.';
  out.append(static_cast<std::size_t>(decimals) - digits, '0');
  out.append(text.data(), digits);
}

void append_value(std::string& out, std::uint64_t value, Unit unit) {
  switch (unit) {
    case Unit::one:
      append_number(out, value);
      break;
    case Unit::ns_to_seconds:
      append_number(out, value, 1'000'000'000, 9);
      break;
    case Unit::ms_to_seconds:
      append_number(out, value, 1'000, 3);
      break;
  }
  out += '\n';
}

void append_head(std::string& out, std::string_view name, Kind kind, std::string_view help) {
  out += "# HELP ";
  out += name;
  out += ' ';
  out += help;
  out += "\n# TYPE ";
  out += name;
  out += kind == Kind::counter ? " counter\n" : " gauge\n";
}

void append_metric(std::string& out, std::string_view name, Kind kind, std::string_view help,
                   std::uint64_t value, Unit unit = Unit::one) {
  append_head(out, name, kind, help);
  out += name;
  out += ' ';
  append_value(out, value, unit);
}

/// Of a struct that there is one of.
template <class Counters, std::size_t kCount>
void append_single(std::string& out, const std::array<Metric<Counters>, kCount>& metrics,
                   const Counters& counters) {
  std::string_view described;
  for (const Metric<Counters>& metric : metrics) {
    if (metric.name != described) append_head(out, metric.name, metric.kind, metric.help);
    described = metric.name;
    out += metric.name;
    if (!metric.label.empty()) {
      out += '{';
      out += metric.label;
      out += '}';
    }
    out += ' ';
    append_value(out, (counters.*metric.value).get(), metric.unit);
  }
}

/// How far behind the stream this instance can be at most; 0 before it has read all of it once.
void append_redis_lag(std::string& out, const hub::RedisCounters& counters) {
  timespec wall{};
  clock_gettime(CLOCK_REALTIME, &wall);
  const auto now_ms = static_cast<std::uint64_t>(wall.tv_sec) * 1'000 +
                      static_cast<std::uint64_t>(wall.tv_nsec) / 1'000'000;
  const std::uint64_t current_ms = counters.last_current_ms.get();
  const bool known = current_ms != 0 && current_ms < now_ms;
  append_metric(out, "ringcast_redis_lag_seconds", kGauge,
                "Time since this instance had last read all of the stream.",
                known ? now_ms - current_ms : 0, Unit::ms_to_seconds);
}

/// The fields of a small file of /proc, or an empty text.
std::string_view read_proc(const char* path, std::array<char, 1024>& buffer) {
  std::FILE* const file = std::fopen(path, "re");
  if (file == nullptr) return {};
  const std::size_t bytes = std::fread(buffer.data(), 1, buffer.size(), file);
  std::fclose(file);
  return {buffer.data(), bytes};
}

/// The field number `index`, counted from 0, of numbers between spaces; 0 when it is not there.
std::uint64_t number_field(std::string_view text, int index) {
  for (; index > 0; --index) {
    const std::size_t space = text.find(' ');
    if (space == std::string_view::npos) return 0;
    text.remove_prefix(space + 1);
  }
  std::uint64_t value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

std::uint64_t resident_bytes() {
  std::array<char, 1024> buffer;
  return number_field(read_proc("/proc/self/statm", buffer), 1) *
         static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE));
}

std::uint64_t open_descriptors() {
  // Since Linux 6.2 the size of the directory is the count; before, it is 0.
  struct stat status {};
  if (stat("/proc/self/fd", &status) == 0 && status.st_size > 0) {
    return static_cast<std::uint64_t>(status.st_size);
  }
  DIR* const directory = opendir("/proc/self/fd");
  if (directory == nullptr) return 0;
  std::uint64_t count = 0;
  while (const dirent* entry = readdir(directory)) {  // NOLINT(concurrency-mt-unsafe): own stream
    if (entry->d_name[0] != '.') ++count;
  }
  closedir(directory);
  return count - 1;  // without the one that read the directory
}

/// When the process started, in seconds since the Unix epoch.
std::uint64_t start_time_seconds() {
  // proc(5), /proc/pid/stat: field 22 is the start in ticks after boot. The name in field 2 may
  // hold spaces, so count from the parenthesis that closes it: field 3 follows.
  std::array<char, 1024> buffer;
  const std::string_view stat_text = read_proc("/proc/self/stat", buffer);
  const std::size_t name_end = stat_text.rfind(')');
  if (name_end == std::string_view::npos || name_end + 2 > stat_text.size()) return 0;
  const std::uint64_t ticks = number_field(stat_text.substr(name_end + 2), 22 - 3);
  timespec wall{};
  timespec since_boot{};
  clock_gettime(CLOCK_REALTIME, &wall);
  clock_gettime(CLOCK_BOOTTIME, &since_boot);
  const auto boot_seconds = static_cast<std::uint64_t>(wall.tv_sec - since_boot.tv_sec);
  return boot_seconds + ticks / static_cast<std::uint64_t>(sysconf(_SC_CLK_TCK));
}

void append_process_metrics(std::string& out) {
  append_metric(out, "ringcast_process_resident_memory_bytes", kGauge,
                "Resident memory of the process.", resident_bytes());
  append_metric(
      out, "ringcast_process_open_fds", kGauge,
      "Open file descriptors of the process; direct descriptors of a ring are not among them.",
      open_descriptors());
  append_metric(out, "ringcast_process_start_time_seconds", kGauge,
                "When the process started, since the Unix epoch.", start_time_seconds());
  append_head(out, "ringcast_build_info", Kind::gauge, "Always 1; the label says what runs.");
  out += "ringcast_build_info{version=\"";
  out += version();
  out += "\"} 1\n";
}

}  // namespace

std::string render_metrics(const MetricsSources& sources) {
  std::string out;
  out.reserve(8192 + sources.shards.size() * kShardMetrics.size() * 64);
  std::string_view described;
  for (const Metric<Shard>& metric : kShardMetrics) {
    if (sources.shards.empty()) break;
    if (metric.name != described) append_head(out, metric.name, metric.kind, metric.help);
    described = metric.name;
    for (std::size_t shard = 0; shard < sources.shards.size(); ++shard) {
      out += metric.name;
      out += "{shard=\"";
      append_number(out, shard);
      out += '"';
      if (!metric.label.empty()) {
        out += ',';
        out += metric.label;
      }
      out += "} ";
      append_value(out, (sources.shards[shard]->*metric.value).get(), metric.unit);
    }
  }
  if (sources.hub != nullptr) append_single(out, kHubMetrics, *sources.hub);
  if (sources.redis != nullptr) {
    append_single(out, kRedisMetrics, *sources.redis);
    append_redis_lag(out, *sources.redis);
  }
  if (sources.certificate_expiry_ms != nullptr) {
    append_metric(out, "ringcast_tls_certificate_expiry_timestamp_seconds", kGauge,
                  "When the first of the certificates in use expires, since the Unix epoch.",
                  sources.certificate_expiry_ms->get(), Unit::ms_to_seconds);
  }
  if (sources.audit != nullptr) {
    append_metric(out, "ringcast_audit_lines_written_total", kCounter,
                  "Lines of the audit log that were written.", sources.audit->lines_written());
    append_metric(out, "ringcast_audit_lines_dropped_total", kCounter,
                  "Lines of the audit log that found no room.", sources.audit->lines_dropped());
  }
  append_process_metrics(out);
  return out;
}

}  // namespace ringcast::admin
