// A network namespace that is reached over several cables (pairs of veth), each of which can be cut.
import { execFileSync } from 'node:child_process';

const ip = (...words) => execFileSync('ip', words, { stdio: ['ignore', 'pipe', 'pipe'], encoding: 'utf8' });

/** Why there can be no namespace here, or nothing. */
export function whyNoNamespaces() {
  const name = `rc-try-${process.pid}`;
  try {
    ip('netns', 'add', name);
    ip('link', 'add', `rct${process.pid % 100_000}`, 'type', 'veth', 'peer', 'name', 'far', 'netns', name);
    return undefined;
  } catch (error) {
    return `no network namespaces: ${String(error.stderr ?? error).trim()}`;
  } finally {
    try {
      ip('netns', 'del', name);
    } catch {
      // there is none
    }
  }
}

export class Namespace {
  /** `cables` of them; the far end of each has an address of its own, of those for tests (RFC 2544). */
  static create(cables) {
    const namespace = new Namespace();
    const number = process.pid % 100_000;
    namespace.name = `rc-${number}`;
    namespace.cables = [];
    namespace.onExit = () => namespace.remove();
    process.on('exit', namespace.onExit);
    for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => process.exit(1));
    const taken = ip('-4', 'addr');
    const net = Array.from({ length: 256 }, (_, i) => `198.18.${(number + i) % 256}`).find((prefix) => !taken.includes(` ${prefix}.`));
    ip('netns', 'add', namespace.name);
    ip('-n', namespace.name, 'link', 'set', 'lo', 'up');
    for (let i = 0; i < cables; ++i) {
      const cable = { near: `rc${i}n${number}`, far: `rc${i}f${number}`, host: `${net}.${4 * i + 2}` };
      ip('link', 'add', cable.near, 'type', 'veth', 'peer', 'name', cable.far, 'netns', namespace.name);
      ip('addr', 'add', `${net}.${4 * i + 1}/30`, 'dev', cable.near);
      ip('-n', namespace.name, 'addr', 'add', `${cable.host}/30`, 'dev', cable.far);
      ip('link', 'set', cable.near, 'up');
      ip('-n', namespace.name, 'link', 'set', cable.far, 'up');
      namespace.cables.push(cable);
    }
    namespace.prefix = ['ip', 'netns', 'exec', namespace.name];
    return namespace;
  }

  /** Packets vanish: the near end keeps its route, so that nobody there is told. */
  cut(cable) {
    ip('-n', this.name, 'link', 'set', cable.far, 'down');
  }

  mend(cable) {
    ip('-n', this.name, 'link', 'set', cable.far, 'up');
  }

  /** The pairs go with it. */
  remove() {
    process.removeListener('exit', this.onExit);
    ip('netns', 'del', this.name);
  }
}
