/// The property on which everything rests: under one key, no nonce is used twice, whatever happens.

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <random>
#include <string>
#include <unordered_set>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "ringcast/tls/record_layer.h"

#include "record_peer.h"

namespace ringcast::tls {
namespace {

using namespace test;

/// Remembers each (suite, key, nonce) that anything is sealed with, and fails when it is told to.
class WatchedCipher : public RecordCipher {
 public:
  bool seal(const RecordKey& key, ContentType type, Pieces& content, std::size_t bytes,
            std::span<std::byte> record) override {
    std::string used(1, static_cast<char>(static_cast<unsigned>(key.suite) & 0xff));
    used.append(reinterpret_cast<const char*>(key.key.data()), key.key.size());
    used.append(reinterpret_cast<const char*>(key.nonce.data()), key.nonce.size());
    if (!used_.insert(used).second) ++repeated_;
    if (fails()) {
      // It may have come to nothing, or have written all but said no.
      if (bytes % 2 == 0) static_cast<void>(RecordCipher::seal(key, type, content, bytes, record));
      return false;
    }
    return RecordCipher::seal(key, type, content, bytes, record);
  }

  bool expand_label(CipherSuite suite, std::span<const std::byte> secret, std::string_view label,
                    std::span<std::byte> out) override {
    return !fails() && RecordCipher::expand_label(suite, secret, label, out);
  }

  /// The call that is `calls` calls away fails, once.
  void fail_after(std::size_t calls) { fails_in_ = calls + 1; }
  void fail_no_more() { fails_in_ = 0; }

  [[nodiscard]] std::size_t sealed() const { return used_.size(); }
  [[nodiscard]] std::size_t repeated() const { return repeated_; }

 private:
  bool fails() { return fails_in_ > 0 && --fails_in_ == 0; }

  std::unordered_set<std::string> used_;
  std::size_t repeated_ = 0;
  std::size_t fails_in_ = 0;
};

/// A few connections of one shard, each with the peer that reads what it is sent.
class Shard {
 public:
  explicit Shard(std::uint32_t seed)
      : random_(seed), scratch_(200'000), log_(some_bytes(70'000, 1)) {
    for (Connection& connection : connections_) open(connection);
  }

  void step() {
    Connection& connection = connections_[below(connections_.size())];
    if (!connection.ours.writable() && below(4) == 0) open(connection);
    switch (below(24)) {
      case 0:
        open(connection);  // a reconnect
        break;
      case 1:
        if (connection.theirs.writable())
          connection.back = key_update(connection.theirs, cipher_, request());
        hear_back(connection);
        break;
      case 2:
        send(connection, connection.ours.write_key_update(cipher_, request(), room()), {});
        break;
      case 3:
        send(connection, connection.ours.write_alert(cipher_, Alert::close_notify, room()), {});
        break;
      case 4:
        // Moved about in the table of its shard.
        std::swap(connection, connections_[below(connections_.size())]);
        break;
      case 5:
        cipher_.fail_after(below(6));
        break;
      case 6:
        // The log wraps beneath a blocked stream: what was sealed stays as it was.
        std::fill_n(log_.begin(), 40'000, static_cast<std::byte>(below(256)));
        break;
      case 7:
        connection.back = write(connection.theirs, cipher_, "a client that talks");
        hear_back(connection);
        break;
      default:
        write_events(connection);
    }
  }

  [[nodiscard]] const WatchedCipher& cipher() const { return cipher_; }
  [[nodiscard]] std::size_t delivered() const { return delivered_; }
  [[nodiscard]] std::size_t updates() const { return updates_; }
  [[nodiscard]] std::size_t broken() const { return broken_; }

 private:
  struct Connection {
    RecordLayer ours;
    RecordLayer theirs;
    Bytes back;
  };

  std::size_t below(std::size_t bound) { return random_() % bound; }
  UpdateRequest request() { return static_cast<UpdateRequest>(below(2)); }
  /// Mostly enough; a scratch area that is nearly full otherwise.
  std::span<std::byte> room() {
    return below(4) > 0 ? std::span(scratch_) : std::span(scratch_).first(below(400));
  }

  void open(Connection& connection) {
    // Secrets are never the same again, but every connection has all kinds of beginnings.
    Takeover taken = takeover(kSuites[below(kSuites.size())], ++secrets_);
    if (below(2) == 0) taken.write.sequence = kRecordsPerKey - 1 - below(6);
    if (below(2) == 0) taken.read.sequence = kRecordsPerKey - 1 - below(6);
    cipher_.fail_no_more();
    connection = {.ours = RecordLayer(cipher_, taken),
                  .theirs = RecordLayer(cipher_, other_end(taken)),
                  .back = {}};
  }

  void write_events(Connection& connection) {
    std::vector<iovec> pieces;
    Bytes expected;
    const std::size_t large = below(8) == 0 ? 20'000 : 300;
    for (std::size_t count = 1 + below(3); count > 0; --count) {
      const auto piece = std::span(log_).subspan(below(40'000), below(large));
      pieces.push_back(piece_of(piece));
      expected.insert(expected.end(), piece.begin(), piece.end());
    }
    const bool writable = connection.ours.writable();
    const auto out = room();
    const std::size_t need = connection.ours.bytes_for(expected.size());
    const std::size_t written = connection.ours.write(cipher_, pieces, out);
    if (written == 0) {
      if (writable && !expected.empty() && need <= out.size()) {
        ASSERT_FALSE(connection.ours.writable());
        ++broken_;
      }
      expected.clear();
    } else {
      ASSERT_TRUE(writable);
      ASSERT_EQ(written, need);
    }
    send(connection, written, expected);
  }

  /// The socket takes it in pieces, or the connection ends before it has.
  void send(Connection& connection, std::size_t written, const Bytes& expected) {
    if (written == 0) return;
    Bytes wire(scratch_.begin(), scratch_.begin() + static_cast<std::ptrdiff_t>(written));
    std::fill_n(scratch_.begin(), written, std::byte{0});
    if (below(20) == 0) {
      open(connection);
      return;
    }
    // Failures are for what is sealed here, not for how the peer reads it.
    cipher_.fail_no_more();
    const Heard heard = hear(connection.theirs, cipher_, wire, 1 + below(2 * written));
    ASSERT_NE(heard.end, Incoming::Kind::refused);
    ASSERT_EQ(heard.data, expected);
    ++delivered_;
    updates_ += heard.key_updates;
    // The peer answers what it was asked before it talks; it must not refuse us for asking often.
    if (connection.theirs.answer_due() || below(4) == 0) {
      connection.back = write(connection.theirs, cipher_, "x");
      hear_back(connection);
    }
  }

  void hear_back(Connection& connection) {
    cipher_.fail_no_more();
    static_cast<void>(hear(connection.ours, cipher_, connection.back, 1 + below(60)));
    connection.back.clear();
  }

  std::minstd_rand random_;
  WatchedCipher cipher_;
  std::array<Connection, 4> connections_;
  Bytes scratch_;
  Bytes log_;
  std::uint32_t secrets_ = 0;
  std::size_t delivered_ = 0;
  std::size_t updates_ = 0;
  std::size_t broken_ = 0;
};

TEST(RecordLayerNonces, NoneIsUsedTwiceUnderOneKey) {
  std::size_t sealed = 0;
  std::size_t delivered = 0;
  std::size_t updates = 0;
  std::size_t broken = 0;
  for (std::uint32_t seed = 1; seed <= 20; ++seed) {
    Shard shard(seed);
    for (int i = 0; i < 1500 && !testing::Test::HasFatalFailure(); ++i) shard.step();
    ASSERT_FALSE(testing::Test::HasFatalFailure()) << "seed " << seed;
    ASSERT_EQ(shard.cipher().repeated(), 0U) << "seed " << seed;
    sealed += shard.cipher().sealed();
    delivered += shard.delivered();
    updates += shard.updates();
    broken += shard.broken();
  }
  // It did happen: records, changes of keys and failures.
  EXPECT_GT(sealed, 20'000U);
  EXPECT_GT(delivered, 10'000U);
  EXPECT_GT(updates, 1'000U);
  EXPECT_GT(broken, 100U);
}

TEST(RecordLayerNonces, AFailureEndsTheWritingInsteadOfTryingAgain) {
  for (std::size_t call = 0; call < 5; ++call) {
    WatchedCipher cipher;
    Takeover taken = takeover(CipherSuite::aes_128_gcm_sha256);
    taken.write.sequence = kRecordsPerKey - 1;  // a KeyUpdate, three derivations, the data
    RecordLayer layer(cipher, taken);
    ASSERT_TRUE(layer.writable());
    cipher.fail_after(call);
    EXPECT_TRUE(write(layer, cipher, "text").empty());
    EXPECT_FALSE(layer.writable());
    const std::size_t sealed = cipher.sealed();
    EXPECT_TRUE(write(layer, cipher, "text").empty());
    EXPECT_TRUE(alert(layer, cipher, Alert::internal_error).empty());
    EXPECT_EQ(cipher.sealed(), sealed);
    EXPECT_EQ(cipher.repeated(), 0U);
  }
}

TEST(RecordLayerNonces, ALayerWhoseKeyCannotBeDerivedWritesNothing) {
  for (std::size_t call = 0; call < 2; ++call) {
    WatchedCipher cipher;
    cipher.fail_after(call);
    RecordLayer layer(cipher, takeover(CipherSuite::aes_256_gcm_sha384));
    EXPECT_FALSE(layer.writable());
    EXPECT_TRUE(write(layer, cipher, "text").empty());
    EXPECT_EQ(cipher.sealed(), 0U);
  }
}

TEST(RecordLayerNonces, AKeyThatCannotBeDerivedForReadingEndsTheReading) {
  WatchedCipher cipher;
  const Takeover taken = takeover(CipherSuite::aes_256_gcm_sha384);
  RecordLayer layer(cipher, taken);
  RecordPeer peer(taken.suite, taken.read);
  cipher.fail_after(1);
  const Heard heard = hear(layer, cipher, peer.data("text"));
  EXPECT_EQ(heard.end, Incoming::Kind::refused);
  EXPECT_EQ(heard.alert, Alert::internal_error);
}

}  // namespace
}  // namespace ringcast::tls
