#pragma once

#include <cstdint>
#include <memory>

#include "ringcast/auth/audit.h"
#include "ringcast/auth/password_workers.h"
#include "ringcast/shard/policy.h"
#include "ringcast/shard/rate_table.h"
#include "ringcast/shard/shared_room.h"
#include "ringcast/shard/signed_out.h"
#include "ringcast/tls/record_cipher.h"

namespace ringcast::shard {

/// What a shard shares with others beside the exchange. All of it outlives them.
struct Services {
  std::shared_ptr<const Policy> policy;  ///< at start; see Shard::update
  RateTable& addresses;                  ///< client addresses
  RateTable& users;                      ///< user names
  SignedOut& signed_out;
  auth::PasswordDesk* passwords = nullptr;  ///< null: there is no sign-in by password
  auth::AuditSink* audit = nullptr;         ///< null: audit lines are not written
  std::uint64_t request_id_base = 0;        ///< random, so that IDs of two processes differ
  /// Of the shards that accept from the same sockets; null: nobody else does.
  SharedRoom* room = nullptr;
  /// Null: each shard has its own. For tests whose shards share a thread, and that watch it.
  tls::RecordCipher* record_cipher = nullptr;
};

/// The buckets of each entry of the two tables.
enum class AddressBucket : std::uint8_t { connect, login };
enum class UserBucket : std::uint8_t { publish, login };

}  // namespace ringcast::shard
