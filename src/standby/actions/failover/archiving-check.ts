import { archiveCallOf } from '../../../config/archive-command.ts';
import { askServer, warnOfArchiving } from '../../server/own-archiving.ts';
import type { Server } from '../../server/server.ts';
import type { Archiving } from './outcome.ts';

/** Warns if the promoted server cannot archive, or would ship its WAL to itself: WAL would pile up, or be refused forever. */
export async function checkArchiving(server: Server): Promise<Archiving> {
  const { deps } = server;
  const answer = await askServer(server);
  if (answer.kind === 'unknown') return answer;
  const { archiveMode, archiveCommand, archiveLibrary } = answer.archiving;
  if (archiveMode === 'off' || (archiveCommand === '' && archiveLibrary === '')) {
    deps.log.warning('this server archives nothing: its own standbys need archive_mode and archive_command');
    return { kind: 'nothing' };
  }
  await warnOfArchiving(deps, answer.archiving);
  const ini = archiveLibrary === '' ? archiveCallOf(archiveCommand)?.iniFile : undefined;
  return { kind: 'command', ini };
}
