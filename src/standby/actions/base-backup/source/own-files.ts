import { join } from 'node:path';
import { removeFile } from '../../../../system/files.ts';
import type { CopyRules } from '../../../host/copy-rules.ts';
import { isRemoteFile, readRemoteFile } from '../../../primary/remote-files.ts';
import { writeForServer } from '../../../server/server-modes.ts';
import type { BackupContext } from '../context.ts';

/** Files of a data directory that each server has for itself. A standby's own files would be wrong here. */
const primarysFiles = ['postgresql.auto.conf'];

/** The rules for copying a standby's data directory: those files are not copied from it, and not removed here. */
export function rulesForSource(rules: CopyRules): CopyRules {
  return {
    ...rules,
    isCopied: (path) => rules.isCopied(path) && !primarysFiles.includes(path),
    isKept: (path, isLink) => rules.isKept(path, isLink) || primarysFiles.includes(path),
  };
}

const longestFile = 16 * 1024 * 1024;

export async function copyPrimarysFiles({ primary, facts }: BackupContext): Promise<void> {
  for (const name of primarysFiles) {
    const path = `${primary.facts.dataDirectory}/${name}`;
    const { pgdata } = facts.place;
    const target = join(pgdata, name);
    if (await isRemoteFile(primary.shell, path))
      await writeForServer(pgdata, target, await readRemoteFile(primary.shell, path, longestFile));
    else await removeFile(target);
  }
}
