#!/usr/bin/env bash
# Does the simulation find bugs? Plants known ones, one at a time, in a copy of the tree, and expects
# each to be found within so many seeds. By hand, some ten minutes:
#
#   tests/sim/plant_bugs.sh [SEEDS] [NAME…]
set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")/../.."

seeds=${1:-1000}
[ $# = 0 ] || shift
only=" $* "

copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
git ls-files -z --cached --others --exclude-standard | while IFS= read -r -d '' file; do
  [ ! -e "$file" ] || printf '%s\0' "$file"
done | tar --null --files-from=- --create --file=- | tar --extract --file=- --directory="$copy"
build=$copy/build-plant
meson setup "$build" "$copy" --buildtype=debugoptimized -Db_ndebug=false >"$copy/log" 2>&1 ||
  { tail -n 20 "$copy/log"; exit 1; }
compile() { ninja -C "$build" tests/sim/sim >"$copy/log" 2>&1 || { tail -n 20 "$copy/log"; return 1; }; }
compile

missed=0

# plant NAME FILE SED-EXPRESSION
plant() {
  local name=$1 file=$copy/$2 expression=$3 found
  [ "$only" = '  ' ] || [[ $only == *" $name "* ]] || return 0
  cp "$file" "$copy/original"
  sed -i -E "$expression" "$file"
  if cmp -s "$file" "$copy/original"; then
    printf '%-26s NOT PLANTED: the pattern matches nothing in %s\n' "$name" "$2"
    missed=1
    return 0
  fi
  compile
  if found=$("$build/tests/sim/sim" --seeds "$seeds" 2>&1); then
    printf '%-26s NOT FOUND in %s seeds\n' "$name" "$seeds"
    missed=1
  else
    printf '%-26s %s\n' "$name" "$(grep -v -e replay: <<<"$found" | head -n 2 | tr '\n' ' ')"
  fi
  cp "$copy/original" "$file"
  touch "$file"
}

# What each would do to people:
# a resumed stream misses its first event
plant cursor-off-by-one src/sse/broadcast_log.cc \
  's/return \{first, before\(first\) != requested\};/return {first + (first < head_ ? 1 : 0), before(first) != requested};/'
# a refused send loses an event
plant refused-send-loses-event src/shard/sender.cc \
  '0,/stream\.cursor = entry\.from;/s//stream.cursor = entry.from + 1;/'
# the rest of a frame is lost after a short send
plant rest-of-frame-lost src/shard/sender.cc \
  's/if \(split\.rest\.empty\(\)\) return;/if (split.rest.size() < 1u << 30) return;/'
# a stream that was full once hears nothing any more (POLLOUT is not armed)
plant blocked-stream-forgotten src/shard/sender.cc \
  's/^  lifecycle_\.arm_writable\(slot\);/  (void)lifecycle_;/'
# the same, only for one that was woken in vain
plant backoff-forgotten src/shard/streams.cc \
  's/^    lifecycle_\.arm_writable\(slot\);/    (void)lifecycle_;/'
# the next connection in a slot gets the completions of the one before
plant slot-reused-too-early src/shard/lifecycle.cc \
  's/if \(!stream\.quiet\(\)\) return;/if (!stream.quiet() \&\& stream.phase != Phase::closing) return;/'
# the hub sleeps while a command waits
plant wake-lost src/shard/shard.cc \
  's/(\(work \|\| room\)) && hub_ring != nullptr/\1 \&\& hub_ring == nullptr/'
# the first heartbeat of a resumed stream names an event that the client has not got
plant heartbeat-ahead src/shard/streams.cc \
  's/continues_from = resume\.gap \? std::nullopt : requested;/continues_from = resume.gap ? std::nullopt : std::optional(log.newest());/'
# all streams are told to come back at the same moment
plant same-retry src/shard/streams.cc \
  's/static_cast<double>\(drain_retries_\+\+\) \* kGolden/static_cast<double>(drain_retries_++) * 0.0/'
# a stream that is late, not blocked, is overtaken
plant late-stream-overtaken src/shard/shard.cc \
  's/if \(pump\.oldest_is_needed\(\)\) return false;//'
# a stream that was served from the store's history joins the log one event too late
plant history-joins-too-late src/shard/streams.cc \
  's/cursor = context_\.log->resume\(position\)\.cursor;/cursor = std::min(context_.log->resume(position).cursor + 1, context_.log->head());/'
# one too early
plant history-joins-too-early src/shard/streams.cc \
  's/cursor = context_\.log->resume\(position\)\.cursor;/cursor = std::max(context_.log->resume(position).cursor, oldest_open() + 1) - 1;/'
# it joins after any page, although there is more in the store
plant history-end-ignored src/shard/history.cc \
  's/if \(page->at_end\) history/history/'
# it joins although the log has not come to its position
plant history-log-not-awaited src/shard/history.cc \
  's/inbox\.position\(context_\.options\.index\) >= \*history\.log_there_at/true/'
# what was trimmed between two pages is not told
plant history-gap-untold src/shard/streams.cc \
  '/::append_history/,/^}/s/if \(page\.found != hub::HistoryPage::Found::exact\)/if (page.found == hub::HistoryPage::Found::beyond)/'
# who waits for a place waits for ever
plant history-place-forgotten src/shard/history.cc \
  's/if \(waits\) send_history_command\(\*next\);/(void)waits;/'
# the head of a stream waits for an event of another topic
plant head-waits-for-nothing src/shard/streams.cc \
  's/if \(cursor >= context_\.log->head\(\)\) return false;/if (cursor < context_.log->head()) return true;/'
# a hole that the store tells of is dropped by the shard
plant hole-untold src/shard/shard.cc \
  's/if \(!append_gap\(record, frame\)\) break;//'
# who waits for older events when a drain begins waits until it is cut off
plant drain-leaves-waiting src/shard/requests.cc \
  's/if \(connection\.waits_for_history\(\)\) give_up_page\(connection\);/(void)connection;/'

# Under TLS:
# what a socket does not take is sealed again, under another number
plant tls-sealed-twice src/shard/sender.cc \
  's/^    default:  .*/&\n      if (entry.kind == SendKind::sealed) { stream.cursor = entry.from; break; }/'
# a byte of what a socket did not take is lost
plant tls-tail-off-by-one src/shard/sender.cc \
  's/^      if \(!keep_in_tail\(entry\.slot, entry\.not_taken\(\)\)\) return;/      if (!keep_in_tail(entry.slot, entry.not_taken().subspan(entry.kind == SendKind::sealed \&\& entry.taken > 0))) return;/'
# the rest of a frame goes into the tail as it is in the log
plant tls-rest-in-clear src/shard/sender.cc \
  's/stream\.secure\(\) \? keep_sealed_in_tail/stream.tls == 12345 ? keep_sealed_in_tail/'
# a stream ends without close_notify
plant tls-end-unsaid src/shard/sender.cc \
  's/\(kind == SendKind::last_words\) \{/(kind == SendKind::last_words \&\& pieces.empty()) {/'
# the record layer outlives its stream
plant tls-layer-leaks src/shard/sender.cc \
  's/context_\.secure->remove\((.*)\);/(void)\1;/'
# the beginning of a record is forgotten when the record layer takes over
plant tls-half-record-forgotten src/shard/streams.cc \
  's/^  if \(!half_record\.empty\(\)\).*//'
# or between two pieces of it
plant tls-half-record-dropped src/shard/secure_streams.cc \
  's/halves_\.emplace\(handle, (.*)\);/(void)\1;/'
# what the session still had to say is lost when the record layer takes over
plant tls-last-output-lost src/shard/secure_streams.cc \
  's/\.first = session->take_output\(\)/.first = {}/'
# a client's close_notify is not answered
plant tls-close-unanswered src/shard/secure_streams.cc \
  '/case Kind::close_notify:/,/break;/s/Heard::end;/Heard::failure;/'
# a stream that waits for its next send ends, and stays in its place there
plant tls-paced-left-behind src/shard/streams.cc \
  '/::on_secure_receive/,/^}/s/leave_paced\(slot\);//'
# a request for another key is not answered
plant tls-key-update-unanswered src/tls/record_layer.cc \
  's/if \(answer_due\(\) \|\| records_before_update\(\) == 0\)/if (records_before_update() == 0)/'
# the numbers begin again under the same key
plant tls-key-not-changed src/tls/record_layer.cc \
  's/ \|\| !derive_write_key\(cipher\)\) \{/) {/'
# a handshake counts as under way for ever
plant tls-handshake-leaks src/shard/requests.cc \
  's/^  end_handshake\(connection\);//'
# whoever does not end the handshake is waited for
plant tls-handshake-without-end src/shard/handshakes.cc \
  's/set_deadline\(connection, Deadline::handshake\);//'
# an idle connection ends without close_notify
plant tls-goodbye-unsaid src/shard/requests.cc \
  '/^void Requests::finish\(/,/^}/s/if \(connection.*\) \{/if (false) {/'

exit $missed
