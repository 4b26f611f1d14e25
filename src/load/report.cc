#include "load/report.h"

#include <algorithm>
#include <cinttypes>
#include <cstdarg>
#include <cstdio>

#include "load/text.h"

namespace ringcast::load {
namespace {

/// printf into a string.
__attribute__((format(printf, 2, 3))) void put(std::string& out, const char* format, ...) {
  char line[512];
  va_list arguments;
  va_start(arguments, format);
  const int bytes = vsnprintf(line, sizeof line, format, arguments);
  va_end(arguments);
  if (bytes > 0) out.append(line, std::min(static_cast<std::size_t>(bytes), sizeof line - 1));
}

double micro(std::uint64_t ns) {
  return static_cast<double>(ns) / 1e3;
}

double growth(std::uint64_t before, std::uint64_t after) {
  return static_cast<double>(after) - static_cast<double>(before);
}

/// What a thread had used at an earlier moment; 0 when it was not there.
std::uint64_t before(const ThreadUse& use, const std::string& thread) {
  const auto found = use.find(thread);
  return found == use.end() ? 0 : found->second;
}

void put_quantiles(std::string& out, const char* name, const Histogram& h) {
  if (h.count() == 0) return;
  put(out, "%-12s p50 %.0f   p90 %.0f   p99 %.0f   p99.9 %.0f   max %.0f µs\n", name,
      micro(h.quantile(0.5)), micro(h.quantile(0.9)), micro(h.quantile(0.99)),
      micro(h.quantile(0.999)), micro(h.max()));
}

class JsonObject {
 public:
  explicit JsonObject(std::string& out) : out_(out) { out_ += '{'; }
  ~JsonObject() { out_ += '}'; }
  JsonObject(const JsonObject&) = delete;
  JsonObject& operator=(const JsonObject&) = delete;

  void name(const char* key) {
    if (!first_) out_ += ',';
    first_ = false;
    put(out_, "\"%s\":", key);
  }
  void number(const char* key, std::uint64_t value) {
    name(key);
    put(out_, "%" PRIu64, value);
  }
  void real(const char* key, double value) {
    name(key);
    put(out_, "%.6g", value);
  }
  void text(const char* key, const std::string& value) {
    name(key);
    quote(value);
  }
  /// The key may hold anything.
  void number_of(const std::string& key, std::uint64_t value) {
    if (!first_) out_ += ',';
    first_ = false;
    quote(key);
    put(out_, ":%" PRIu64, value);
  }
  void threads(const char* key, const ThreadUse& from, const ThreadUse& to) {
    name(key);
    JsonObject inner{out_};
    for (const auto& [thread, ns] : to)
      inner.real(thread.c_str(), growth(before(from, thread), ns));
  }
  void microseconds(const char* key, const Histogram& h) {
    name(key);
    JsonObject inner{out_};
    inner.number("count", h.count());
    inner.real("p50", micro(h.quantile(0.5)));
    inner.real("p90", micro(h.quantile(0.9)));
    inner.real("p99", micro(h.quantile(0.99)));
    inner.real("p999", micro(h.quantile(0.999)));
    inner.real("max", micro(h.max()));
  }

 private:
  void quote(const std::string& value) {
    out_ += '"';
    for (const char c : value) {
      if (c == '"' || c == '\\') {
        out_ += '\\';
        out_ += c;
      } else if (static_cast<unsigned char>(c) < 0x20) {
        put(out_, "\\u%04x", static_cast<unsigned>(c));
      } else {
        out_ += c;
      }
    }
    out_ += '"';
  }

  std::string& out_;
  bool first_ = true;
};

}  // namespace

bool Report::good() const {
  return failure.empty() && missing == 0 && duplicates == 0 && late == 0 && misrouted == 0 &&
         dropped == reconnects && (!resumed || resumed->missing() == 0) &&
         (!slow || (slow->unannounced == 0 && (!resumed || slow->missing() == 0))) &&
         (!storm || (storm->closed == streams && storm->returned == streams &&
                     storm->missed_arrived == storm->missed_expected)) &&
         (!replay ||
          (replay->returned == replay->streams && replay->arrived == replay->expected)) &&
         (!heard || (heard->missing == 0 && heard->duplicates == 0 && heard->late == 0));
}

double Report::deliveries_per_second() const {
  return delivery_seconds > 0 ? static_cast<double>(deliveries) / delivery_seconds : 0;
}

std::optional<double> Report::cpu_ns_per_delivery() const {
  if (!server) return std::nullopt;
  // Events that were missed were delivered in the storm or the replay.
  std::uint64_t counted = deliveries - std::min(deliveries, deliveries_before);
  if (storm) counted -= std::min(counted, storm->missed_arrived);
  if (counted == 0) return std::nullopt;
  return (growth(server->publish_begin.cpu_ns, server->publish_end.cpu_ns) -
          growth(server->storm_begin.cpu_ns, server->storm_end.cpu_ns)) /
         static_cast<double>(counted);
}

std::optional<double> Report::storm_cpu_ns_per_stream() const {
  if (!server || !storm || storm->returned == 0) return std::nullopt;
  return growth(server->storm_begin.cpu_ns, server->storm_end.cpu_ns) /
         static_cast<double>(storm->returned);
}

std::optional<double> Report::storm_reopen_cpu_ns_per_stream() const {
  if (!server || !storm || storm->returned == 0 || server->return_begin.threads == 0) {
    return std::nullopt;
  }
  return growth(server->return_begin.cpu_ns, server->storm_end.cpu_ns) /
         static_cast<double>(storm->returned);
}

std::optional<double> Report::replay_cpu_ns_per_event() const {
  if (!server || !replay || replay->arrived == 0) return std::nullopt;
  return growth(server->return_begin.cpu_ns, server->return_end.cpu_ns) /
         static_cast<double>(replay->arrived);
}

double Report::publications_per_second() const {
  return publish_seconds > 0 ? static_cast<double>(published) / publish_seconds : 0;
}

std::optional<double> Report::pss_bytes_per_stream() const {
  if (!server || open == 0) return std::nullopt;
  return growth(server->empty.pss_bytes, server->idle_end.pss_bytes) / static_cast<double>(open);
}

double Report::slab_bytes_per_stream() const {
  return open == 0
             ? 0
             : growth(kernel_empty.slab_bytes, kernel_open.slab_bytes) / static_cast<double>(open);
}

std::string Report::text() const {
  std::string out;
  put(out, "streams      %s of %s open in %.2f s (%.0f a second)", grouped(open).c_str(),
      grouped(streams).c_str(), open_seconds,
      open_seconds > 0 ? static_cast<double>(open) / open_seconds : 0);
  put(out, ", %s failed attempts, %s dropped, %s opened again", grouped(opens_failed).c_str(),
      grouped(dropped).c_str(), grouped(reconnects).c_str());
  put(out, stalled > 0 ? ", %s stalled\n" : "\n", grouped(stalled).c_str());
  if (tls) {
    put(out, "TLS          %s handshakes, %s of them resumed, %s, %s; %s failed\n",
        grouped(tls->handshakes).c_str(), grouped(tls->resumed).c_str(), tls->version.c_str(),
        tls->cipher.c_str(), grouped(tls->failed()).c_str());
    put_quantiles(out, "handshake", tls->handshake);
    for (const auto& [reason, count] : tls->failures) {
      put(out, "             %s × %s\n", grouped(count).c_str(), reason.c_str());
    }
  }
  if (published > 0) {
    put(out,
        "published    %s in %.2f s (%.0f a second), frames of %u bytes, %s deferred by the "
        "server\n",
        grouped(published).c_str(), publish_seconds, publications_per_second(), frame_bytes,
        grouped(deferred).c_str());
  }
  if (published > 0 && streams > 0) {
    put(out, "deliveries   %s of %s", grouped(deliveries).c_str(), grouped(expected).c_str());
    put(out, "   missing %s, duplicate %s, out of order %s, wrong topic %s\n",
        grouped(missing).c_str(), grouped(duplicates).c_str(), grouped(late).c_str(),
        grouped(misrouted).c_str());
    put(out, "throughput   %.0f deliveries a second over %.2f s\n", deliveries_per_second(),
        delivery_seconds);
    put_quantiles(out, "latency", latency.all);
    put_quantiles(out, "  stretch", latency.stretch);
    if (mixed) {
      put(out, "topics       %s published, %s of %s deliveries\n",
          grouped(mixed->published).c_str(), grouped(mixed->deliveries).c_str(),
          grouped(mixed->expected).c_str());
      put_quantiles(out, "  latency", mixed->latency.all);
      put_quantiles(out, "  answer", mixed->answer);
    }
  }
  put_quantiles(out, "answer", answer);
  if (slow) {
    put(out, "slow         %s streams at %u bytes a second got %s events\n",
        grouped(slow->readers).c_str(), slow->bytes_per_second, grouped(slow->deliveries).c_str());
    put(out,
        "             skipped behind a gap %s, jumped over unannounced %s, %s ended by the "
        "server\n",
        grouped(slow->skipped).c_str(), grouped(slow->unannounced).c_str(),
        grouped(slow->dropped).c_str());
    put_quantiles(out, "  latency", slow->latency);
  }
  if (resumed) {
    put(out, "resumed      %s of %s events of the stalled streams in %.2f s",
        grouped(resumed->deliveries).c_str(), grouped(resumed->expected).c_str(), resumed->seconds);
    put(out, "   skipped behind a gap %s, missing %s (%s of them jumped over unannounced)\n",
        grouped(resumed->skipped).c_str(), grouped(resumed->missing()).c_str(),
        grouped(resumed->unannounced).c_str());
    put(out, "             %s gaps, %s of the stalled streams were ended by the server\n",
        grouped(gaps).c_str(), grouped(resumed->dropped).c_str());
  }
  if (storm) {
    put(out, "storm        %s of %s streams back in %.2f s (%.0f a second), %s failed attempts\n",
        grouped(storm->returned).c_str(), grouped(storm->closed).c_str(), storm->seconds,
        storm->streams_per_second(), grouped(storm->opens_failed).c_str());
    if (const auto cpu = storm_cpu_ns_per_stream()) {
      put(out, "             server CPU %.0f ns a stream\n", *cpu);
    }
    put(out, "reopening    %.2f s (%.0f a second)", storm->reopen_seconds,
        storm->reopened_per_second());
    if (storm->missed > 0) {
      put(out, ", %s of %s missed events", grouped(storm->missed_arrived).c_str(),
          grouped(storm->missed_expected).c_str());
    }
    if (const auto cpu = storm_reopen_cpu_ns_per_stream()) {
      put(out, ", server CPU %.0f ns a stream", *cpu);
    }
    out += '\n';
    put_quantiles(out, "  back", storm->back);
  }
  if (replay) {
    put(out, "replay       %s of %s events on %s of %s streams in %.2f s (%.0f a second)",
        grouped(replay->arrived).c_str(), grouped(replay->expected).c_str(),
        grouped(replay->returned).c_str(), grouped(replay->streams).c_str(), replay->seconds,
        replay->events_per_second());
    if (const auto cpu = replay_cpu_ns_per_event()) {
      put(out, ", server CPU %.0f ns an event", *cpu);
    }
    out += '\n';
    put_quantiles(out, "  complete", replay->complete);
  }
  if (heard) {
    put(out, "subscribers  %u heard %s", heard->subscribers, grouped(heard->messages).c_str());
    put(out, "   missing %s, duplicate %s, out of order %s, of others %s\n",
        grouped(heard->missing).c_str(), grouped(heard->duplicates).c_str(),
        grouped(heard->late).c_str(), grouped(heard->others).c_str());
    put_quantiles(out, "heard", heard->latency.all);
  }
  for (const WatchedReport& each : watched) {
    for (const auto& [thread, ns] : each.publish_end) {
      const double used = growth(before(each.publish_begin, thread), ns);
      if (used > 0) {
        put(out, "CPU          %s, %s: %.3f s\n", each.name.c_str(), thread.c_str(), used / 1e9);
      }
    }
  }
  if (server && server->idle_end.threads > 0) {  // the run came so far
    if (const auto cpu = cpu_ns_per_delivery()) put(out, "server CPU   %.0f ns a delivery\n", *cpu);
    if (hold_seconds > 0) {
      put(out, "server idle  %.2f %% of one CPU\n",
          growth(server->idle_begin.cpu_ns, server->idle_end.cpu_ns) / hold_seconds / 1e7);
    }
    put(out,
        "server PSS   %.0f bytes a stream (%.1f MB empty, %.1f MB with the streams), %u threads\n",
        pss_bytes_per_stream().value_or(0), static_cast<double>(server->empty.pss_bytes) / 1e6,
        static_cast<double>(server->idle_end.pss_bytes) / 1e6, server->idle_end.threads);
  }
  out += "kernel       ";
  // What else the machine allocates is larger than a few sockets.
  if (open >= 1000) put(out, "%.0f bytes of slab a stream, both ends; ", slab_bytes_per_stream());
  put(out, "TCP buffers %.1f MB empty, %.1f MB open, %.1f MB at the end\n",
      static_cast<double>(kernel_empty.tcp_buffer_bytes) / 1e6,
      static_cast<double>(kernel_open.tcp_buffer_bytes) / 1e6,
      static_cast<double>(kernel_end.tcp_buffer_bytes) / 1e6);
  put(out, "generator    %.2f s CPU reading\n", static_cast<double>(reader_cpu_ns) / 1e9);
  if (!failure.empty()) out += "failed       " + failure + "\n";
  return out;
}

std::string Report::json() const {
  std::string out;
  {
    JsonObject object{out};
    object.name("good");
    out += good() ? "true" : "false";
    object.text("failure", failure);
    object.text("scenario", scenario);
    object.number("streams", streams);
    object.number("stalled", stalled);
    object.number("open", open);
    object.real("open_seconds", open_seconds);
    object.number("opens_failed", opens_failed);
    object.number("dropped", dropped);
    object.number("reconnects", reconnects);
    object.number("frame_bytes", frame_bytes);
    object.number("published", published);
    object.number("deferred", deferred);
    object.real("publish_seconds", publish_seconds);
    object.number("expected", expected);
    object.number("deliveries", deliveries);
    object.number("missing", missing);
    object.number("duplicates", duplicates);
    object.number("out_of_order", late);
    object.number("misrouted", misrouted);
    object.number("gaps", gaps);
    object.number("other_events", other_events);
    object.real("delivery_seconds", delivery_seconds);
    object.real("deliveries_per_second", deliveries_per_second());
    object.microseconds("latency_us", latency.all);
    object.microseconds("latency_first_third_us", latency.first_third);
    object.microseconds("latency_last_third_us", latency.last_third);
    object.microseconds("stretch_latency_us", latency.stretch);
    object.microseconds("answer_us", answer);
    object.microseconds("ack_latency_us", answer);
    object.real("publications_per_second", publications_per_second());
    object.real("slab_bytes_per_stream", slab_bytes_per_stream());
    object.number("tcp_buffer_bytes_empty", kernel_empty.tcp_buffer_bytes);
    object.number("tcp_buffer_bytes_open", kernel_open.tcp_buffer_bytes);
    object.number("tcp_buffer_bytes_end", kernel_end.tcp_buffer_bytes);
    object.number("slab_bytes_open", kernel_open.slab_bytes);
    object.number("slab_bytes_end", kernel_end.slab_bytes);
    object.number("reader_cpu_ns", reader_cpu_ns);
    object.number("publisher_cpu_ns", publisher_cpu_ns);
    object.number("listener_cpu_ns", listener_cpu_ns);
    object.number("receivers_min", receivers_min);
    object.number("receivers_max", receivers_max);
    object.real("measured_seconds", measured_seconds);
    object.real("hold_seconds", hold_seconds);
    if (tls) {
      object.text("tls_version", tls->version);
      object.text("tls_cipher", tls->cipher);
      object.number("tls_handshakes", tls->handshakes);
      object.number("tls_resumed", tls->resumed);
      object.number("tls_taken_over", tls->taken_over);
      object.number("tls_failed", tls->failed());
      object.microseconds("tls_handshake_us", tls->handshake);
      object.name("tls_failures");
      JsonObject reasons{out};
      for (const auto& [reason, count] : tls->failures) {
        reasons.number_of(reason, count);
      }
    }
    if (heard) {
      object.number("subscribers", heard->subscribers);
      object.number("heard", heard->messages);
      object.number("heard_missing", heard->missing);
      object.number("heard_duplicates", heard->duplicates);
      object.number("heard_out_of_order", heard->late);
      object.number("heard_others", heard->others);
      object.real("heard_seconds", heard->seconds);
      object.microseconds("heard_latency_us", heard->latency.all);
      object.microseconds("heard_latency_first_third_us", heard->latency.first_third);
      object.microseconds("heard_latency_last_third_us", heard->latency.last_third);
    }
    if (!watched.empty()) {
      object.name("watched_cpu_ns");
      JsonObject all{out};
      for (const WatchedReport& each : watched) {
        all.name(each.name.c_str());
        JsonObject one{out};
        one.threads("hold", each.idle_begin, each.idle_end);
        one.threads("publish", each.publish_begin, each.publish_end);
      }
    }
    if (resumed) {
      object.number("stalled_expected", resumed->expected);
      object.number("stalled_deliveries", resumed->deliveries);
      object.number("stalled_skipped", resumed->skipped);
      object.number("stalled_missing", resumed->missing());
      object.number("stalled_unannounced", resumed->unannounced);
      object.number("stalled_dropped", resumed->dropped);
      object.real("stalled_seconds", resumed->seconds);
    }
    if (storm) {
      object.number("storm_closed", storm->closed);
      object.number("storm_returned", storm->returned);
      object.number("storm_opens_failed", storm->opens_failed);
      object.real("storm_seconds", storm->seconds);
      object.real("storm_streams_per_second", storm->streams_per_second());
      if (const auto cpu = storm_cpu_ns_per_stream()) {
        object.real("server_storm_cpu_ns_per_stream", *cpu);
      }
    }
    if (slow) {
      object.number("slow_readers", slow->readers);
      object.number("slow_bytes_per_second", slow->bytes_per_second);
      object.number("slow_expected", slow->expected);
      object.number("slow_deliveries", slow->deliveries);
      object.number("slow_skipped", slow->skipped);
      object.number("slow_unannounced", slow->unannounced);
      object.number("slow_dropped", slow->dropped);
      object.microseconds("slow_latency_us", slow->latency);
    }
    if (storm) {
      object.number("storm_missed", storm->missed);
      object.number("storm_missed_expected", storm->missed_expected);
      object.number("storm_missed_arrived", storm->missed_arrived);
      object.real("storm_reopen_seconds", storm->reopen_seconds);
      object.real("storm_reopen_per_second", storm->reopened_per_second());
      object.microseconds("storm_back_us", storm->back);
      if (const auto cpu = storm_reopen_cpu_ns_per_stream()) {
        object.real("server_storm_reopen_cpu_ns_per_stream", *cpu);
      }
    }
    if (replay) {
      object.number("replay_events", replay->events);
      object.number("replay_expected", replay->expected);
      object.number("replay_arrived", replay->arrived);
      object.number("replay_streams", replay->streams);
      object.real("replay_seconds", replay->seconds);
      object.real("replay_events_per_second", replay->events_per_second());
      object.real("replay_streams_per_second", replay->streams_per_second());
      object.microseconds("replay_us", replay->complete);
      if (const auto cpu = replay_cpu_ns_per_event()) {
        object.real("server_replay_cpu_ns_per_event", *cpu);
      }
    }
    if (mixed) {
      object.number("topic_published", mixed->published);
      object.number("topic_expected", mixed->expected);
      object.number("topic_deliveries", mixed->deliveries);
      object.number("topic_missing", mixed->missing);
      object.real("topic_publish_seconds", mixed->publish_seconds);
      object.microseconds("topic_latency_us", mixed->latency.all);
      object.microseconds("topic_ack_latency_us", mixed->answer);
    }
    if (server) {
      object.real("server_cpu_ns_per_delivery", cpu_ns_per_delivery().value_or(0));
      object.real("server_publish_cpu_ns",
                  growth(server->publish_begin.cpu_ns, server->publish_end.cpu_ns));
      object.real("server_hold_cpu_ns", growth(server->idle_begin.cpu_ns, server->idle_end.cpu_ns));
      object.real("server_pss_bytes_per_stream", pss_bytes_per_stream().value_or(0));
      object.number("server_pss_bytes_empty", server->empty.pss_bytes);
      object.number("server_pss_bytes_open", server->idle_end.pss_bytes);
      object.number("server_pss_bytes_end", server->published.pss_bytes);
      object.number("server_rss_bytes_open", server->idle_end.rss_bytes);
      object.number("server_threads", server->idle_end.threads);
    }
  }
  out += '\n';
  return out;
}

}  // namespace ringcast::load
