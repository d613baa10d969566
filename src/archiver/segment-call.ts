import type { Request } from './command-line.ts';

/** The form in which PostgreSQL calls, once per segment. It is read here, because commander takes 10 ms. */
export function parseSegmentCall(argv: readonly string[]): Request | undefined {
  const [c, iniFile, f, path] = argv;
  if (argv.length !== 4 || c !== '-C' || f !== '-F') return undefined;
  if (iniFile === undefined || path === undefined || path === '') return undefined;
  if (iniFile.startsWith('-') || path.startsWith('-')) return undefined;
  return { kind: 'archive', iniFile, path, dryRun: false };
}
