#pragma once

#include <cstdint>
#include <vector>

#include <netinet/in.h>

#include "ringcast/base/result.h"

#include "load/plan.h"

namespace ringcast::load {

/// Where the streams connect from. One source address has one port for each connection to the same
/// destination, 28,232 by default (net.ipv4.ip_local_port_range), so many streams need several.
/// When the destination is in 127.0.0.0/8 they are made up (127.1.0.0 and on); otherwise `--source`
/// gives them.
class SourceAddresses {
 public:
  /// An error tells what to change when the addresses do not suffice.
  [[nodiscard]] static Result<SourceAddresses> plan(const Plan& plan);

  /// A new socket, bound for this stream if it needs to be. It is closed by a reset: a run leaves
  /// no connection in TIME-WAIT behind, which would hold the ports of the next one.
  ///
  /// `again`: for the connection after a storm. The end of the one before left its port in
  /// TIME-WAIT, among others' through which `connect` would search; so made-up addresses are others
  /// then.
  [[nodiscard]] Result<int> make_socket(std::uint32_t stream, bool again) const;

 private:
  int family_ = AF_INET;
  std::uint32_t streams_each_ = 1;
  std::uint32_t places_ = 1;  ///< addresses that the streams need
  bool made_up_ = false;
  std::vector<sockaddr_storage> given_;
};

/// Ports that the system hands out by itself, of one source address.
[[nodiscard]] std::uint32_t ephemeral_ports();

}  // namespace ringcast::load
