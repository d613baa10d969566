import { iniFileOf } from '../ini-file.ts';
import type { Request } from './command-line.ts';

/** The form in which PostgreSQL calls, once per segment. It is read here, because commander takes 10 ms. */
export function parseSegmentCall(argv: readonly string[]): Request | undefined {
  const isWhole = argv.length === 4 && argv[0] === '-C';
  if (!isWhole && argv.length !== 2) return undefined;
  const given = isWhole ? argv[1] : undefined;
  const [f, path] = argv.slice(-2);
  if (f !== '-F' || path === undefined || path === '') return undefined;
  if (given?.startsWith('-') === true || path.startsWith('-')) return undefined;
  return { kind: 'archive', iniFile: iniFileOf('cmd_archiver', given), path, dryRun: false };
}
