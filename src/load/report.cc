#include "load/report.h"

#include <algorithm>

namespace ringcast::load {

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

}  // namespace ringcast::load
