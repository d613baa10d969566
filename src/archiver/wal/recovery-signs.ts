/** Signs in pgdata, whose server does not run, that it would not continue as the primary. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { capabilitiesOf } from '../../postgres/capabilities.ts';
import { parseVersion } from '../../postgres/version.ts';
import { exists, readIfExists } from '../../system/durable.ts';
import { type Checked, is, parseJson } from '../../system/json.ts';

/** The files that make a server of this version recover instead of opening; undefined means that it is not known. */
function recoveryFiles(versionText: string | undefined): readonly string[] {
  if (versionText === undefined) return ['standby.signal', 'recovery.signal', 'recovery.conf'];
  const { recoveryConf } = capabilitiesOf(parseVersion(versionText));
  return recoveryConf === 'signal-files' ? ['standby.signal', 'recovery.signal'] : ['recovery.conf'];
}

/** The name of the file by which its server would recover; undefined if there is none. */
export async function recoveryFileOf(pgdata: string): Promise<string | undefined> {
  const version = await readFile(join(pgdata, 'PG_VERSION'), 'utf8').catch(() => undefined);
  for (const name of recoveryFiles(version)) if (await exists(join(pgdata, name))) return name;
  return undefined;
}

/** The parts of cmd_standby's record that say whether a base backup was made a standby. */
const recordFields = {
  backup: is.optional(is.anything),
  settings: is.optional(is.anything),
  promotedAtTimeline: is.optional(is.number),
};

/** A record that cannot be understood proves nothing. */
function parseRecord(text: string): Checked<typeof recordFields> {
  try {
    return parseJson(text, recordFields);
  } catch {
    return {};
  }
}

/** -B has made it, and neither -S nor -F999 has written settings for it: its server would open at the end of the backup. */
export async function isUnstartedCopy(pgdata: string): Promise<boolean> {
  if (!(await exists(join(pgdata, 'backup_label')))) return false;
  const content = await readIfExists(join(pgdata, 'pitrtools.json'));
  if (content === undefined) return false;
  const { backup, settings, promotedAtTimeline } = parseRecord(content.toString('utf8'));
  return backup !== undefined && settings === undefined && promotedAtTimeline === undefined;
}
