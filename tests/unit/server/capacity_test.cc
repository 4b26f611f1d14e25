#include "capacity.h"

#include <string>

#include <gtest/gtest.h>

#include "ringcast/shard/options.h"

namespace ringcast::server {
namespace {

using uring::Descriptors;

constexpr std::uint32_t kLimit = 20'000;

config::Config options(std::uint32_t streams_per_shard = 0, std::size_t listeners = 1) {
  config::Config made;
  made.server.streams_per_shard = streams_per_shard;
  made.server.listen.resize(listeners, made.server.listen.front());
  return made;
}

Capacity planned(const config::Config& config, std::uint32_t shards, Descriptors descriptors,
                 std::uint32_t limit = kLimit) {
  const auto plan = plan_capacity(config, shards, descriptors, limit);
  if (plan) return plan.value();
  ADD_FAILURE() << plan.error().message;
  return {};
}

std::string refusal(const config::Config& config, std::uint32_t shards, Descriptors descriptors,
                    std::uint32_t limit = kLimit) {
  const auto plan = plan_capacity(config, shards, descriptors, limit);
  return plan ? "accepted: " + plan.value().description : plan.error().message;
}

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

TEST(Capacity, EachShardHasAllDirectDescriptors) {
  for (const std::uint32_t shards : {1u, 2u, 53u}) {
    const Capacity capacity = planned(options(), shards, Descriptors::direct);
    EXPECT_EQ(capacity.slots, kLimit) << shards;
    EXPECT_EQ(capacity.streams_max, kLimit - shard::slots_in_reserve(kLimit)) << shards;
  }
}

TEST(Capacity, ShardsShareOrdinaryDescriptors) {
  for (const std::uint32_t shards : {1u, 2u, 16u}) {
    const Capacity capacity = planned(options(), shards, Descriptors::ordinary);
    EXPECT_LT(capacity.slots * shards, kLimit) << "the process needs some for itself";
    EXPECT_GT(capacity.slots * shards, kLimit - 128 - shards * 8 - shards) << "and not many";
    EXPECT_EQ(capacity.streams_max, capacity.slots - shard::slots_in_reserve(capacity.slots));
  }
}

TEST(Capacity, ListenersCostOrdinaryDescriptors) {
  const Capacity one = planned(options(0, 1), 2, Descriptors::ordinary);
  const Capacity ten = planned(options(0, 10), 2, Descriptors::ordinary);
  EXPECT_EQ(one.slots - ten.slots, 9u) << "one for each listener and shard";
  config::Config tls = options(0, 1);
  tls.tls.listen.resize(9, tls.server.listen.front());
  EXPECT_EQ(planned(tls, 2, Descriptors::ordinary).slots, ten.slots) << "whatever they speak";
}

TEST(Capacity, DirectDescriptorsAreBoundedByTheKernelsTable) {
  const Capacity capacity = planned(options(), 1, Descriptors::direct, 1u << 30);
  EXPECT_EQ(capacity.slots, 1u << 20);
}

TEST(Capacity, StreamsThatAreAskedForGetAReserveBeside) {
  for (const auto descriptors : {Descriptors::direct, Descriptors::ordinary}) {
    const Capacity capacity = planned(options(1000), 2, descriptors);
    EXPECT_EQ(capacity.streams_max, 1000u);
    EXPECT_EQ(capacity.slots, 1000 + shard::slots_in_reserve(1000));
  }
}

TEST(Capacity, ExactlyWhatFitsIsAcceptedAndOneMoreIsRefused) {
  for (const auto descriptors : {Descriptors::direct, Descriptors::ordinary}) {
    const std::uint32_t slots = planned(options(), 2, descriptors).slots;
    std::uint32_t most = 0;
    for (std::uint32_t streams = 1; streams <= slots; ++streams) {
      if (streams + shard::slots_in_reserve(streams) <= slots) most = streams;
    }
    EXPECT_EQ(planned(options(most), 2, descriptors).streams_max, most);
    const std::string message = refusal(options(most + 1), 2, descriptors);
    EXPECT_TRUE(contains(message, "server.streams_per_shard is " + std::to_string(most + 1)))
        << message;
    EXPECT_TRUE(contains(message, "RLIMIT_NOFILE")) << message;
    EXPECT_TRUE(contains(message, "20000")) << message;
  }
}

TEST(Capacity, NumberThatTheRefusalOffersIsAccepted) {
  for (const std::uint32_t limit : {400u, 1024u, 4096u, 20'000u, 1'000'000u}) {
    for (const auto descriptors : {Descriptors::direct, Descriptors::ordinary}) {
      const std::string message = refusal(options(2'000'000), 2, descriptors, limit);
      const std::string before = "leaves room for ";
      const std::size_t at = message.find(before);
      ASSERT_NE(at, std::string::npos) << message;
      const auto offered =
          static_cast<std::uint32_t>(std::stoul(message.substr(at + before.size())));
      EXPECT_EQ(planned(options(offered), 2, descriptors, limit).streams_max, offered);
    }
  }
}

TEST(Capacity, TooFewDescriptorsAreRefusedWithWhatToChange) {
  for (const auto& [descriptors, limit] :
       {std::pair{Descriptors::direct, 32u}, std::pair{Descriptors::direct, 140u},
        std::pair{Descriptors::ordinary, 32u}, std::pair{Descriptors::ordinary, 300u}}) {
    const std::string message = refusal(options(), 8, descriptors, limit);
    EXPECT_TRUE(contains(message, "too few file descriptors for 8 shards")) << message;
    EXPECT_TRUE(contains(message, std::to_string(limit))) << message;
    EXPECT_TRUE(contains(message, "ulimit -n")) << message;
  }
}

TEST(Capacity, DescriptionSaysHowManyInAllAndWhatBoundsThem) {
  EXPECT_EQ(planned(options(1000), 2, Descriptors::direct).description,
            "room for 2000 streams: 2 shards of 1000 on direct descriptors (RLIMIT_NOFILE for each "
            "shard is 20000)");
  EXPECT_EQ(planned(options(1000), 1, Descriptors::ordinary).description,
            "room for 1000 streams: 1 shard of 1000 on ordinary descriptors (RLIMIT_NOFILE for all "
            "shards together is 20000)");
}

TEST(Capacity, PlanNeverExceedsItsLimits) {
  for (std::uint32_t limit = 64; limit < 3'000'000; limit = limit * 3 / 2) {
    for (std::uint32_t shards = 1; shards <= 128; shards *= 2) {
      for (const std::uint32_t streams : {0u, 1u, 100u, 10'000u, 900'000u}) {
        for (const auto descriptors : {Descriptors::direct, Descriptors::ordinary}) {
          const auto plan = plan_capacity(options(streams, 2), shards, descriptors, limit);
          if (!plan) continue;
          const Capacity& capacity = plan.value();
          const std::uint64_t in_all = std::uint64_t{capacity.slots} * shards;
          ASSERT_GT(capacity.streams_max, 0u);
          ASSERT_GE(capacity.slots,
                    capacity.streams_max + shard::slots_in_reserve(capacity.streams_max));
          if (descriptors == Descriptors::direct) {
            ASSERT_LE(capacity.slots, std::min(limit, 1u << 20));
          } else {
            ASSERT_LE(in_all + 128 + shards * 2, limit);
          }
        }
      }
    }
  }
}

}  // namespace
}  // namespace ringcast::server
