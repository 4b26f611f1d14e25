#include "secure_streams.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <new>
#include <string_view>
#include <utility>

#include <sys/mman.h>

#include "ringcast/base/assert.h"
#include "ringcast/base/bytes.h"

namespace ringcast::shard {
namespace {

// A client of a stream says `close_notify` and `KeyUpdate`; or it has sent another request.
constexpr std::size_t kIncomingRecordMax = 2048;

}  // namespace

Result<RecordLayerTable> RecordLayerTable::create(std::uint32_t size_max) {
  const std::size_t bytes = size_max * sizeof(tls::RecordLayer);
  void* const memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE,
                            MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) return system_error("cannot map the table of record layers", errno);
  if (madvise(memory, bytes, MADV_DONTDUMP) != 0) {
    const int reason = errno;
    munmap(memory, bytes);
    return system_error("cannot keep the secrets of TLS out of core dumps", reason);
  }
  return RecordLayerTable(static_cast<tls::RecordLayer*>(memory), size_max);
}

RecordLayerTable::RecordLayerTable(RecordLayerTable&& other) noexcept
    : layers_(std::exchange(other.layers_, nullptr)),
      size_max_(other.size_max_),
      used_end_(std::exchange(other.used_end_, 0)),
      free_(std::move(other.free_)) {}

RecordLayerTable::~RecordLayerTable() {
  if (layers_ == nullptr) return;
  std::destroy_n(layers_, used_end_);
  munmap(layers_, size_max_ * sizeof(tls::RecordLayer));
}

RecordLayerTable::Index RecordLayerTable::add(tls::RecordLayer layer) {
  if (free_.empty()) {
    RC_ASSERT(used_end_ < size_max_);
    new (&layers_[used_end_]) tls::RecordLayer(std::move(layer));
    return used_end_++;
  }
  const Index index = free_.back();
  free_.pop_back();
  layers_[index] = std::move(layer);
  return index;
}

void RecordLayerTable::remove(Index index) {
  layers_[index] = tls::RecordLayer();
  free_.push_back(index);
}

SecureStreams::SecureStreams(RecordLayerTable layers, tls::RecordCipher* watched,
                             Counters& counters)
    : own_cipher_(watched == nullptr ? std::make_unique<tls::RecordCipher>() : nullptr),
      cipher_(watched == nullptr ? *own_cipher_ : *watched),
      layers_(std::move(layers)),
      whole_(kIncomingRecordMax),
      counters_(counters) {}

SecureStreams::Handle SecureStreams::add(std::unique_ptr<tls::Session> session) {
  if (free_sessions_.empty()) {
    sessions_.push_back(std::move(session));
    return static_cast<Handle>(sessions_.size() - 1) | kSession;
  }
  const Handle index = free_sessions_.back();
  free_sessions_.pop_back();
  sessions_[index] = std::move(session);
  return index | kSession;
}

std::optional<SecureStreams::Taken> SecureStreams::take_over(std::unique_ptr<tls::Session> session,
                                                             StreamRecords records) {
  if (session->state() != tls::SessionState::open) return std::nullopt;
  if (records == StreamRecords::own) {
    used_cipher_ = true;
    if (auto handover = session->take_over(cipher_)) {
      counters_.streams_tls.add();
      return Taken{.handle = layers_.add(tls::RecordLayer(cipher_, handover->keys)),
                   .first = session->take_output(),
                   .half_record = std::move(handover->half_record)};
    }
    if (session->state() != tls::SessionState::open) return std::nullopt;
  }
  counters_.streams_tls_openssl.add();
  return Taken{.handle = add(std::move(session)), .first = {}, .half_record = {}};
}

void SecureStreams::remove(Handle handle) {
  if (handle == kNone) return;
  if ((handle & kSession) != 0) {
    sessions_[handle & ~kSession].reset();
    free_sessions_.push_back(handle & ~kSession);
    counters_.streams_tls_openssl.sub();
    return;
  }
  layers_.remove(handle);
  if (!halves_.empty()) halves_.erase(handle);
  counters_.streams_tls.sub();
}

std::size_t SecureStreams::take_output(tls::Session& session, std::span<std::byte> out) {
  const std::string sealed = session.take_output();
  // A record, and an answer of 27 bytes to each of 64 changes of the client's key at most.
  RC_ASSERT(sealed.size() <= out.size());
  std::memcpy(out.data(), sealed.data(), sealed.size());
  return sealed.size();
}

std::size_t SecureStreams::seal(Handle handle, std::span<const iovec> pieces,
                                std::span<std::byte> out) {
  if ((handle & kSession) == 0) {
    used_cipher_ = true;
    return layers_[handle].write(cipher_, pieces, out);
  }
  tls::Session& openssl = session(handle);
  plaintext_.clear();
  for (const iovec& piece : pieces) {
    plaintext_.append(static_cast<const char*>(piece.iov_base), piece.iov_len);
  }
  return openssl.write(plaintext_) ? take_output(openssl, out) : 0;
}

std::size_t SecureStreams::seal_end(Handle handle, tls::Alert alert, std::span<std::byte> out) {
  if ((handle & kSession) == 0) {
    used_cipher_ = true;
    return layers_[handle].write_alert(cipher_, alert, out);
  }
  tls::Session& openssl = session(handle);
  openssl.close();  // one that has failed has its alert in the output already
  return take_output(openssl, out);
}

SecureStreams::Heard SecureStreams::read(Handle handle, std::span<const std::byte> bytes,
                                         tls::Alert& answer) {
  answer = tls::Alert::close_notify;
  return (handle & kSession) == 0 ? read_records(handle, bytes, answer)
                                  : read_session(handle, bytes);
}

SecureStreams::Heard SecureStreams::read_records(Handle handle, std::span<const std::byte> bytes,
                                                 tls::Alert& answer) {
  using Kind = tls::Incoming::Kind;
  used_cipher_ = true;
  const auto kept = halves_.find(handle);
  tls::HalfRecord& half = kept == halves_.end() ? whole_ : kept->second;
  Heard heard = Heard::nothing;
  while (!bytes.empty() && (heard == Heard::nothing || heard == Heard::data)) {
    const tls::Incoming incoming = layers_[handle].read(cipher_, half, bytes);
    switch (incoming.kind) {
      case Kind::incomplete:
      case Kind::key_update:
        break;
      case Kind::application_data:
        heard = Heard::data;
        break;
      case Kind::handshake:
        heard = Heard::nonsense;
        answer = tls::Alert::unexpected_message;
        break;
      case Kind::refused:
        heard = Heard::nonsense;
        answer = incoming.alert;
        break;
      case Kind::close_notify:
        heard = Heard::end;
        break;
      case Kind::alert:
        heard = Heard::failure;
        break;
    }
  }
  if (kept == halves_.end()) {
    if (!whole_.empty()) {
      halves_.emplace(handle, std::exchange(whole_, tls::HalfRecord(kIncomingRecordMax)));
    }
  } else if (half.empty()) {
    halves_.erase(kept);
  }
  return heard;
}

SecureStreams::Heard SecureStreams::read_session(Handle handle, std::span<const std::byte> bytes) {
  tls::Session& openssl = session(handle);
  plaintext_.clear();
  switch (openssl.feed(as_text(bytes), plaintext_)) {
    case tls::SessionState::open:
      if (openssl.partial_bytes() > kIncomingRecordMax) return Heard::nonsense;
      return plaintext_.empty() ? Heard::nothing : Heard::data;
    case tls::SessionState::half_closed:
      return Heard::end;
    default:
      return openssl.fault() == tls::SessionFault::refused_by_client ? Heard::failure
                                                                     : Heard::nonsense;
  }
}

void SecureStreams::forget_keys() {
  if (!std::exchange(used_cipher_, false)) return;
  cipher_.forget();
}

}  // namespace ringcast::shard
