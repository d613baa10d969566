/** The page checksums of the copy, after its server has written all pages and was shut down. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { pageLayoutOf } from '../../postgres/control-file.ts';
import type { StandbyDeps } from '../deps.ts';
import type { BadPage } from '../page-check/check-file.ts';
import { checkFiles } from '../page-check/check-files.ts';
import { listRelationFiles } from '../page-check/relation-files.ts';
import { type CheckResult, failed, notChecked, passed } from './check-results.ts';

const mostShown = 5;

/** A server makes the pages of the other forks anew if they are damaged. */
function counts({ file }: BadPage): boolean {
  return file.fork === 'main' || file.fork === 'init';
}

function pagesText(bad: readonly BadPage[]): string {
  const shown = bad.slice(0, mostShown).map(({ file, block }) => `${file.path}, block ${block}`);
  const more = bad.length > mostShown ? `; and ${bad.length - mostShown} more` : '';
  return `${shown.join('; ')}${more}`;
}

export async function checkPages(
  { signal }: Pick<StandbyDeps, 'signal'>,
  pgdata: string,
): Promise<CheckResult> {
  const name = 'page checksums';
  const layout = pageLayoutOf(await readFile(join(pgdata, 'global', 'pg_control')));
  if (layout === undefined) return notChecked(name, 'the layout of the pages is not known');
  if (!layout.hasChecksums) return notChecked(name, 'the cluster has no data checksums');
  const files = await listRelationFiles(pgdata);
  const check = await checkFiles({ pgdata, layout }, files, signal, () => undefined);
  const bad = check.bad.filter(counts);
  const [trouble] = check.troubles;
  if (bad.length > 0) return failed(name, `damaged pages: ${pagesText(bad)}`);
  if (trouble !== undefined) return failed(name, `${trouble.path} cannot be read: ${trouble.reason}`);
  return passed(name, `${check.pages} pages in ${check.files} files`);
}
