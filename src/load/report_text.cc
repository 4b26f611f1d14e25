#include <string>
#include <vector>

#include "load/report.h"
#include "load/text.h"

namespace ringcast::load {
namespace {

constexpr std::uint64_t kStreamsForSlab = 1000;  // below, what else the machine allocates is more

double megabytes(std::uint64_t bytes) {
  return static_cast<double>(bytes) / 1e6;
}

void put_quantiles(std::string& out, const char* name, const Histogram& h) {
  if (h.count() == 0) return;
  put(out, "%-12s p50 %.0f   p90 %.0f   p99 %.0f   p99.9 %.0f   max %.0f µs\n", name,
      micro(h.quantile(0.5)), micro(h.quantile(0.9)), micro(h.quantile(0.99)),
      micro(h.quantile(0.999)), micro(h.max()));
}

void put_streams(std::string& out, const Report& report) {
  put(out, "streams      %s of %s open in %.2f s (%.0f a second)", grouped(report.open).c_str(),
      grouped(report.streams).c_str(), report.open_seconds,
      report.open_seconds > 0 ? static_cast<double>(report.open) / report.open_seconds : 0);
  put(out, ", %s failed attempts, %s dropped, %s opened again",
      grouped(report.opens_failed).c_str(), grouped(report.dropped).c_str(),
      grouped(report.reconnects).c_str());
  put(out, report.stalled > 0 ? ", %s stalled\n" : "\n", grouped(report.stalled).c_str());
}

void put_text(std::string& out, const TlsReport& tls) {
  put(out, "TLS          %s handshakes, %s of them resumed, %s, %s; %s failed\n",
      grouped(tls.handshakes).c_str(), grouped(tls.resumed).c_str(), tls.version.c_str(),
      tls.cipher.c_str(), grouped(tls.failed()).c_str());
  put_quantiles(out, "handshake", tls.handshake);
  for (const auto& [reason, count] : tls.failures) {
    put(out, "             %s × %s\n", grouped(count).c_str(), reason.c_str());
  }
}

void put_text(std::string& out, const MixedReport& mixed) {
  put(out, "topics       %s published, %s of %s deliveries\n", grouped(mixed.published).c_str(),
      grouped(mixed.deliveries).c_str(), grouped(mixed.expected).c_str());
  put_quantiles(out, "  latency", mixed.latency.all);
  put_quantiles(out, "  answer", mixed.answer);
}

void put_events(std::string& out, const Report& report) {
  if (report.published == 0) return;
  put(out,
      "published    %s in %.2f s (%.0f a second), frames of %u bytes, %s deferred by the server\n",
      grouped(report.published).c_str(), report.publish_seconds, report.publications_per_second(),
      report.frame_bytes, grouped(report.deferred).c_str());
  if (report.streams == 0) return;
  put(out, "deliveries   %s of %s", grouped(report.deliveries).c_str(),
      grouped(report.expected).c_str());
  put(out, "   missing %s, duplicate %s, out of order %s, wrong topic %s\n",
      grouped(report.missing).c_str(), grouped(report.duplicates).c_str(),
      grouped(report.late).c_str(), grouped(report.misrouted).c_str());
  put(out, "throughput   %.0f deliveries a second over %.2f s\n", report.deliveries_per_second(),
      report.delivery_seconds);
  put_quantiles(out, "latency", report.latency.all);
  put_quantiles(out, "  stretch", report.latency.stretch);
  if (report.mixed) put_text(out, *report.mixed);
}

void put_text(std::string& out, const SlowReport& slow) {
  put(out, "slow         %s streams at %u bytes a second got %s events\n",
      grouped(slow.readers).c_str(), slow.bytes_per_second, grouped(slow.deliveries).c_str());
  put(out,
      "             skipped behind a gap %s, jumped over unannounced %s, %s ended by the server\n",
      grouped(slow.skipped).c_str(), grouped(slow.unannounced).c_str(),
      grouped(slow.dropped).c_str());
  put_quantiles(out, "  latency", slow.latency);
}

void put_text(std::string& out, const StalledReport& stalled, std::uint64_t gaps) {
  put(out, "resumed      %s of %s events of the stalled streams in %.2f s",
      grouped(stalled.deliveries).c_str(), grouped(stalled.expected).c_str(), stalled.seconds);
  put(out, "   skipped behind a gap %s, missing %s (%s of them jumped over unannounced)\n",
      grouped(stalled.skipped).c_str(), grouped(stalled.missing()).c_str(),
      grouped(stalled.unannounced).c_str());
  put(out, "             %s gaps, %s of the stalled streams were ended by the server\n",
      grouped(gaps).c_str(), grouped(stalled.dropped).c_str());
}

void put_storm(std::string& out, const Report& report) {
  const StormReport& storm = *report.storm;
  put(out, "storm        %s of %s streams back in %.2f s (%.0f a second), %s failed attempts\n",
      grouped(storm.returned).c_str(), grouped(storm.closed).c_str(), storm.seconds,
      storm.streams_per_second(), grouped(storm.opens_failed).c_str());
  if (const auto cpu = report.storm_cpu_ns_per_stream()) {
    put(out, "             server CPU %.0f ns a stream\n", *cpu);
  }
  put(out, "reopening    %.2f s (%.0f a second)", storm.reopen_seconds,
      storm.reopened_per_second());
  if (storm.missed > 0) {
    put(out, ", %s of %s missed events", grouped(storm.missed_arrived).c_str(),
        grouped(storm.missed_expected).c_str());
  }
  if (const auto cpu = report.storm_reopen_cpu_ns_per_stream()) {
    put(out, ", server CPU %.0f ns a stream", *cpu);
  }
  out += '\n';
  put_quantiles(out, "  back", storm.back);
}

void put_replay(std::string& out, const Report& report) {
  const ReplayReport& replay = *report.replay;
  put(out, "replay       %s of %s events on %s of %s streams in %.2f s (%.0f a second)",
      grouped(replay.arrived).c_str(), grouped(replay.expected).c_str(),
      grouped(replay.returned).c_str(), grouped(replay.streams).c_str(), replay.seconds,
      replay.events_per_second());
  if (const auto cpu = report.replay_cpu_ns_per_event()) {
    put(out, ", server CPU %.0f ns an event", *cpu);
  }
  out += '\n';
  put_quantiles(out, "  complete", replay.complete);
}

void put_text(std::string& out, const HeardReport& heard) {
  put(out, "subscribers  %u heard %s", heard.subscribers, grouped(heard.messages).c_str());
  put(out, "   missing %s, duplicate %s, out of order %s, of others %s\n",
      grouped(heard.missing).c_str(), grouped(heard.duplicates).c_str(),
      grouped(heard.late).c_str(), grouped(heard.others).c_str());
  put_quantiles(out, "heard", heard.latency.all);
}

void put_text(std::string& out, const WatchedReport& watched) {
  for (const auto& [thread, ns] : watched.publish_end) {
    const double spent = growth(used(watched.publish_begin, thread), ns);
    if (spent <= 0) continue;
    put(out, "CPU          %s, %s: %.3f s\n", watched.name.c_str(), thread.c_str(), spent / 1e9);
  }
}

void put_server(std::string& out, const Report& report) {
  const Report::Server& server = *report.server;
  if (server.idle_end.threads == 0) return;  // the run did not come so far
  if (const auto cpu = report.cpu_ns_per_delivery()) {
    put(out, "server CPU   %.0f ns a delivery\n", *cpu);
  }
  if (report.hold_seconds > 0) {
    put(out, "server idle  %.2f %% of one CPU\n",
        growth(server.idle_begin.cpu_ns, server.idle_end.cpu_ns) / report.hold_seconds / 1e7);
  }
  put(out,
      "server PSS   %.0f bytes a stream (%.1f MB empty, %.1f MB with the streams), %u threads\n",
      report.pss_bytes_per_stream().value_or(0), megabytes(server.empty.pss_bytes),
      megabytes(server.idle_end.pss_bytes), server.idle_end.threads);
}

void put_kernel(std::string& out, const Report& report) {
  out += "kernel       ";
  if (report.open >= kStreamsForSlab) {
    put(out, "%.0f bytes of slab a stream, both ends; ", report.slab_bytes_per_stream());
  }
  put(out, "TCP buffers %.1f MB empty, %.1f MB open, %.1f MB at the end\n",
      megabytes(report.kernel_empty.tcp_buffer_bytes),
      megabytes(report.kernel_open.tcp_buffer_bytes),
      megabytes(report.kernel_end.tcp_buffer_bytes));
}

}  // namespace

std::string Report::text() const {
  std::string out;
  put_streams(out, *this);
  if (tls) put_text(out, *tls);
  put_events(out, *this);
  put_quantiles(out, "answer", answer);
  if (slow) put_text(out, *slow);
  if (resumed) put_text(out, *resumed, gaps);
  if (storm) put_storm(out, *this);
  if (replay) put_replay(out, *this);
  if (heard) put_text(out, *heard);
  for (const WatchedReport& each : watched) put_text(out, each);
  if (server) put_server(out, *this);
  put_kernel(out, *this);
  put(out, "generator    %.2f s CPU reading\n", static_cast<double>(reader_cpu_ns) / 1e9);
  if (!failure.empty()) out += "failed       " + failure + "\n";
  return out;
}

}  // namespace ringcast::load
