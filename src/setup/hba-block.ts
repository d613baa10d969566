/** The lines of pg_hba.conf that let the other hosts stream. Pure. */

import { replicationGroup } from '../postgres/standby-role.ts';

const begin = '# pitrtools --setup: the hosts of this cluster stream from each other.';
const end = '# pitrtools --setup: end.';

function addressWord(address: string): string {
  return `${address}/${address.includes(':') ? 128 : 32}`;
}

export function hbaLines(addresses: readonly string[], method: string): readonly string[] {
  return [...new Set(addresses)]
    .sort()
    .map((address) => `host replication +${replicationGroup} ${addressWord(address)} ${method}`);
}

const squeezed = (line: string): string => line.trim().replaceAll(/\s+/g, ' ');

/** The lines that a file does not have yet, wherever they would be. */
export function missingHbaLines(text: string, lines: readonly string[]): readonly string[] {
  const there = new Set(text.split('\n').map(squeezed));
  return lines.filter((line) => !there.has(squeezed(line)));
}

/** The file with our lines at its top, because the first line that matches counts. Every other line stays. */
export function withHbaLines(text: string, lines: readonly string[]): string {
  const missing = missingHbaLines(text, lines);
  if (missing.length === 0) return text;
  const at = text.indexOf(`${end}\n`);
  const block = missing.map((line) => `${line}\n`).join('');
  // Lines of an earlier run stay: another standby may use them.
  if (at >= 0 && text.includes(begin)) return text.slice(0, at) + block + text.slice(at);
  return `${begin}\n${block}${end}\n${text}`;
}
