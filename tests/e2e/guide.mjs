// Reads the pages of docs/ for what stands in them, so that tests run it as it stands.
import fs from 'node:fs';

const read = (name) => fs.readFileSync(new URL(`../../docs/${name}`, import.meta.url), 'utf8');

/** Number → language → code blocks of the chapter `## <number>. …`; blocks without a language are `plain`. */
export function chapters(name) {
  const found = {};
  for (const part of read(name).split(/^## /m).slice(1)) {
    const number = /^(\d+)\. /.exec(part)?.[1];
    if (!number) continue;
    found[number] = {};
    for (const [, language, code] of part.matchAll(/^```(\w*)\n([^]*?)^```$/gm)) {
      (found[number][language || 'plain'] ??= []).push(code);
    }
  }
  return found;
}

/** The sections of a configuration of one line for each key, as Server.start takes them. */
export function configOf(toml) {
  const config = {};
  let section;
  for (const line of toml.split('\n').map((text) => text.replace(/(^|\s)#.*$/, '').trim())) {
    const [, name] = /^\[(.*)\]$/.exec(line) ?? [];
    const [, key, value] = /^(\w+) = (.*)$/.exec(line) ?? [];
    if (name) section = config[name] = {};
    else if (key) section[key] = JSON.parse(value);
    else if (line) throw new Error(`cannot read this line: ${line}`);
  }
  return config;
}

/** Names of tests in the tables of a page: `CamelCase` in code marks. */
export const namedTests = (name) =>
  read(name)
    .split('\n')
    .filter((line) => line.startsWith('|'))
    .flatMap((line) => [...line.matchAll(/`([A-Z][a-z]+(?:[A-Z][A-Za-z]*)+)`/g)].map(([, test]) => test))
    .filter((test) => test !== 'EventSource');
