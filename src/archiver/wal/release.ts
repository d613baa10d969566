import { join } from 'node:path';
import { untestedRelease } from '../../postgres/capabilities.ts';
import { findVersion } from '../../postgres/version.ts';
import { readIfExists } from '../../system/durable.ts';
import type { ArchiverDeps } from '../deps.ts';

/** Nothing is refused because of a release: its WAL is still checked by its headers. The operator must know it. */
export async function warnOfUntestedRelease({
  log,
  settings: { pgdata },
}: Pick<ArchiverDeps, 'log' | 'settings'>): Promise<void> {
  const text = await readIfExists(join(pgdata, 'PG_VERSION')).catch(() => undefined);
  const version = findVersion(text?.toString('utf8') ?? '');
  const untested = version === undefined ? undefined : untestedRelease({ version });
  if (untested !== undefined) log.warning(untested);
}
