/// The record layer with OpenSSL's client at the other end: what that reads is what was written.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <random>

#include <gtest/gtest.h>

#include "ringcast/tls/record_layer.h"

#include "openssl_ends.h"
#include "record_peer.h"

namespace ringcast::tls {
namespace {

using namespace test;
using Kind = Incoming::Kind;

class WithOpenssl : public testing::TestWithParam<CipherSuite> {};
INSTANTIATE_TEST_SUITE_P(RecordLayer, WithOpenssl, testing::ValuesIn(kSuites), NameOfSuite());

TEST_P(WithOpenssl, GoesOnBehindTicketsRequestAndAnswer) {
  RecordCipher cipher;
  OpensslEnds ends(GetParam(), 2);
  ends.exchange("GET /events", "200");
  RecordLayer layer(cipher, ends.take_over(3, 1));
  EXPECT_EQ(ends.client_reads(write(layer, cipher, "an event"), SIZE_MAX), bytes_of("an event"));
  EXPECT_EQ(hear(layer, cipher, ends.client_writes(bytes_of("hello"))).data, bytes_of("hello"));
  EXPECT_FALSE(ends.client_failed());
}

TEST_P(WithOpenssl, WrongCountOfRecordsIsNoticedByTheClient) {
  RecordCipher cipher;
  OpensslEnds ends(GetParam(), 2);
  RecordLayer layer(cipher, ends.take_over(1, 0));
  EXPECT_TRUE(ends.client_reads(write(layer, cipher, "an event"), SIZE_MAX).empty());
  EXPECT_TRUE(ends.client_failed());
}

TEST_P(WithOpenssl, EachEndReadsWhatTheOtherWroteAcrossKeyUpdatesOfBoth) {
  RecordCipher cipher;
  OpensslEnds ends(GetParam(), 0);
  RecordLayer layer(cipher, ends.take_over(0, 0));
  std::minstd_rand random(7);
  const auto below = [&random](std::size_t bound) { return random() % bound; };
  const auto request = [&below] { return static_cast<UpdateRequest>(below(2)); };
  const Bytes log = some_bytes(60'000, 2);
  HalfRecord half;
  std::size_t updates = 0;

  for (int step = 0; step < 400; ++step) {
    const auto text = std::span(log).first(1 + below(below(10) == 0 ? 50'000 : 300));
    const std::size_t piece_bytes = 1 + below(2 * text.size());
    switch (below(6)) {
      case 0: {
        const Bytes record = key_update(layer, cipher, request());
        ASSERT_TRUE(ends.client_reads(record, piece_bytes).empty());
        break;
      }
      case 1:
        updates += hear(layer, cipher, ends.client_key_update(request()), piece_bytes).key_updates;
        break;
      case 2: {
        const auto sent = text.first(std::min<std::size_t>(text.size(), 16'384));
        const Heard heard = hear(layer, cipher, ends.client_writes(sent), piece_bytes);
        ASSERT_TRUE(std::equal(heard.data.begin(), heard.data.end(), sent.begin(), sent.end()));
        updates += heard.key_updates;  // its answer to our request
        break;
      }
      default: {
        const Bytes read = ends.client_reads(write(layer, cipher, text), piece_bytes);
        ASSERT_TRUE(std::equal(read.begin(), read.end(), text.begin(), text.end()));
      }
    }
    ASSERT_FALSE(ends.client_failed()) << "step " << step;
  }
  EXPECT_GT(updates, 20U);
}

TEST_P(WithOpenssl, TheClientsRequestForAKeyUpdateIsAnswered) {
  RecordCipher cipher;
  OpensslEnds ends(GetParam(), 0);
  RecordLayer layer(cipher, ends.take_over(0, 0));
  ASSERT_EQ(hear(layer, cipher, ends.client_key_update(UpdateRequest::requested)).key_updates, 1U);
  EXPECT_TRUE(layer.answer_due());
  const Bytes answer = write(layer, cipher, "x");
  EXPECT_EQ(answer.size(), 23 + kKeyUpdateRecordBytes);
  EXPECT_EQ(ends.client_reads(answer, 7), bytes_of("x"));
  EXPECT_EQ(hear(layer, cipher, ends.client_writes(bytes_of("y"))).data, bytes_of("y"));
}

TEST_P(WithOpenssl, TheClientAnswersOurRequestForAKeyUpdate) {
  RecordCipher cipher;
  OpensslEnds ends(GetParam(), 0);
  RecordLayer layer(cipher, ends.take_over(0, 0));
  const Bytes request = key_update(layer, cipher, UpdateRequest::requested);
  EXPECT_TRUE(ends.client_reads(request, SIZE_MAX).empty());
  const Heard heard = hear(layer, cipher, ends.client_writes(bytes_of("y")));
  EXPECT_EQ(heard.key_updates, 1U);
  EXPECT_EQ(heard.data, bytes_of("y"));
}

TEST_P(WithOpenssl, EachEndSeesTheOthersClose) {
  RecordCipher cipher;
  OpensslEnds ends(GetParam(), 0);
  RecordLayer layer(cipher, ends.take_over(0, 0));
  EXPECT_TRUE(ends.client_reads(alert(layer, cipher, Alert::close_notify), 4).empty());
  EXPECT_TRUE(ends.client_saw_close());
  EXPECT_FALSE(ends.client_failed());
  EXPECT_EQ(hear(layer, cipher, ends.client_close()).end, Kind::close_notify);
}

TEST_P(WithOpenssl, TheClientsAlertIsHeardWithItsReason) {
  RecordCipher cipher;
  OpensslEnds ends(GetParam(), 0);
  RecordLayer layer(cipher, ends.take_over(0, 0));
  Bytes record = write(layer, cipher, "an event");
  record.back() ^= std::byte{1};
  EXPECT_TRUE(ends.client_reads(record, SIZE_MAX).empty());
  EXPECT_TRUE(ends.client_failed());
  const Heard heard = hear(layer, cipher, ends.client_output());
  EXPECT_EQ(heard.end, Kind::alert);
  EXPECT_EQ(heard.alert, Alert::bad_record_mac);
}

}  // namespace
}  // namespace ringcast::tls
