import type { Capabilities } from '../../postgres/capabilities.ts';
import { findVersion, isSameMajor } from '../../postgres/version.ts';
import { type CommandResult, succeeded } from '../../system/command.ts';
import { findProgram } from '../../system/find-program.ts';
import type { StandbyDeps } from '../deps.ts';
import { microsOf } from '../recovery/target.ts';
import type { Server } from '../server/server.ts';
import { programFolders } from '../server/server-programs.ts';

const limitMs = 60_000;
/** A segment without a commit is rare, and reading far back would take minutes. */
const mostSegments = 8;
/** A segment that consists of small transactions contains half a million of them, with a line of a hundred characters each. */
const mostOutputBytes = 256 * 1024 * 1024;

/** Only the program of the release that wrote the WAL can read it. */
async function findWalDump(deps: StandbyDeps, capabilities: Capabilities): Promise<string | undefined> {
  const { version, walDumpProgram } = capabilities;
  if (walDumpProgram === undefined) return undefined;
  const program = await findProgram(walDumpProgram, programFolders(deps, capabilities));
  if (program === undefined) return undefined;
  const said = await deps.run({ program, args: ['--version'] }, { limitMs });
  const found = findVersion(said.stdout);
  return found !== undefined && isSameMajor(found, version) ? program : undefined;
}

/**
 * Lines end in `desc: COMMIT 2026-05-28 11:00:38.059389 UTC` and perhaps more; up to 9.4 in `desc: commit: `. A prepared
 * transaction's number follows the word: `COMMIT_PREPARED 745: `, up to 9.4 `commit prepared 745: `.
 */
const commitTime =
  /desc: (?:COMMIT|commit:|COMMIT_PREPARED \d+:|commit prepared \d+:) (\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(?:\.\d+)?) UTC/g;

async function lastCommitIn(
  deps: StandbyDeps,
  program: string,
  directory: string,
  segment: string,
): Promise<bigint | undefined> {
  const args = ['-p', directory, '-r', 'Transaction', segment];
  // It fails where the records end, as in every last segment: the output before that counts.
  const { stdout } = await deps.run(
    { program, args },
    { limitMs, env: { TZ: 'UTC' }, maxOutputBytes: mostOutputBytes },
  );
  return lastCommitTime(stdout);
}

/** In microseconds since 1970, from what was printed under TZ=UTC. */
export function lastCommitTime(printed: string): bigint | undefined {
  const last = [...printed.matchAll(commitTime)].at(-1)?.[1];
  return microsOf(last === undefined ? undefined : `${last}+00`);
}

/** Transactions that committed behind a location. */
export interface Commits {
  readonly count: number;
  /** In microseconds since 1970. */
  readonly last: bigint | undefined;
}

/** At the end of the WAL, as in every last segment, it fails with this message. */
export function isReadToEnd(result: CommandResult): boolean {
  return succeeded(result) || (result.kind === 'exited' && result.stderr.includes('error in WAL record at '));
}

/** Undefined where it cannot be determined. */
export async function commitsFrom(
  { deps, capabilities }: Server,
  directory: string,
  timeline: number,
  from: string,
): Promise<Commits | undefined> {
  const program = await findWalDump(deps, capabilities);
  if (program === undefined) return undefined;
  const args = ['-p', directory, '-t', String(timeline), '-s', from, '-r', 'Transaction'];
  const result = await deps.run(
    { program, args },
    { limitMs, env: { TZ: 'UTC' }, maxOutputBytes: mostOutputBytes },
  );
  if (!isReadToEnd(result)) return undefined;
  const { stdout } = result;
  return { count: [...stdout.matchAll(commitTime)].length, last: lastCommitTime(stdout) };
}

/** The time of the last commit in these segments, oldest first; undefined where it cannot be determined. */
export async function lastCommit(
  { deps, capabilities }: Server,
  directory: string,
  segments: readonly string[],
): Promise<bigint | undefined> {
  const program = await findWalDump(deps, capabilities);
  if (program === undefined) return undefined;
  for (const segment of segments.slice(-mostSegments).reverse()) {
    const found = await lastCommitIn(deps, program, directory, segment);
    if (found !== undefined) return found;
  }
  return undefined;
}
