import { join } from 'node:path';
import { messageOf } from '../../../../errors.ts';
import { parseHistory } from '../../../../postgres/history.ts';
import { historyName } from '../../../../postgres/wal-name.ts';
import type { Primary } from '../../../primary/primary.ts';
import { historyFromPrimary } from '../../../primary/protocol/identify.ts';
import { findPsql } from '../../../primary/protocol/protocol-primary.ts';
import { readRemoteFile } from '../../../primary/remote-files.ts';
import { writeForServer } from '../../../server/server-modes.ts';
import type { BackupContext } from '../context.ts';

const historyBytes = 64 * 1024;

async function readHistory({ deps, primary }: BackupContext, timeline: number): Promise<string> {
  const { shell, facts, protocol }: Primary = primary;
  if (protocol !== undefined) return historyFromPrimary(deps, await findPsql(deps), protocol, timeline);
  const path = `${facts.dataDirectory}/${facts.capabilities.walDirName}/${historyName(timeline).text}`;
  return (await readRemoteFile(shell, path, historyBytes)).toString('utf8');
}

/**
 * The history of the timeline that the primary is on. A server that starts before the archive has that file would not know
 * its own ancestors, would pass none on to the timeline of its promotion, and could show none to a host that is to follow it.
 */
export async function bringHistory(context: BackupContext): Promise<void> {
  const { deps, facts } = context;
  const timeline = facts.position?.timeline ?? 1;
  if (timeline === 1) return;
  const { text: name } = historyName(timeline);
  try {
    const text = await readHistory(context, timeline);
    parseHistory(text, name);
    const { pgdata } = facts.place;
    await writeForServer(pgdata, join(pgdata, facts.primary.capabilities.walDirName, name), text);
  } catch (error) {
    deps.signal.throwIfAborted();
    deps.log.warning(`the copy has no ${name} of its own before the archive brings it: ${messageOf(error)}`);
  }
}
