#include "misfit.h"

#include <algorithm>

#include "tls_site.h"

namespace ringcast::sim {
namespace {

constexpr std::string_view kAlertRecord = "\x15";
constexpr std::string_view kHandshakeRecord = "\x16";

}  // namespace

Misfit::Misfit(Rules& rules, Network& network, std::uint32_t number)
    : rules_(rules), world_(rules.world), network_(network), number_(number) {}

void Misfit::fail(const std::string& what) const {
  world_.fail("misfit %u (kind %d, connection %u): %s", number_, static_cast<int>(kind_),
              connection_->number(), what.c_str());
}

std::string Misfit::first_words() {
  Random& random = world_.random;
  if (kind_ == Kind::plain_http || kind_ == Kind::http_to_plain_listener)
    return "GET /events?topic=a HTTP/1.1\r\nHost: sim\r\nConnection: close\r\n\r\n";
  if (kind_ == Kind::nothing) return {};
  if (kind_ == Kind::garbage) {
    std::string bytes(random.between(1, 100), '\0');
    for (char& byte : bytes) byte = static_cast<char>(random.next());
    return bytes;
  }
  TlsKind offer;
  if (kind_ == Kind::old_version) offer.version = TLS1_1_VERSION;
  if (kind_ == Kind::other_protocol) offer.protocol = "h2";
  TlsClient client(rules_.tls->client_context(), offer, nullptr);
  std::string hello = client.take_output();
  if (kind_ == Kind::half_hello) hello.resize(random.between(1, hello.size() - 1));
  if (kind_ == Kind::damaged_hello) {
    char& byte = hello[random.below(hello.size())];
    byte = static_cast<char>(byte ^ (1 << random.below(8)));
  }
  if (kind_ == Kind::gives_up) {
    hello += std::string("\x15\x03\x03\x00\x02\x02\x2a", 7);  // bad_certificate, in clear text
  }
  return hello;
}

void Misfit::open(int plain_listener, int tls_listener, const Line& line) {
  kind_ = static_cast<Kind>(world_.random.below(static_cast<std::uint64_t>(Kind::count)));
  if (kind_ == Kind::http_to_plain_listener && !rules_.setup.redirects) kind_ = Kind::nothing;
  heard_.clear();
  connection_ =
      &network_.connect(wants_plain_listener() ? plain_listener : tls_listener, line, *this);
  world_.trace("misfit %u: connection %u, kind %d", number_, connection_->number(),
               static_cast<int>(kind_));
  connection_->write(first_words());
}

void Misfit::on_bytes(std::string_view bytes) {
  heard_ += bytes;
}

void Misfit::check_answer(bool must_be_told, std::string_view expected, std::string_view within) {
  if (heard_.starts_with(expected) && heard_.find(within) != std::string::npos) {
    ++rules_.met["misfits told why"];
  } else if (must_be_told || !heard_.empty()) {
    fail("was told: " + heard_.substr(0, 200));
  }
}

void Misfit::on_end(bool clean) {
  world_.trace("misfit %u: connection %u ended (%s)", number_, connection_->number(),
               clean ? "FIN" : "reset");
  // What a reset has taken with it, nobody knows.
  const bool whole = clean && !connection_->ever_held_back() && !rules_.draining;
  switch (kind_) {
    case Kind::plain_http:
      check_answer(whole, "HTTP/1.1 400 ", "https://");
      break;
    case Kind::tls_to_plain_listener:
      check_answer(whole, "HTTP/1.1 400 ");
      break;
    case Kind::http_to_plain_listener:
      check_answer(whole, "HTTP/1.1 308 ", "\r\nLocation: " + kRedirectTo + "/events?topic=a\r\n");
      break;
    case Kind::old_version:
    case Kind::other_protocol:
      check_answer(whole, kAlertRecord);
      break;
    default:
      if (!heard_.starts_with(kHandshakeRecord)) check_answer(false, kAlertRecord);
  }
  connection_->leave();
  connection_ = nullptr;
}

void Misfit::check_deadline() {
  if (!connected() || connection_->accepted_ns() == 0) return;
  const shard::ShardOptions& options = rules_.setup.shard;
  // The longer one of the two: a handshake, or a request whose beginning came.
  const std::uint32_t seconds =
      std::max(options.tls.handshake_seconds, options.limits.header_seconds);
  if (world_.timeline.now() >
      connection_->accepted_ns() + (seconds + 3) * kNsPerSecond + rules_.patience_ns()) {
    fail("is waited for without end");
  }
}

}  // namespace ringcast::sim
