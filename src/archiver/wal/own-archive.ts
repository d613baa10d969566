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

/** The archivedir of this host from its time as a standby; undefined if it never was one of this cluster. */
export async function findOwnArchive(deps: ArchiverDeps, cluster: Cluster): Promise<string | undefined> {
  const file = standbyIni(deps);
  if (file === undefined || !(await exists(file))) return undefined;
  try {
    const { readConfiguration } = await import('../../config/read-file.ts');
    const { standbyReader } = await import('../../config/load-standby.ts');
    const { archivedir } = (await readConfiguration(file, standbyReader)).settings;
    const sentinel = await readSentinel(archivedir);
    return sentinel?.systemIdentifier === cluster.systemIdentifier ? archivedir : undefined;
  } catch (error) {
    deps.log.debug(`the WAL that this host received as a standby cannot be used: ${messageOf(error)}`);
    return undefined;
  }
}
