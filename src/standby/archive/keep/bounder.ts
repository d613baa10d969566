import { archiveCallOf, type Archiving } from '../../../config/archive-command.ts';
import { askServer } from '../../server/own-archiving.ts';
import { parametersOfServer } from '../../server/parameters.ts';
import type { Server } from '../../server/server.ts';

/** The limit of the slot of a server that was promoted. */
export type Bounder =
  /** It calls cmd_archiver for each segment, which starts a shipper, and that drops the slot in time. */
  | { readonly kind: 'archiver' }
  /** `max_slot_wal_keep_size` is set. */
  | { readonly kind: 'server' }
  | { readonly kind: 'nobody'; readonly why: string }
  | { readonly kind: 'unknown'; readonly why: string };

const keepSize = 'max_slot_wal_keep_size';

function archivesByUs({ archiveMode, archiveCommand, archiveLibrary }: Archiving): boolean {
  return archiveMode !== 'off' && archiveLibrary === '' && archiveCallOf(archiveCommand) !== undefined;
}

/** Pure. `walKeepSize` is -1 where the server limits no slot, and undefined up to 12. */
export function bounderOf(archiving: Archiving, walKeepSize: string | undefined): Bounder {
  if (archivesByUs(archiving)) return { kind: 'archiver' };
  if (walKeepSize !== undefined && walKeepSize !== '-1') return { kind: 'server' };
  const { archiveMode, archiveCommand, archiveLibrary } = archiving;
  const archivesNothing = archiveMode === 'off' || (archiveCommand === '' && archiveLibrary === '');
  const how = archivesNothing
    ? 'this server archives nothing'
    : 'this server archives by another program than cmd_archiver';
  return { kind: 'nobody', why: `${how}, and ${keepSize} is not set` };
}

export async function observeBounder(server: Server): Promise<Bounder> {
  const archiving = await askServer(server);
  if (archiving.kind === 'unknown') return { kind: 'unknown', why: archiving.reason };
  const answer = await parametersOfServer(server, [keepSize]);
  if (answer.kind !== 'answered') return { kind: 'unknown', why: answer.reason };
  return bounderOf(archiving.archiving, answer.value.get(keepSize));
}
