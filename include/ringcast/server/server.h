#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "ringcast/auth/access.h"
#include "ringcast/base/result.h"
#include "ringcast/base/time.h"
#include "ringcast/config/config.h"

namespace ringcast::server {

/// A signal that ends the server (SIGINT, SIGTERM) is pending. For callers that have blocked them.
[[nodiscard]] bool asked_to_stop();

/// The whole server: one thread for each shard, one for the hub, one for the admin listener, one
/// that writes audit lines, and those that hash passwords.
///
/// Start order: certificates, keys and users, state directory and IDs, listeners, rings on their
/// threads, shards, hub; a client can connect when `start` has returned. Stop order: streams
/// drained, shards ended, then the hub, then the rings (the hub may wake a shard's ring until it
/// has ended). All signals of the caller's mask are inherited: block what `main` waits for before
/// `start`.
class Server {
 public:
  /// The error says what is missing and what to change.
  [[nodiscard]] static Result<std::unique_ptr<Server>> start(const config::Config& config);
  ~Server();

  /// Makes effective what can change while streams stay open: who may sign in and do what, origins,
  /// trusted proxies, rates, certificates, where plain requests are sent. On error everything stays
  /// as it was. One thread at a time, together with `advance_keys`.
  [[nodiscard]] Result<void> reload(const config::Config& config);
  /// Replaces the keys of TLS session tickets when their time has come: to be called once a minute
  /// or so.
  void advance_keys(Time now);
  /// The user that was made because there was none; to be shown once.
  [[nodiscard]] const std::optional<auth::FirstUser>& first_user() const;

  /// `http://127.0.0.1:8080` of each plain listener, then `https://…` of each that speaks TLS, with
  /// the real port.
  [[nodiscard]] const std::vector<std::string>& addresses() const;
  /// The one for a person: where the others send it, if they do, else the first.
  [[nodiscard]] const std::string& address_to_open() const;
  /// Empty when the admin listener is off.
  [[nodiscard]] const std::string& admin_address() const;
  /// How many streams it can hold, and what bounds it, for a person.
  [[nodiscard]] const std::string& capacity() const;

  /// Begins the drain: see shard::Shard::request_drain. Any thread; returns at once.
  void begin_drain();
  /// Blocks until everything has ended.
  void wait();

 private:
  struct Parts;
  explicit Server(std::unique_ptr<Parts> parts);
  std::unique_ptr<Parts> parts_;
};

}  // namespace ringcast::server
