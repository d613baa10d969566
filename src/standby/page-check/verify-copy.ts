import { join } from 'node:path';
import type { PageLayout } from '../../postgres/control-file.ts';
import { parseLsn } from '../../postgres/lsn.ts';
import { utimes } from '../../system/files.ts';
import type { StandbyDeps } from '../deps.ts';
import type { BackupRecord, VerifiedFacts } from '../host/backup-record/record.ts';
import { originName, originOf } from '../primary/origin.ts';
import type { Primary } from '../primary/primary.ts';
import type { BadPage } from './check-file.ts';
import { checkFiles } from './check-files.ts';
import { type Finding, findingsOfCopy, type JudgedPage, verificationOf } from './findings.ts';
import { type BackupSpan, judge, judgeAlone, judgeByOther } from './judge.ts';
import { listRelationFiles } from './relation-files.ts';
import { readSourcePages, type SourcePage } from './source-pages.ts';

/** A server's own pages, from the places of the pages that fail here. */
export interface SourceAnswer {
  readonly pages: readonly SourcePage[];
  /** The name in messages: `the primary`. */
  readonly name: string;
  /** Whether the copy was made of this server's files. */
  readonly isOrigin: boolean;
}

/** Reads the pages from the server that they were copied from; undefined if it cannot be reached now. */
export type ReadSource = (pages: readonly BadPage[], layout: PageLayout) => Promise<SourceAnswer | undefined>;

export interface VerifyOptions {
  readonly layout: PageLayout;
  readonly readSource: ReadSource;
  /** The total number first, and then how many are done. */
  readonly onProgress: (files: number, bytes: number) => void;
}

export function sourceOf(deps: Pick<StandbyDeps, 'pause'>, primary: Primary): ReadSource {
  return async (pages, layout) => ({
    pages: await readSourcePages(originOf(primary), pages, layout, deps.pause),
    name: originName(primary),
    isOrigin: true,
  });
}

/** A record of a backup that has ended but does not say where is one of an earlier release. */
function spanOf({ status, startLsn, stopLsn = startLsn, startTime }: BackupRecord): BackupSpan {
  return {
    startLsn: parseLsn(startLsn),
    stopLsn: status === 'copying' ? undefined : parseLsn(stopLsn),
    startS: Date.parse(startTime) / 1000,
  };
}

async function judgeAll(
  bad: readonly BadPage[],
  span: BackupSpan,
  { layout, readSource }: VerifyOptions,
): Promise<JudgedPage[]> {
  const answer = bad.length === 0 ? undefined : await readSource(bad, layout);
  return bad.map((page, index) => {
    const alone = judgeAlone(page, span);
    const found = answer?.pages[index];
    if (answer === undefined || found === undefined) return { page, verdict: alone, source: '' };
    const { name: source, isOrigin } = answer;
    const verdict = judge(page, found, span, source);
    // The LSN in the page itself is better than nothing.
    if (verdict.kind === 'unclear' && alone.kind === 'wal') return { page, verdict: alone, source };
    return { page, verdict: isOrigin ? verdict : judgeByOther(page, found, span, source), source };
  });
}

/** Checks every page of a copy, and compares each failing page with the one that it was copied from. Changes nothing. */
export async function verifyCopy(
  deps: Pick<StandbyDeps, 'signal' | 'log' | 'now'>,
  pgdata: string,
  backup: BackupRecord,
  options: VerifyOptions,
): Promise<VerifiedFacts> {
  const files = await listRelationFiles(pgdata);
  const { layout, onProgress } = options;
  const check = await checkFiles({ pgdata, layout }, files, deps.signal, onProgress);
  if (check.bad.length > 0)
    deps.log.debug(`${check.bad.length} pages fail in the copy: asking where they came from`);
  const verification = verificationOf(check, await judgeAll(check.bad, spanOf(backup), options));
  return { time: new Date(deps.now()).toISOString(), ...verification };
}

/**
 * Resets the times of files that are damaged only here. Their size and time equal the primary's, so another -B, which
 * compares these, would keep them.
 */
export async function distrustFiles(pgdata: string, findings: readonly Finding[]): Promise<void> {
  const files = new Set(findingsOfCopy({ findings }).map(({ file }) => file));
  for (const file of files) await utimes(join(pgdata, file), 0, 0).catch(() => undefined);
}
