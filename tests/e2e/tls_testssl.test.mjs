// What testssl.sh, which knows the weaknesses of the last twenty years, finds with this server.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import { after, test } from 'node:test';

import { Authority, openTlsStream, Program, startTls } from './tls.mjs';

const authority = new Authority();
after(() => authority.remove());

// As an authority that others know would issue it; nobody asks there.
const issued = { days: 90, extensions: 'crlDistributionPoints=URI:http://127.0.0.1/revoked.crl\n' };

// It mostly waits, so its parts run beside each other.
const parts = ['--protocols', '--server-preference', '--fs', '--server-defaults', '--headers', '--vulnerable'];

/** Findings that say nothing about the server: id → [severity, reason]. */
const exceptions = {
  engine_problem: ['WARN', 'is about the openssl of this machine: it has no GOST engine'],
  sessionresumption_ticket: ['WARN', 'its s_client ends with its input, before a ticket of TLS 1.3 is read; tls_clients tests resumption'],
};

/** What must have been looked at, or a run that found nothing would pass. */
const mustBeFine = [
  'SSLv2', 'SSLv3', 'TLS1', 'TLS1_1', 'TLS1_2', 'TLS1_3', 'PFS', 'cert_chain_of_trust', 'cert_trust', 'cert_expirationStatus',
  'heartbleed', 'CCS', 'ticketbleed', 'ROBOT', 'secure_renego', 'secure_client_renego', 'CRIME_TLS', 'POODLE_SSL', 'fallback_SCSV',
  'SWEET32', 'FREAK', 'DROWN', 'LOGJAM', 'BEAST', 'LUCKY13', 'RC4',
];

test('TestsslFindsNothingAboveLow', async () => {
  const pairs = [authority.issue('ecdsa', undefined, issued), authority.issue('rsa', undefined, { ...issued, kind: 'rsa' })];
  const server = await startTls(pairs);
  const running = parts.map((part) => {
    const json = authority.at(`testssl${part}.json`);
    const args = ['--warnings', 'batch', '--quiet', '--color', '0', '--add-ca', authority.file, '--jsonfile', json, part];
    const program = new Program('nice', ['-n', '5', 'timeout', '180', 'testssl', ...args, `127.0.0.1:${server.tlsPort}`]);
    return { part, json, program };
  });
  try {
    const findings = [];
    for (const { part, json, program } of running) {
      await program.end(190_000);
      assert.notEqual(program.code, 124, `${part} takes too long: ${program.out.slice(-500)}`);
      assert.ok(fs.existsSync(json), `${part}: ${program.out.slice(-1000)} ${program.err}`);
      findings.push(...JSON.parse(fs.readFileSync(json, 'utf8')));
    }
    const isException = ({ id, severity }) => exceptions[id]?.[0] === severity;
    const bad = findings.filter((finding) => !['OK', 'INFO', 'LOW'].includes(finding.severity) && !isException(finding));
    assert.deepEqual(bad, []);
    for (const id of mustBeFine) {
      const found = findings.filter((finding) => finding.id.split(' ')[0] === id);
      assert.ok(found.length > 0, `${id} was looked at, among ${findings.map((finding) => finding.id).join(' ')}`);
      assert.ok(found.every(({ severity }) => ['OK', 'INFO'].includes(severity)), `${id}: ${JSON.stringify(found)}`);
    }
    const stream = await openTlsStream(server, { authority });
    const id = await server.publish({ data: 'after all that' });
    await stream.waitFor((block) => block.id === id);
    stream.close();
  } finally {
    await Promise.all(running.map(({ program }) => program.stop()));
    await server.stop();
  }
});
