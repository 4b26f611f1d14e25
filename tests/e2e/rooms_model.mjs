// What a stream must have got, said again in a few lines: who may read what, what is kept, and where a
// stream goes on. It shares nothing with the server but the documentation.
import assert from 'node:assert/strict';

import { compareIds } from './harness.mjs';

const escaped = (text) => text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');

/** Whether a pattern of a grant covers the topic (`''` = the public room) for this user. */
export function covers(pattern, topic, user) {
  if (pattern === '*') return true;
  const goesOn = pattern.endsWith('/*');
  const literals = (goesOn ? pattern.slice(0, -1) : pattern).split('{self}').map(escaped);
  return new RegExp(`^${literals.join(escaped(user))}${goesOn ? '[^]+' : ''}$`, 'u').test(topic);
}

export function mayRead(grants, topic, user) {
  return topic === '' || topic === `user/${user}` || grants.subscribe.some((pattern) => covers(pattern, topic, user));
}

export function mayPublish(grants, topic, user) {
  return grants.publish.some((pattern) => covers(pattern, topic, user));
}

/** An ID as the server reads it, or nothing. */
export function parseId(text) {
  const match = /^(\d+)-(\d+)$/.exec(text);
  if (!match || match.slice(1).some((part) => BigInt(part) >= 1n << 64n)) return undefined;
  return `${BigInt(match[1])}-${BigInt(match[2])}`;
}

const shown = ({ id, event, data }) => ({ id, event, data });

/** Everything that was published, by ID, and the position before the first event. */
export class History {
  constructor(floor, kept) {
    this.floor = floor;
    this.kept = kept; // events that a shard keeps
    this.events = [];
    this.gaps = { old: 0, unknown: 0, future: 0, malformed: 0 };
    this.exactResumes = 0;
  }

  add(event) {
    let at = this.events.length;
    while (at > 0 && compareIds(this.events[at - 1].id, event.id) > 0) --at;
    assert.notEqual(this.events[at - 1]?.id, event.id, 'two events with one ID');
    this.events.splice(at, 0, event);
  }

  /** How many events lie up to this ID, which must be one that the server gave. */
  countUpTo(id, what) {
    if (id === this.floor) return 0;
    const at = this.events.findIndex((event) => event.id === id);
    assert.ok(at >= 0, `${what}: nothing has the ID ${id}`);
    return at + 1;
  }

  /** Where a stream begins, as an index; `undefined` when only bounds are known (everything that is kept). */
  start(stream) {
    const [first, second] = stream.blocks;
    assert.equal(first?.event, 'heartbeat');
    assert.equal(first.retry, 3000);
    const gap = second?.event === 'gap' ? JSON.parse(second.data) : undefined;
    const { asked } = stream;
    if (asked === undefined) {
      assert.equal(gap, undefined, 'a gap that nobody asked for');
      return this.countUpTo(first.id, 'the position of a fresh stream');
    }
    const requested = parseId(asked);
    if (!gap) {
      assert.ok(requested, `no gap for ${JSON.stringify(asked)}`);
      assert.equal(first.id, requested, 'the position of a resumed stream');
      if (requested === '0-0') return undefined;
      ++this.exactResumes;
      return this.countUpTo(requested, 'a position without a gap');
    }

    assert.equal(first.id, undefined, 'a position before a gap');
    assert.equal(second.id, undefined);
    assert.deepEqual(Object.keys(gap), ['requested', 'oldest', 'newest']);
    assert.equal(gap.requested, requested ?? null);
    assert.notEqual(requested, '0-0', 'a gap before everything');
    if (gap.oldest === null && gap.newest === null) return 0; // before the first event
    const oldest = this.countUpTo(gap.oldest, 'the oldest of a gap') - 1;
    const newest = this.countUpTo(gap.newest, 'the newest of a gap');
    assert.ok(newest - oldest <= this.kept, `${newest - oldest} events kept`);
    assert.ok(newest - oldest >= Math.min(newest, this.kept * 0.75), `only ${newest - oldest} events kept`);
    if (!requested) {
      ++this.gaps.malformed;
      return oldest;
    }
    const known = this.events.findIndex((event) => event.id === requested);
    if (compareIds(requested, gap.newest) > 0) {
      assert.ok(known < 0 || known >= stream.eventsBefore, `${requested} is said to be newer than the newest`);
      ++this.gaps.future;
      return newest;
    }
    const later = this.events.findIndex((event) => compareIds(event.id, requested) > 0);
    if (known >= 0 || requested === this.floor) {
      assert.ok(known + 1 < oldest, `a gap although what follows ${requested} is kept from ${gap.oldest}`);
    }
    ++this.gaps[later <= oldest ? 'old' : 'unknown'];
    return Math.max(later, oldest);
  }

  /** The stream has exactly what it may read, in order, each once; or, as a prefix, a beginning of that. */
  verify(stream, { prefix = false } = {}) {
    if (stream.failure) throw stream.failure;
    if (prefix && stream.blocks.length < 2) return; // a gap may be on its way
    stream.start ??= { index: this.start(stream) };
    const from = (index) => this.events.slice(index).filter(({ topic }) => topic === '' || stream.topics.has(topic));
    const got = stream.events.map(shown);
    let expected;
    if (stream.start.index !== undefined) {
      expected = from(stream.start.index);
    } else {
      // Everything that was kept when it was opened: no more than the history has, and not much less.
      const most = from(Math.max(0, stream.eventsBefore - this.kept - stream.eventsMeanwhile));
      const least = from(Math.max(0, stream.eventsBefore + stream.eventsMeanwhile - Math.floor(this.kept * 0.75)));
      const skipped = most.findIndex((event) => event.id === (got[0] ?? least[0])?.id);
      assert.ok(got.length === 0 || skipped >= 0, `${got[0]?.id} is none of its first events`);
      expected = skipped < 0 ? [] : most.slice(skipped);
      assert.ok(expected.length >= least.length, 'less than everything that is kept');
    }
    if (prefix) expected = expected.slice(0, got.length);
    assert.deepEqual(got, expected.map(shown));

    // A heartbeat's position leaves nothing behind that the stream has not got.
    let seen = 0;
    for (const block of stream.blocks.slice(1)) {
      if (block.event === 'heartbeat') {
        const upTo = expected.filter((event) => compareIds(event.id, block.id) <= 0).length;
        this.countUpTo(block.id, 'a heartbeat');
        assert.equal(seen, upTo, `a heartbeat at ${block.id}`);
      } else if (block.event !== 'gap' && block.event !== 'closing' && block.data !== undefined) {
        ++seen;
      }
    }
    assert.ok(stream.named('gap').length <= 1, 'two gaps');
  }
}
