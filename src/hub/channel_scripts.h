#pragma once

#include <cstdint>
#include <string_view>

namespace ringcast::hub {

// The scripts of the channel. Each runs in Redis as one step, so what it checks holds until it has
// written. Epochs and numbers stay below 2^53, so that Lua's numbers are exact.
//
//   lease   instance:epoch    the epoch that the takeover began: no two takeovers, not even of one
//                             instance, have the same lease, so a command that was sent under an
//                             earlier one is known and refused

inline constexpr std::uint64_t kLeaseMs = 3'000;
/// Answer of an append for an epoch that is so old that its count was pruned: all of it is done.
inline constexpr std::uint64_t kWholeEpoch = (std::uint64_t{1} << 53) - 1;

// Begins an epoch: greater than every one before, also when Redis lost `epoch` or its clock was set
// back, and said on the marks channel in the same step. Forgets how far old epochs were relayed but
// for the newest 64, and remembers up to where it forgot: messages of those are never added again.
// Locals: KEYS[2] epoch, KEYS[3] relayed, `marks`.
#define RINGCAST_BEGIN_EPOCH                                                            \
  "local time = redis.call('TIME')\n"                                                   \
  "local epoch = time[1] * 1000 + math.floor(time[2] / 1000)\n"                         \
  "epoch = math.max(epoch, (tonumber(redis.call('GET', KEYS[2]) or 0) or 0) + 1)\n"     \
  "local known = {}\n"                                                                  \
  "for _, field in ipairs(redis.call('HKEYS', KEYS[3])) do\n"                           \
  "  local number = tonumber(field)\n"                                                  \
  "  if number then\n"                                                                  \
  "    known[#known + 1] = number\n"                                                    \
  "    epoch = math.max(epoch, number + 1)\n"                                           \
  "  end\n"                                                                             \
  "end\n"                                                                               \
  "if #known > 64 then\n"                                                               \
  "  table.sort(known)\n"                                                               \
  "  for i = 1, #known - 64 do\n"                                                       \
  "    redis.call('HDEL', KEYS[3], string.format('%.0f', known[i]))\n"                  \
  "  end\n"                                                                             \
  "  redis.call('HSET', KEYS[3], 'floor', string.format('%.0f', known[#known - 64]))\n" \
  "end\n"                                                                               \
  "epoch = string.format('%.0f', epoch)\n"                                              \
  "redis.call('SET', KEYS[2], epoch)\n"                                                 \
  "redis.call('PUBLISH', marks, 'epoch ' .. epoch)\n"

/// Takes or renews the lease. One holder at a time; a takeover begins an epoch in the same step, so
/// that no message has a number of the old epoch here and of the new one there.
/// KEYS relay, epoch, relayed. ARGV instance, milliseconds, marks.
/// Returns {mine, newly taken, epoch of the takeover}.
inline constexpr std::string_view kLeaseScript =
    "local marks = ARGV[3]\n"
    "local held = redis.call('GET', KEYS[1])\n"
    "if held then\n"
    "  local instance, taken = string.match(held, '^(%x+):(%d+)$')\n"
    "  if instance ~= ARGV[1] then return {0, 0, '0'} end\n"
    "  redis.call('PEXPIRE', KEYS[1], ARGV[2])\n"
    "  return {1, 0, taken}\n"
    "end\n" RINGCAST_BEGIN_EPOCH
    "redis.call('SET', KEYS[1], ARGV[1] .. ':' .. epoch, 'PX', ARGV[2])\n"
    "return {1, 1, epoch}\n";

/// Begins an epoch for a newcomer. Only under the lease: marks come from one instance, which limits
/// their rate.
/// KEYS relay, epoch, relayed. ARGV lease, marks. Returns whether it did.
inline constexpr std::string_view kMarkScript =
    "local marks = ARGV[2]\n"
    "if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end\n" RINGCAST_BEGIN_EPOCH
    "return 1\n";

#undef RINGCAST_BEGIN_EPOCH

/// Gives the lease back and says so; never that of another, nor a later one of the same instance.
/// KEYS relay. ARGV lease, marks. Returns whether it did.
inline constexpr std::string_view kReleaseScript =
    "if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end\n"
    "redis.call('DEL', KEYS[1])\n"
    "redis.call('PUBLISH', ARGV[2], 'free')\n"
    "return 1\n";

/// Appends messages with consecutive numbers. Each number at most once, whoever sends it and
/// however often: what is at or below `relayed` is skipped. None is passed over (`hole`), unless
/// the sender says that it may be. With a lease: nothing if it is not the one that is held
/// (`fenced`). `relayed` tells the truth even if an XADD fails half-way. KEYS relay, relayed,
/// stream. ARGV lease or '' (strict), '1' if holes are allowed, MAXLEN, epoch, first number, then
/// for each message the count of its fields and values (0: no event, its number is passed over),
/// and these. Returns {added, relayed} or {0, relayed, 'fenced' or 'hole'}.
inline constexpr std::string_view kAppendScript =
    "if ARGV[1] ~= '' and redis.call('GET', KEYS[1]) ~= ARGV[1] then\n"
    "  return {0, '0', 'fenced'}\n"
    "end\n"
    "local epoch, number = ARGV[4], tonumber(ARGV[5])\n"
    "local before = redis.call('HGET', KEYS[2], epoch)\n"
    "local floor = redis.call('HGET', KEYS[2], 'floor')\n"
    "if floor and tonumber(epoch) <= tonumber(floor) then\n"
    "  return {0, '9007199254740991'}\n"
    "end\n"
    "local relayed = tonumber(before or 0)\n"
    "before = relayed\n"
    "if number > relayed + 1 and ARGV[2] ~= '1' then\n"
    "  return {0, string.format('%.0f', relayed), 'hole'}\n"
    "end\n"
    "local added, failed, at = 0, nil, 6\n"
    "while at <= #ARGV do\n"
    "  local fields = tonumber(ARGV[at])\n"
    "  if number > relayed then\n"
    "    if fields > 0 then\n"
    "      local reply = redis.pcall('XADD', KEYS[3], 'MAXLEN', '~', ARGV[3], '*',\n"
    "        'c', epoch .. ':' .. string.format('%.0f', number),\n"
    "        unpack(ARGV, at + 1, at + fields))\n"
    "      if type(reply) == 'table' and reply.err then failed = reply break end\n"
    "      added = added + 1\n"
    "    end\n"
    "    relayed = number\n"
    "  end\n"
    "  at = at + 1 + fields\n"
    "  number = number + 1\n"
    "end\n"
    "if relayed > before then\n"
    "  redis.call('HSET', KEYS[2], epoch, string.format('%.0f', relayed))\n"
    "elseif failed then\n"
    "  return failed\n"
    "end\n"
    "return {added, string.format('%.0f', relayed)}\n";

}  // namespace ringcast::hub
