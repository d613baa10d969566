import { readFile, utimes } from 'node:fs/promises';
import { join } from 'node:path';
import { pageLayoutOf, type PageLayout } from '../../postgres/control-file.ts';
import type { StandbyDeps } from '../deps.ts';
import type { Primary } from '../primary.ts';
import type { BadPage } from './check-file.ts';
import { checkFiles } from './check-files.ts';
import { verificationOf, type Finding, type JudgedPage, type Verification } from './findings.ts';
import { judge, judgeAlone, type BackupSpan } from './judge.ts';
import { listRelationFiles } from './relation-files.ts';
import { readSourcePages, type SourcePage } from './source-pages.ts';

/** Reads the primary's pages; undefined where there is no way to it now. */
export type ReadSource = (
  pages: readonly BadPage[],
  layout: PageLayout,
) => Promise<readonly SourcePage[] | undefined>;

export interface VerifyOptions {
  readonly layout: PageLayout;
  readonly span: BackupSpan;
  readonly readSource: ReadSource;
  /** How much there is, and then how much of it is done. */
  readonly onProgress: (files: number, bytes: number) => void;
}

export function sourceOf(deps: Pick<StandbyDeps, 'pause'>, primary: Primary): ReadSource {
  return (pages, layout) => readSourcePages(primary, pages, layout, deps.pause);
}

export async function readPageLayout(controlFile: string): Promise<PageLayout | undefined> {
  return pageLayoutOf(await readFile(controlFile));
}

async function judgeAll(
  bad: readonly BadPage[],
  { layout, span, readSource }: VerifyOptions,
): Promise<JudgedPage[]> {
  const sources = bad.length === 0 ? [] : await readSource(bad, layout);
  return bad.map((page, index) => {
    const alone = judgeAlone(page, span);
    const source = sources?.[index];
    if (source === undefined) return { page, verdict: alone };
    const verdict = judge(page, source, span);
    // What the page says of itself is better than nothing.
    return { page, verdict: verdict.kind === 'unclear' && alone.kind === 'wal' ? alone : verdict };
  });
}

/** Checks every page of a copy, and holds each that fails against the primary's. Changes nothing. */
export async function verifyCopy(
  deps: Pick<StandbyDeps, 'signal' | 'log'>,
  pgdata: string,
  options: VerifyOptions,
): Promise<Verification> {
  const files = await listRelationFiles(pgdata);
  const check = await checkFiles({ pgdata, layout: options.layout }, files, {
    signal: deps.signal,
    onChecked: options.onProgress,
  });
  if (check.bad.length > 0)
    deps.log.debug(`${check.bad.length} pages fail in the copy: asking the primary for them`);
  return verificationOf(check, await judgeAll(check.bad, options));
}

/**
 * Takes the times away of files that are damaged here alone: their size and time are the primary's, and a further -B, which
 * believes these, would keep them.
 */
export async function distrustFiles(pgdata: string, findings: readonly Finding[]): Promise<void> {
  const files = new Set(findings.filter(({ kind }) => kind !== 'bad-source').map(({ file }) => file));
  for (const file of files) await utimes(join(pgdata, file), 0, 0).catch(() => undefined);
}
