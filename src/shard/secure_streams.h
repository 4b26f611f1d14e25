#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include <sys/uio.h>

#include "ringcast/base/result.h"
#include "ringcast/shard/counters.h"
#include "ringcast/shard/options.h"
#include "ringcast/tls/half_record.h"
#include "ringcast/tls/record_layer.h"
#include "ringcast/tls/session.h"

namespace ringcast::shard {

/// A table of record layers in memory of its own that core dumps leave out: 160 bytes for each
/// stream under TLS, touched where used. The last one given back is taken first.
class RecordLayerTable {
 public:
  using Index = std::uint32_t;

  [[nodiscard]] static Result<RecordLayerTable> create(std::uint32_t size_max);
  RecordLayerTable(RecordLayerTable&& other) noexcept;
  RecordLayerTable& operator=(RecordLayerTable&&) = delete;
  RecordLayerTable(const RecordLayerTable&) = delete;
  ~RecordLayerTable();

  [[nodiscard]] Index add(tls::RecordLayer layer);
  /// Wipes its secrets.
  void remove(Index index);
  [[nodiscard]] tls::RecordLayer& operator[](Index index) { return layers_[index]; }

 private:
  RecordLayerTable(tls::RecordLayer* layers, std::uint32_t size_max)
      : layers_(layers), size_max_(size_max) {}

  tls::RecordLayer* layers_;
  std::uint32_t size_max_;
  std::uint32_t used_end_ = 0;
  std::vector<Index> free_;
};

/// What the streams of a shard have because of TLS, behind 32-bit handles: a record layer of ours,
/// or the session of the handshake (TLS 1.2, clients that want short records, `record_layer =
/// "openssl"`). Of the shard's thread. docs/design/tls.md.
class SecureStreams {
 public:
  using Handle = std::uint32_t;
  static constexpr Handle kNone = 0xffff'ffff;

  /// Plaintext of one `seal`: that of one record.
  static constexpr std::size_t kPlaintextMax = tls::kPlaintextBytesMax;
  /// What one call that seals writes at most: beside the record, changes of keys that are due.
  static constexpr std::size_t kSealedMax = kPlaintextMax + 4096;

  /// `watched`: see Services::record_cipher.
  SecureStreams(RecordLayerTable layers, tls::RecordCipher* watched, Counters& counters);

  struct Taken {
    Handle handle = kNone;
    std::string first;        ///< to be sent before anything is sealed
    std::string half_record;  ///< to be read first
  };
  /// Goes on with a connection whose session is open, and of which all output was sent but for
  /// `first`. Nothing when the session has failed or is closed.
  [[nodiscard]] std::optional<Taken> take_over(std::unique_ptr<tls::Session> session,
                                               StreamRecords records);
  void remove(Handle handle);

  /// Encrypts `pieces` (1 to kPlaintextMax bytes) to the front of `out` (kSealedMax bytes) and
  /// returns how many bytes that makes. They are to be sent as they are, once, in the order in
  /// which they were sealed. 0: nothing can be said to the stream any more.
  [[nodiscard]] std::size_t seal(Handle handle, std::span<const iovec> pieces,
                                 std::span<std::byte> out);
  /// The last record: close_notify, or the alert for what was heard. 0 as above.
  [[nodiscard]] std::size_t seal_end(Handle handle, tls::Alert alert, std::span<std::byte> out);

  /// What a client said that has nothing to say.
  enum class Heard : std::uint8_t {
    nothing,  ///< or what only TLS itself has to know
    data,
    end,      ///< close_notify
    failure,  ///< it gave up: nothing is to be said to it any more (RFC 8446 section 6.2)
    nonsense,
  };
  /// `answer`: the alert for what ends the stream.
  [[nodiscard]] Heard read(Handle handle, std::span<const std::byte> bytes, tls::Alert& answer);

  /// Overwrites keys that the last records left behind. Before the shard may sleep.
  void forget_keys();

 private:
  static constexpr Handle kSession = 0x8000'0000;  // marks handles of sessions

  [[nodiscard]] tls::Session& session(Handle handle) { return *sessions_[handle & ~kSession]; }
  [[nodiscard]] Handle add(std::unique_ptr<tls::Session> session);
  [[nodiscard]] Heard read_records(Handle handle, std::span<const std::byte> bytes,
                                   tls::Alert& answer);
  [[nodiscard]] Heard read_session(Handle handle, std::span<const std::byte> bytes);
  [[nodiscard]] static std::size_t take_output(tls::Session& session, std::span<std::byte> out);

  std::unique_ptr<tls::RecordCipher> own_cipher_;
  tls::RecordCipher& cipher_;
  bool used_cipher_ = false;
  RecordLayerTable layers_;
  std::vector<std::unique_ptr<tls::Session>> sessions_;
  std::vector<std::uint32_t> free_sessions_;
  /// Of those who have sent the beginning of a record and not its end.
  std::unordered_map<Handle, tls::HalfRecord> halves_;
  tls::HalfRecord whole_;  // empty but while a record is read
  std::string plaintext_;  // scratch
  Counters& counters_;
};

}  // namespace ringcast::shard
