#include "secure_streams.h"

#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "ringcast/tls/session.h"

#include "tls_client.h"

namespace ringcast::shard {
namespace {

using tls::test::TlsClient;
using Heard = SecureStreams::Heard;

RecordLayerTable table(std::uint32_t size_max = 16) {
  auto created = RecordLayerTable::create(size_max);
  EXPECT_TRUE(created) << created.error().message;
  return std::move(created).value();
}

tls::Takeover keys(char fill) {
  tls::Takeover takeover;
  for (tls::TrafficSecret* const secret : {&takeover.write, &takeover.read}) {
    secret->size = 32;
    secret->bytes.fill(static_cast<std::byte>(fill));
  }
  return takeover;
}

std::string_view memory_of(const tls::RecordLayer& layer) {
  return {reinterpret_cast<const char*>(&layer), sizeof layer};
}

TEST(RecordLayerTable, WipesWhatIsRemoved) {
  tls::RecordCipher cipher;
  RecordLayerTable layers = table();
  const auto index = layers.add(tls::RecordLayer(cipher, keys('s')));
  ASSERT_NE(memory_of(layers[index]).find(std::string(32, 's')), std::string_view::npos);
  layers.remove(index);
  EXPECT_EQ(memory_of(layers[index]).find("ssss"), std::string_view::npos);
  EXPECT_EQ(memory_of(layers[index]), memory_of(tls::RecordLayer()));
}

TEST(RecordLayerTable, TakesTheLastRemovedPlaceFirst) {
  tls::RecordCipher cipher;
  RecordLayerTable layers = table();
  const auto first = layers.add(tls::RecordLayer(cipher, keys('a')));
  const auto second = layers.add(tls::RecordLayer(cipher, keys('b')));
  EXPECT_NE(first, second);
  layers.remove(first);
  layers.remove(second);
  EXPECT_EQ(layers.add(tls::RecordLayer(cipher, keys('c'))), second);
  EXPECT_EQ(layers.add(tls::RecordLayer(cipher, keys('d'))), first);
  EXPECT_TRUE(layers[first].writable());
}

TEST(RecordLayerTable, IsNotInCoreDumps) {
  tls::RecordCipher cipher;
  RecordLayerTable layers = table(4096);
  const auto index = layers.add(tls::RecordLayer(cipher, keys('a')));
  const auto address = reinterpret_cast<std::uintptr_t>(&layers[index]);
  std::ifstream maps("/proc/self/smaps");
  bool inside = false;
  for (std::string line; std::getline(maps, line);) {
    std::uintptr_t from = 0;
    std::uintptr_t to = 0;
    if (std::sscanf(line.c_str(), "%lx-%lx ", &from, &to) == 2) {
      inside = from <= address && address < to;
    } else if (inside && line.starts_with("VmFlags:")) {
      EXPECT_NE(line.find(" dd"), std::string::npos) << line;  // proc(5): do not include in dump
      return;
    }
  }
  FAIL() << "the mapping was not found";
}

/// A client that has shaken hands with us, and what goes on with its connection.
class SecureStreamsOf : public testing::TestWithParam<StreamRecords> {
 protected:
  std::string seal(std::string_view text) {
    const iovec piece{.iov_base = const_cast<char*>(text.data()), .iov_len = text.size()};
    return taken(streams_.seal(handle_, {&piece, 1}, out_));
  }
  std::string seal_end(tls::Alert alert) { return taken(streams_.seal_end(handle_, alert, out_)); }
  SecureStreams::Heard read(std::string_view records) {
    return streams_.read(handle_, std::as_bytes(std::span(records)), answer_);
  }
  void open() {
    client_ = std::make_unique<TlsClient>();
    auto session = std::make_unique<tls::Session>(tls::test::common_context());
    (void)converse(*client_, *session);
    ASSERT_TRUE(client_->connected()) << client_->failure();
    auto taken = streams_.take_over(std::move(session), GetParam());
    ASSERT_TRUE(taken.has_value());
    client_->feed(taken->first);
    handle_ = taken->handle;
  }
  std::string taken(std::size_t bytes) {
    return {reinterpret_cast<const char*>(out_.data()), bytes};
  }

  Counters counters_;
  SecureStreams streams_{table(), nullptr, counters_};
  SecureStreams::Handle handle_ = SecureStreams::kNone;
  tls::Alert answer_{};
  std::unique_ptr<TlsClient> client_;
  std::vector<std::byte> out_ = std::vector<std::byte>(SecureStreams::kSealedMax);
};

INSTANTIATE_TEST_SUITE_P(Records, SecureStreamsOf,
                         testing::Values(StreamRecords::own, StreamRecords::openssl),
                         [](const auto& each) {
                           return each.param == StreamRecords::own ? "own" : "openssl";
                         });

TEST_P(SecureStreamsOf, SayWhatTheClientReads) {
  open();
  const std::string longest(SecureStreams::kPlaintextMax, 'x');
  for (const std::string& text : {std::string("a"), std::string(500, 'b'), longest}) {
    client_->feed(seal(text));
    EXPECT_EQ(client_->take_plaintext(), text);
  }
}

TEST_P(SecureStreamsOf, CountThemselvesUntilTheyAreRemoved) {
  open();
  const bool own = GetParam() == StreamRecords::own;
  EXPECT_EQ(counters_.streams_tls.get(), own ? 1u : 0u);
  EXPECT_EQ(counters_.streams_tls_openssl.get(), own ? 0u : 1u);
  const SecureStreams::Handle before = handle_;
  streams_.remove(handle_);
  EXPECT_EQ(counters_.streams_tls.get() + counters_.streams_tls_openssl.get(), 0u);
  open();
  EXPECT_EQ(handle_, before);
}

TEST_P(SecureStreamsOf, FollowChangesOfTheKeyOfBothSides) {
  open();
  for (int i = 0; i < 100; ++i) {
    client_->key_update(i % 2 == 0 ? SSL_KEY_UPDATE_REQUESTED : SSL_KEY_UPDATE_NOT_REQUESTED);
    client_->write({});
    ASSERT_EQ(read(client_->take_output()), Heard::nothing);
    if (i % 7 != 0) continue;
    client_->feed(seal("still here"));
    ASSERT_EQ(client_->take_plaintext(), "still here") << i;
    if (i == 56) break;  // OpenSSL's session follows 64 in all
  }
  EXPECT_FALSE(client_->failed()) << client_->failure();
}

TEST_P(SecureStreamsOf, HearTheEndInAnyPieces) {
  open();
  client_->close();
  const std::string record = client_->take_output();
  for (std::size_t i = 0; i + 1 < record.size(); ++i) {
    ASSERT_EQ(read(record.substr(i, 1)), Heard::nothing) << i;
  }
  EXPECT_EQ(read(record.substr(record.size() - 1)), Heard::end);
  client_->feed(seal_end(answer_));
  EXPECT_TRUE(client_->closed());
  EXPECT_EQ(seal("more"), "");
}

TEST_P(SecureStreamsOf, EndWithCloseNotify) {
  open();
  client_->feed(seal("bye"));
  client_->feed(seal_end(tls::Alert::close_notify));
  EXPECT_EQ(client_->take_plaintext(), "bye");
  EXPECT_TRUE(client_->closed());
  EXPECT_FALSE(client_->failed());
}

TEST_P(SecureStreamsOf, TellOfDataWithoutKeepingIt) {
  open();
  client_->write("GET / HTTP/1.1\r\n\r\n");
  EXPECT_EQ(read(client_->take_output()), Heard::data);
}

TEST_P(SecureStreamsOf, AnswerABrokenRecordWithAnAlert) {
  open();
  client_->close();
  std::string record = client_->take_output();
  record.back() = static_cast<char>(record.back() ^ 1);
  EXPECT_EQ(read(record), Heard::nonsense);
  client_->feed(seal_end(answer_));
  EXPECT_TRUE(client_->failed());
  EXPECT_NE(client_->failure().find("bad record mac"), std::string::npos) << client_->failure();
}

TEST_P(SecureStreamsOf, AreNotMadeOfASessionThatHasEnded) {
  client_ = std::make_unique<TlsClient>();
  auto session = std::make_unique<tls::Session>(tls::test::common_context());
  (void)converse(*client_, *session);
  client_->close();
  (void)converse(*client_, *session);
  EXPECT_FALSE(streams_.take_over(std::move(session), GetParam()).has_value());
  EXPECT_FALSE(
      streams_.take_over(std::make_unique<tls::Session>(tls::test::common_context()), GetParam())
          .has_value());
  EXPECT_EQ(counters_.streams_tls.get() + counters_.streams_tls_openssl.get(), 0u);
}

TEST_P(SecureStreamsOf, KeepLittleOfARecordThatDoesNotEnd) {
  open();
  client_->write(std::string(4096, 'x'));
  const std::string record = client_->take_output();
  // Our layer knows by the header alone; nothing of the body is waited for.
  const std::size_t arrives = GetParam() == StreamRecords::own ? 5 : 2100;
  EXPECT_EQ(read(std::string_view(record).substr(0, arrives)), Heard::nonsense);
}

TEST_P(SecureStreamsOf, SayNothingToAClientThatGaveUp) {
  open();
  // A record that it cannot read: it says so, and that is the end.
  client_->feed(std::string("\x17\x03\x03\x00\x20", 5) + std::string(32, 'x'));
  ASSERT_TRUE(client_->failed());
  EXPECT_EQ(read(client_->take_output()), Heard::failure);
}

}  // namespace
}  // namespace ringcast::shard
