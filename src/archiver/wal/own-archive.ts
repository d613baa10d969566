import { dirname, join } from 'node:path';
import { messageOf } from '../../errors.ts';
import { exists } from '../../system/durable.ts';
import { readSentinel } from '../../system/sentinel.ts';
import type { ArchiverDeps } from '../deps.ts';
import type { Cluster } from './cluster.ts';

/** `standby_ini`, or `cmd_standby.ini` beside our own INI file. */
export function standbyIni({ settings, iniFile }: ArchiverDeps): string | undefined {
  if (settings.standby_ini !== undefined) return settings.standby_ini;
  return iniFile === undefined ? undefined : join(dirname(iniFile), 'cmd_standby.ini');
}

/** The archivedir of this host from its time as a standby. */
export type OwnArchive =
  | { readonly kind: 'known'; readonly archivedir: string }
  /** This host never was a standby of this cluster. */
  | { readonly kind: 'none' }
  /** It may have been one. */
  | { readonly kind: 'unknown'; readonly reason: string };

export async function lookForOwnArchive(deps: ArchiverDeps, cluster: Cluster): Promise<OwnArchive> {
  const file = standbyIni(deps);
  try {
    if (file === undefined || !(await exists(file))) return { kind: 'none' };
    const { readConfiguration } = await import('../../config/read-file.ts');
    const { standbyReader } = await import('../../config/load-standby.ts');
    const { archivedir } = (await readConfiguration(file, standbyReader)).settings;
    const sentinel = await readSentinel(archivedir);
    if (sentinel?.systemIdentifier !== cluster.systemIdentifier) return { kind: 'none' };
    return { kind: 'known', archivedir };
  } catch (error) {
    const reason = `the WAL that this host received as a standby cannot be used: ${messageOf(error)}`;
    deps.log.debug(reason);
    return { kind: 'unknown', reason };
  }
}

/** Undefined if there is none, or it cannot be determined. */
export async function findOwnArchive(deps: ArchiverDeps, cluster: Cluster): Promise<string | undefined> {
  const archive = await lookForOwnArchive(deps, cluster);
  return archive.kind === 'known' ? archive.archivedir : undefined;
}
