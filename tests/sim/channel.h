#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "network.h"
#include "rules.h"
#include "tls_client.h"

namespace ringcast::sim {

/// What lies between a client and its connection: nothing, or TLS. It judges what TLS promises and
/// hands on the text, so that who is above it checks both kinds of connection by the same law.
///
///    StreamClient, Publisher ── text ──► Channel ── records ──► Connection
///                            ◄── text ──         ◄── records ──
///
/// One connection after the other. A ticket that one brings is offered by the next.
class Channel final : public ClientSide {
 public:
  /// `user` gets the text and the end.
  Channel(Rules& rules, Network& network, ClientSide& user);

  /// Without `kind` it is plain.
  Connection& open(int listener, const Line& line, const std::optional<TlsKind>& kind);
  /// Text may be said at once: it waits for the end of the handshake.
  void write(std::string_view text);
  void half_close();
  void leave();
  void reset();
  void vanish();

  // --- what a client under TLS may do beside talking

  [[nodiscard]] bool secure() const { return client_ != nullptr; }
  [[nodiscard]] bool talks() const {
    return secure() && client_->state() == TlsClient::State::open && !muted_;
  }
  void change_key();
  /// The end of what it says next is kept back until `go_on`.
  void stop_inside_record();
  void go_on();
  void say_close();
  /// What the server should end the connection for, or may.
  void misbehave();
  /// Application data that nobody waits for.
  void say_too_much();

  // --- what the law asks

  /// The client has done something that ends the connection, or may.
  [[nodiscard]] bool ends_by_client() const { return fault_ != Fault::none; }
  /// The client has done what makes its requests void. Those before a close_notify are answered.
  [[nodiscard]] bool gives_up_answers() const {
    return fault_ == Fault::may_end || fault_ == Fault::broken;
  }
  /// The server has been handed everything that was written up to this byte of the text.
  [[nodiscard]] bool server_took(std::uint64_t text_bytes) const;
  /// Whatever was sealed for it is here by now.
  void check_all_read() const;
  /// What should have ended it has done so.
  void check_fault_ended() const;

  void on_bytes(std::string_view bytes) override;
  void on_end(bool clean) override;

 private:
  enum class Fault {
    none,
    may_end,
    closed,  ///< said close_notify: is answered
    broken,  ///< sent what cannot be read: gets an alert
  };

  void on_record(std::string_view record);
  void check_key_updates(std::uint64_t answers, bool has_text,
                         const std::optional<std::uint64_t>& sealed_ns);
  void check_last_words(bool clean);
  void say_waiting_text();
  void send_output();
  void send(std::string bytes);
  void fail(const std::string& what) const;

  Rules& rules_;
  World& world_;
  Network& network_;
  ClientSide& user_;
  TicketHandle ticket_;  // of an earlier connection

  // Of the current connection.
  Connection* connection_ = nullptr;
  std::unique_ptr<TlsClient> client_;  // null: plain
  std::string waiting_text_;           // for the end of the handshake
  std::uint64_t text_written_ = 0;
  std::uint64_t sent_ = 0;  // bytes, with those that are kept back
  struct Written {
    std::uint64_t text_end;
    std::uint64_t wire_end;
  };
  std::vector<Written> written_;
  bool stops_ = false;  // inside the next record
  std::optional<std::string> kept_back_;
  bool muted_ = false;  // nothing that it could say would be understood
  Fault fault_ = Fault::none;

  std::string incoming_;  // the front of a record
  std::uint64_t read_ = 0;
  bool heard_text_ = false;
  std::optional<std::size_t> key_;   // of the record layer's last record
  std::deque<std::uint64_t> asked_;  // where requests for a KeyUpdate end in what was sent
  std::uint64_t key_updates_said_ = 0;
  std::uint64_t key_updates_asked_ = 0;
};

}  // namespace ringcast::sim
