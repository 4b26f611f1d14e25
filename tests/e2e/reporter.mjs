// One line for each test on the terminal, and one in the file RINGCAST_RESULTS:
// "pass|fail|skip", suite, case, reason, with tabs between. RINGCAST_SUITE names the suite. Node's own
// suites (`describe`) are not counted.
import fs from 'node:fs';

const results = process.env.RINGCAST_RESULTS;
const suite = process.env.RINGCAST_SUITE ?? 'e2e';
const clean = (text) => String(text ?? '').replace(/\s+/g, ' ').trim();

function cause(error) {
  let inner = error;
  while (inner?.cause instanceof Error) inner = inner.cause;
  return inner?.cause ?? inner;
}

export default async function* report(source) {
  const names = [];
  for await (const { type, data } of source) {
    if (type === 'test:stdout' || type === 'test:stderr') yield data.message;
    if (type === 'test:start') {
      names.length = data.nesting;
      names.push(data.name);
    }
    if (type !== 'test:pass' && type !== 'test:fail') continue;

    const error = data.details?.error;
    const isFile = data.nesting === 0 && data.name.endsWith('.test.mjs');
    const isSuite = data.details?.type === 'suite';
    // A suite and a file pass and fail with their tests; what fails in a suite's own hooks counts.
    if ((isSuite || isFile) && (type === 'test:pass' || error?.failureType === 'subtestsFailed')) continue;

    const name = clean([...names.slice(0, data.nesting), data.name].join(' › '));
    const skipped = data.skip !== undefined && data.skip !== false;
    // With a name pattern, node 18 and 20 report what does not fit as skipped.
    if (skipped && /test name does not match pattern/.test(data.skip)) continue;

    const state = type === 'test:fail' ? 'fail' : skipped ? 'skip' : 'pass';
    const reason = state === 'fail' ? clean(cause(error)?.message ?? cause(error)).slice(0, 400) : skipped ? clean(data.skip) : '';
    const ms = Math.round(data.details?.duration_ms ?? 0);
    yield `   ${{ pass: 'ok    ', fail: 'FAILED', skip: 'skip  ' }[state]} ${suite}: ${name} (${ms} ms)\n`;
    if (state === 'fail') yield `${cause(error)?.stack ?? cause(error)}`.trim().replace(/^/gm, '          ') + '\n';
    if (results) fs.appendFileSync(results, [state, suite, name, reason].join('\t') + '\n');
  }
}
