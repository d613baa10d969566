import { readSentinel } from '../../../system/sentinel.ts';
import { readRecord } from '../../backup-record/record.ts';
import type { StandbyDeps } from '../../deps.ts';
import { readControlFile } from '../../server/data-directory.ts';

/** This host's record of its primary. */
export interface KnownPrimary {
  /** The place of its server on its host, as -B or -I recorded it. */
  readonly pgdata: string | undefined;
  /** Decimal. */
  readonly systemIdentifier: string | undefined;
}

/** A file that cannot be read counts as unknown: every question about the primary must be answered with the archive gone. */
export async function knownPrimary({ settings }: Pick<StandbyDeps, 'settings'>): Promise<KnownPrimary> {
  const sentinel = await readSentinel(settings.archivedir).catch(() => undefined);
  const record = await readRecord(settings.pgdata).catch(() => undefined);
  const control = await readControlFile(settings.pgdata).catch(() => undefined);
  return {
    pgdata: sentinel?.primaryPgdata ?? record?.backup?.primaryPgdata,
    systemIdentifier: sentinel?.systemIdentifier ?? control?.systemIdentifier,
  };
}
