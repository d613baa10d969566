import { readFileSync } from 'node:fs';
import { checkout } from '../harness/checkout.ts';

export interface TypedLine {
  readonly host: 'alpha' | 'beta';
  readonly isRoot: boolean;
  readonly line: string;
  /** The lines that the page shows below it; an ellipsis stands for others. */
  readonly shown: readonly string[];
}

/** The commands in the first listing of a section of the how-to. */
export function typedLines(heading: string): readonly TypedLine[] {
  const page = readFileSync(checkout('doc', 'how-to.md'), 'utf8');
  const section = page.split(/^## /m).find((text) => text.startsWith(heading)) ?? '';
  const [, listing = ''] = /^```\n(.*?)^```/ms.exec(section) ?? [];
  return listing.split(/^(?=(?:alpha|beta)[$#] )/m).map((block) => {
    const [, host, prompt, line = '', rest = ''] = /^(alpha|beta)([$#]) ([^\n]*)\n?(.*)$/s.exec(block) ?? [];
    const shown = rest.split('\n').filter((one) => one !== '' && !one.startsWith('...'));
    return { host: host === 'alpha' ? 'alpha' : 'beta', isRoot: prompt === '#', line: line.trim(), shown };
  });
}

/** The section is about the release of Debian 12. */
export function ofMajor(major: number, line: string): string {
  return line.replaceAll(/\b15(?=[-/;]|$)/gm, `${major}`);
}

/** Puts the keys that a host has printed where the page has an ellipsis. */
export function withKeys(line: string, keyOf: (host: 'alpha' | 'beta', side: string) => string): string {
  return line.replaceAll(
    /'ssh-ed25519 AAAA…[^']*-(archive|data)@(alpha|beta)'/g,
    (_, side: string, name: string) => `'${keyOf(name === 'alpha' ? 'alpha' : 'beta', side)}'`,
  );
}

/** How each line of the twelve after the installation ends: 8 means that --setup has shown what is left to do. */
export const endsOfTwelve = [8, 8, 8, 0, 0, 8, 0, 0, 0, 0];
