#pragma once

#include "ringcast/base/counter.h"

namespace ringcast::shard {

/// What a shard counts. The shard's thread writes, any thread reads.
struct alignas(64) Counters {
  Counter connections_accepted;
  Counter connections_open;  ///< gauge: request phase, streams and those being closed
  Counter slots_used;        ///< gauge: of slots_max, armed accepts included
  Counter slots_max;
  Counter accept_errors;
  Counter requests;
  Counter responses_4xx;
  Counter responses_5xx;
  Counter streams_open;  ///< gauge
  Counter streams_max;
  Counter streams_opened;
  Counter streams_resumed;
  Counter streams_refused;  ///< over a limit
  Counter streams_ended_by_peer;
  Counter streams_ended_slow;
  Counter streams_ended_drain;
  Counter streams_ended_expired;     ///< their token expired
  Counter streams_ended_signed_out;  ///< their user signed out
  Counter streams_blocked;           ///< gauge
  Counter streams_paced;             ///< gauge: have news and wait, stream_sends_per_second
  Counter streams_catching_up;  ///< gauge: sent older events than the log holds, from the store
  Counter history_events;       ///< sent to them
  Counter gaps;
  Counter heartbeats;
  Counter events_appended;
  Counter events_evicted;
  Counter events_kept;  ///< gauge
  Counter bytes_kept;   ///< gauge
  Counter topics;       ///< gauge
  Counter deliveries;   ///< frames handed to sockets
  Counter delivered_bytes;
  Counter sends;
  Counter sends_short;
  Counter sends_refused;  ///< -EAGAIN
  Counter sends_put_off;  ///< times that a stream had to wait, stream_sends_per_second
  Counter tail_bytes;     ///< gauge
  Counter tails_full;     ///< streams ended because the tail slab was full
  Counter append_waits;   ///< turns in which late streams held back the log
  Counter publishes_accepted;
  Counter publishes_refused;     ///< 400
  Counter publishes_overloaded;  ///< 503
  Counter tokens_refused;        ///< 401
  Counter forbidden;             ///< 403 for want of a grant
  Counter origins_refused;       ///< 403
  Counter logins_accepted;
  Counter logins_refused;     ///< 401
  Counter logins_overloaded;  ///< 503: too many wait for their password to be checked
  Counter limited_connect;    ///< requests refused by each limit
  Counter limited_connect_address;
  Counter limited_streams_address;
  Counter limited_publish_user;
  Counter limited_login;            ///< for each address and for each user name
  Counter handshakes;               ///< TLS ones that were completed
  Counter handshakes_resumed;       ///< of these, with a ticket
  Counter handshakes_open;          ///< gauge: under way
  Counter handshakes_late;          ///< did not end in time, or made room for others
  Counter handshakes_cut;           ///< the client left in the middle
  Counter handshakes_no_agreement;  ///< tls::SessionFault, one each
  Counter handshakes_refused_by_client;
  Counter handshakes_broken;  ///< `protocol`; also after the handshake, until it is a stream
  Counter handshakes_plain_http;
  Counter handshakes_not_tls;
  Counter streams_tls;          ///< gauge: with a record layer of their own
  Counter streams_tls_openssl;  ///< gauge: with an `SSL` object
  Counter streams_ended_tls;    ///< what came under TLS was not what may come
  Counter redirects;            ///< from plain HTTP to HTTPS
  Counter turns;
  Counter turn_ns_max;  ///< longest turn of the loop so far
  Counter cpu_ns;       ///< CPU time of the thread, read once a second
};

}  // namespace ringcast::shard
