#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "network.h"
#include "rules.h"
#include "tls_client.h"

namespace ringcast::sim {

/// Somebody who comes to a server with TLS and does not get as far as a request: speaks another
/// language than the listener, stops half way, offers what is not taken. It must be let go in time,
/// and told why if it can understand it.
class Misfit final : public ClientSide {
 public:
  Misfit(Rules& rules, Network& network, std::uint32_t number);

  void open(int plain_listener, int tls_listener, const Line& line);
  [[nodiscard]] bool connected() const { return connection_ != nullptr; }
  /// It reads, but says nothing more.
  void check_deadline();

  void on_bytes(std::string_view bytes) override;
  void on_end(bool clean) override;

 private:
  enum class Kind {
    plain_http,
    tls_to_plain_listener,
    http_to_plain_listener,  ///< which tells it to use the other one
    garbage,
    nothing,
    half_hello,
    damaged_hello,
    hello_only,      ///< does not answer what the server says
    old_version,     ///< TLS 1.1
    other_protocol,  ///< h2
    gives_up,        ///< sends an alert in place of its Finished
    count
  };

  [[nodiscard]] bool wants_plain_listener() const {
    return kind_ == Kind::tls_to_plain_listener || kind_ == Kind::http_to_plain_listener;
  }
  [[nodiscard]] std::string first_words();
  /// It has heard nothing, or what begins with one of these.
  void check_answer(bool must_be_told, std::string_view expected, std::string_view within = {});
  void fail(const std::string& what) const;

  Rules& rules_;
  World& world_;
  Network& network_;
  std::uint32_t number_;
  Kind kind_ = Kind::nothing;
  Connection* connection_ = nullptr;
  std::string heard_;
};

}  // namespace ringcast::sim
