/** The role that this host plays as a standby, as cmd_standby's INI file here describes it. */
import { standbyReader } from '../../config/load-standby.ts';
import { readConfiguration } from '../../config/read-file.ts';
import { exists } from '../../system/durable.ts';
import type { ArchiverDeps } from '../deps.ts';
import { standbyIni } from '../wal/own-archive.ts';

/** Undefined if there is no such file. */
export async function standbyIniHere(deps: ArchiverDeps): Promise<string | undefined> {
  const path = standbyIni(deps);
  return path !== undefined && (await exists(path)) ? path : undefined;
}

/** Where WAL arrives on this host. Rejects with a PitrError if the file cannot be used. */
export async function archiveHere(deps: ArchiverDeps): Promise<string | undefined> {
  const file = await standbyIniHere(deps);
  if (file === undefined) return undefined;
  return (await readConfiguration(file, standbyReader)).settings.archivedir;
}
