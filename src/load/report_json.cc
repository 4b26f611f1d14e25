#include <string>
#include <vector>

#include "load/json_object.h"
#include "load/report.h"

namespace ringcast::load {
namespace {

void put_counts(JsonObject& object, const Report& report) {
  object.number("streams", report.streams);
  object.number("stalled", report.stalled);
  object.number("open", report.open);
  object.real("open_seconds", report.open_seconds);
  object.number("opens_failed", report.opens_failed);
  object.number("dropped", report.dropped);
  object.number("reconnects", report.reconnects);
  object.number("frame_bytes", report.frame_bytes);
  object.number("published", report.published);
  object.number("deferred", report.deferred);
  object.real("publish_seconds", report.publish_seconds);
  object.number("expected", report.expected);
  object.number("deliveries", report.deliveries);
  object.number("missing", report.missing);
  object.number("duplicates", report.duplicates);
  object.number("out_of_order", report.late);
  object.number("misrouted", report.misrouted);
  object.number("gaps", report.gaps);
  object.number("other_events", report.other_events);
  object.number("receivers_min", report.receivers_min);
  object.number("receivers_max", report.receivers_max);
}

void put_times(JsonObject& object, const Report& report) {
  object.real("delivery_seconds", report.delivery_seconds);
  object.real("deliveries_per_second", report.deliveries_per_second());
  object.microseconds("latency_us", report.latency.all);
  object.microseconds("latency_first_third_us", report.latency.first_third);
  object.microseconds("latency_last_third_us", report.latency.last_third);
  object.microseconds("stretch_latency_us", report.latency.stretch);
  object.microseconds("ack_latency_us", report.answer);
  object.real("publications_per_second", report.publications_per_second());
  object.real("measured_seconds", report.measured_seconds);
  object.real("hold_seconds", report.hold_seconds);
}

/// Of the whole machine, and of the generator.
void put_use(JsonObject& object, const Report& report) {
  object.real("slab_bytes_per_stream", report.slab_bytes_per_stream());
  object.number("tcp_buffer_bytes_empty", report.kernel_empty.tcp_buffer_bytes);
  object.number("tcp_buffer_bytes_open", report.kernel_open.tcp_buffer_bytes);
  object.number("tcp_buffer_bytes_end", report.kernel_end.tcp_buffer_bytes);
  object.number("slab_bytes_open", report.kernel_open.slab_bytes);
  object.number("slab_bytes_end", report.kernel_end.slab_bytes);
  object.number("reader_cpu_ns", report.reader_cpu_ns);
  object.number("publisher_cpu_ns", report.publisher_cpu_ns);
  object.number("listener_cpu_ns", report.listener_cpu_ns);
}

void put_server(JsonObject& object, const Report& report) {
  const Report::Server& server = *report.server;
  object.real("server_cpu_ns_per_delivery", report.cpu_ns_per_delivery().value_or(0));
  object.real("server_publish_cpu_ns",
              growth(server.publish_begin.cpu_ns, server.publish_end.cpu_ns));
  object.real("server_hold_cpu_ns", growth(server.idle_begin.cpu_ns, server.idle_end.cpu_ns));
  object.real("server_pss_bytes_per_stream", report.pss_bytes_per_stream().value_or(0));
  object.number("server_pss_bytes_empty", server.empty.pss_bytes);
  object.number("server_pss_bytes_open", server.idle_end.pss_bytes);
  object.number("server_pss_bytes_end", server.published.pss_bytes);
  object.number("server_rss_bytes_open", server.idle_end.rss_bytes);
  object.number("server_threads", server.idle_end.threads);
}

void put_watched(JsonObject& object, const std::vector<WatchedReport>& watched) {
  JsonObject all = object.object("watched_cpu_ns");
  for (const WatchedReport& each : watched) {
    JsonObject one = all.object(each.name);
    one.threads("hold", each.idle_begin, each.idle_end);
    one.threads("publish", each.publish_begin, each.publish_end);
  }
}

void put(JsonObject& object, const TlsReport& tls) {
  object.text("tls_version", tls.version);
  object.text("tls_cipher", tls.cipher);
  object.number("tls_handshakes", tls.handshakes);
  object.number("tls_resumed", tls.resumed);
  object.number("tls_taken_over", tls.taken_over);
  object.number("tls_failed", tls.failed());
  object.microseconds("tls_handshake_us", tls.handshake);
  JsonObject reasons = object.object("tls_failures");
  for (const auto& [reason, count] : tls.failures) reasons.number(reason, count);
}

void put(JsonObject& object, const HeardReport& heard) {
  object.number("subscribers", heard.subscribers);
  object.number("heard", heard.messages);
  object.number("heard_missing", heard.missing);
  object.number("heard_duplicates", heard.duplicates);
  object.number("heard_out_of_order", heard.late);
  object.number("heard_others", heard.others);
  object.real("heard_seconds", heard.seconds);
  object.microseconds("heard_latency_us", heard.latency.all);
  object.microseconds("heard_latency_first_third_us", heard.latency.first_third);
  object.microseconds("heard_latency_last_third_us", heard.latency.last_third);
}

void put(JsonObject& object, const std::string& kind, const LaggardReport& laggards) {
  object.number(kind + "_expected", laggards.expected);
  object.number(kind + "_deliveries", laggards.deliveries);
  object.number(kind + "_skipped", laggards.skipped);
  object.number(kind + "_missing", laggards.missing());
  object.number(kind + "_unannounced", laggards.unannounced);
  object.number(kind + "_dropped", laggards.dropped);
}

void put(JsonObject& object, const StalledReport& stalled) {
  put(object, "stalled", stalled);
  object.real("stalled_seconds", stalled.seconds);
}

void put(JsonObject& object, const SlowReport& slow) {
  object.number("slow_readers", slow.readers);
  object.number("slow_bytes_per_second", slow.bytes_per_second);
  put(object, "slow", slow);
  object.microseconds("slow_latency_us", slow.latency);
}

void put(JsonObject& object, const StormReport& storm) {
  object.number("storm_closed", storm.closed);
  object.number("storm_returned", storm.returned);
  object.number("storm_opens_failed", storm.opens_failed);
  object.real("storm_seconds", storm.seconds);
  object.real("storm_streams_per_second", storm.streams_per_second());
  object.number("storm_missed", storm.missed);
  object.number("storm_missed_expected", storm.missed_expected);
  object.number("storm_missed_arrived", storm.missed_arrived);
  object.real("storm_reopen_seconds", storm.reopen_seconds);
  object.real("storm_reopen_per_second", storm.reopened_per_second());
  object.microseconds("storm_back_us", storm.back);
}

void put(JsonObject& object, const ReplayReport& replay) {
  object.number("replay_events", replay.events);
  object.number("replay_expected", replay.expected);
  object.number("replay_arrived", replay.arrived);
  object.number("replay_streams", replay.streams);
  object.real("replay_seconds", replay.seconds);
  object.real("replay_events_per_second", replay.events_per_second());
  object.real("replay_streams_per_second", replay.streams_per_second());
  object.microseconds("replay_us", replay.complete);
}

void put(JsonObject& object, const MixedReport& mixed) {
  object.number("topic_published", mixed.published);
  object.number("topic_expected", mixed.expected);
  object.number("topic_deliveries", mixed.deliveries);
  object.number("topic_missing", mixed.missing);
  object.real("topic_publish_seconds", mixed.publish_seconds);
  object.microseconds("topic_latency_us", mixed.latency.all);
  object.microseconds("topic_ack_latency_us", mixed.answer);
}

}  // namespace

std::string Report::json() const {
  std::string out;
  {
    JsonObject object{out};
    object.truth("good", good());
    object.text("failure", failure);
    object.text("scenario", scenario);
    put_counts(object, *this);
    put_times(object, *this);
    put_use(object, *this);
    if (tls) put(object, *tls);
    if (heard) put(object, *heard);
    if (!watched.empty()) put_watched(object, watched);
    if (resumed) put(object, *resumed);
    if (slow) put(object, *slow);
    if (storm) put(object, *storm);
    if (replay) put(object, *replay);
    if (mixed) put(object, *mixed);
    if (server) put_server(object, *this);
    object.real("server_storm_cpu_ns_per_stream", storm_cpu_ns_per_stream());
    object.real("server_storm_reopen_cpu_ns_per_stream", storm_reopen_cpu_ns_per_stream());
    object.real("server_replay_cpu_ns_per_event", replay_cpu_ns_per_event());
  }
  out += '\n';
  return out;
}

}  // namespace ringcast::load
