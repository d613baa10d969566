import { dirname, join } from 'node:path';
import { archiverReader } from '../../config/load-archiver.ts';
import type { ArchiverSettings } from '../../config/options-archiver.ts';
import { readConfiguration } from '../../config/read-file.ts';
import { messageOf } from '../../errors.ts';
import { exists } from '../../system/durable.ts';
import type { StandbyDeps } from '../deps.ts';

/** The role that this host plays once it is the primary, as cmd_archiver's INI file here describes it. */
export type ArchiverPart =
  | { readonly kind: 'ready'; readonly iniFile: string; readonly settings: ArchiverSettings }
  | { readonly kind: 'missing'; readonly iniFile: string }
  | { readonly kind: 'unusable'; readonly iniFile: string; readonly reason: string };

/** The path of that file: `archiver_ini`, or `cmd_archiver.ini` beside our own. */
function archiverIni({ settings, iniFile }: StandbyDeps): string {
  return settings.archiver_ini ?? join(dirname(iniFile), 'cmd_archiver.ini');
}

export async function readArchiverPart(deps: StandbyDeps): Promise<ArchiverPart> {
  const iniFile = archiverIni(deps);
  if (!(await exists(iniFile))) return { kind: 'missing', iniFile };
  try {
    const { settings } = await readConfiguration(iniFile, archiverReader);
    return { kind: 'ready', iniFile, settings };
  } catch (error) {
    return { kind: 'unusable', iniFile, reason: messageOf(error) };
  }
}
