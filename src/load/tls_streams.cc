#include "load/tls_streams.h"

#include <utility>

#include "ringcast/base/time.h"

namespace ringcast::load {
namespace {

constexpr std::string_view kCut = "the connection ended in the handshake";

}  // namespace

void TlsReport::merge(const TlsReport& other) {
  handshakes += other.handshakes;
  resumed += other.resumed;
  taken_over += other.taken_over;
  handshake.merge(other.handshake);
  for (const auto& [reason, count] : other.failures) failures[reason] += count;
  if (!other.version.empty()) {
    version = other.version;
    cipher = other.cipher;
  }
}

std::uint64_t TlsReport::failed() const {
  std::uint64_t count = 0;
  for (const auto& [reason, each] : failures) count += each;
  return count;
}

std::string_view TlsStreams::begin(std::uint32_t stream,
                                   std::shared_ptr<const tls::ClientContext> context) {
  const std::uint64_t now_ns = read_clock().mono_ns;
  Stream& self = streams_[stream];
  self.opening = std::make_unique<Opening>(std::move(context));
  self.opening->began_ns = now_ns;
  self.opening->in_flight = self.opening->session.take_output();
  return self.opening->in_flight;
}

TlsStreams::Outcome TlsStreams::feed_session(Opening& opening, std::string_view bytes) {
  tls::ClientSession& session = opening.session;
  const bool was_open = session.state() == tls::SessionState::open;
  switch (session.feed(bytes, plaintext_)) {
    case tls::SessionState::half_closed:
    case tls::SessionState::closed:
      return Outcome::ended;
    case tls::SessionState::failed:
      ++report_.failures[session.reason()];
      return Outcome::failed;
    case tls::SessionState::open:
      break;
    default:
      return Outcome::going_on;
  }
  if (was_open) return Outcome::going_on;
  ++report_.handshakes;
  if (session.resumed()) ++report_.resumed;
  report_.handshake.record(read_clock().mono_ns - opening.began_ns);
  report_.version = session.version();
  report_.cipher = session.cipher();
  return Outcome::opened;
}

TlsStreams::Outcome TlsStreams::fail(std::uint32_t stream, std::string reason) {
  ++report_.failures[reason];
  record_failures_[stream] = std::move(reason);
  return Outcome::failed;
}

void TlsStreams::write(std::uint32_t stream, std::string_view plaintext) {
  // If it fails, the output has an alert, and the server ends the connection.
  static_cast<void>(streams_[stream].opening->session.write(plaintext));
}

std::string_view TlsStreams::take_output(std::uint32_t stream) {
  Opening* const opening = streams_[stream].opening.get();
  if (opening == nullptr || opening->sending || !opening->session.has_output()) return {};
  opening->in_flight = opening->session.take_output();
  opening->sending = true;
  return opening->in_flight;
}

bool TlsStreams::is_sending(std::uint32_t stream) const {
  const Opening* const opening = streams_[stream].opening.get();
  return opening != nullptr && opening->sending;
}

std::optional<std::int32_t> TlsStreams::sent(std::uint32_t stream) {
  Stream& self = streams_[stream];
  self.opening->sending = false;
  self.opening->in_flight = std::string{};
  if (self.opening->ended) return self.opening->ended;
  if (self.has_layer && !self.opening->session.has_output()) self.opening.reset();
  return std::nullopt;
}

void TlsStreams::end_when_sent(std::uint32_t stream, std::int32_t error) {
  streams_[stream].opening->ended = error;
}

void TlsStreams::settle(std::uint32_t stream) {
  Stream& self = streams_[stream];
  if (self.has_layer || self.opening->sending || self.opening->session.has_output()) return;
  const auto handover = self.opening->session.take_over(cipher_);
  if (!handover) return;
  self.layer = tls::RecordLayer{cipher_, handover->keys};
  self.has_layer = true;
  ++report_.taken_over;
  if (!handover->half_record.empty()) {
    tls::HalfRecord half;
    auto input = std::as_bytes(std::span{handover->half_record});
    static_cast<void>(self.layer.read(cipher_, half, input, &self.key));
    keep_half(stream, std::move(half));
  }
  // Its output may still have the answer to a KeyUpdate.
  if (!self.opening->session.has_output()) self.opening.reset();
}

TlsStreams::Failure TlsStreams::failure(std::uint32_t stream) const {
  if (const auto found = record_failures_.find(stream); found != record_failures_.end()) {
    return {.reason = found->second, .hopeless = false};
  }
  const Opening* const opening = streams_[stream].opening.get();
  if (opening == nullptr) return {};
  const tls::ClientSession& session = opening->session;
  const bool hopeless = session.fault() == tls::ClientFault::certificate ||
                        session.fault() == tls::ClientFault::no_agreement ||
                        session.fault() == tls::ClientFault::not_tls;
  return {.reason = session.reason(), .hopeless = hopeless};
}

void TlsStreams::end(std::uint32_t stream, bool was_cut) {
  Stream& self = streams_[stream];
  if (was_cut && self.opening != nullptr &&
      self.opening->session.state() == tls::SessionState::handshaking) {
    ++report_.failures[std::string{kCut}];
  }
  static_cast<void>(take_half(stream));
  record_failures_.erase(stream);
  self.opening.reset();
  self.has_layer = false;
  self.layer = tls::RecordLayer{};
  self.key.forget();
}

tls::HalfRecord TlsStreams::take_half(std::uint32_t stream) {
  if (!streams_[stream].has_half) return tls::HalfRecord{};
  streams_[stream].has_half = false;
  return std::move(halves_.extract(stream).mapped());
}

void TlsStreams::keep_half(std::uint32_t stream, tls::HalfRecord half) {
  streams_[stream].has_half = true;
  halves_.emplace(stream, std::move(half));
}

}  // namespace ringcast::load
