import { type Objection, when } from '../../../steps/objections.ts';
import { findLackOfRoom, roomObjections } from '../copy/room.ts';
import type { BackupFacts } from '../facts.ts';
import type { BackupStep } from '../steps.ts';
import type { StreamingFacts } from './facts.ts';

/** Whether the present copy must be removed before a new one can be received. */
function mustMakeRoom({ needs, needsAfterRemoval }: StreamingFacts): boolean {
  return findLackOfRoom(needs).length > 0 && findLackOfRoom(needsAfterRemoval).length === 0;
}

function streamingRoom({ needs, needsAfterRemoval }: StreamingFacts): readonly Objection[] {
  return findLackOfRoom(needs).length === 0 ? [] : roomObjections(needsAfterRemoval);
}

/** The objections that concern only pg_basebackup. */
export function streamingObjections(facts: BackupFacts, streaming: StreamingFacts): readonly Objection[] {
  const { capabilities } = facts.primary;
  const { client, program, mounted } = streaming;
  return [
    ...streamingRoom(streaming),
    ...when(!capabilities.hasPgBasebackup, {
      message: `PostgreSQL ${capabilities.version.major} cannot be copied by pg_basebackup`,
      hint: 'Use basebackup_method: rsync.',
    }),
    ...when(mounted.length > 0, {
      message: `a file system is mounted inside pgdata, where pg_basebackup's files cannot be moved to: ${mounted.join(', ')}`,
      hint: 'Unmount it for the base backup, or use basebackup_method: rsync.',
    }),
    ...when(facts.place.targets.length > 0 && !client.pgBasebackupMapsAndThrottles, {
      message: `"${program.program}" is too old to receive tablespaces`,
      hint: 'Set pg_basebackup: to a later one.',
    }),
  ];
}

/** The steps of a copy by pg_basebackup, from the start of the backup to its end. */
export function streamingSteps(streaming: StreamingFacts): readonly BackupStep[] {
  const makesRoom = mustMakeRoom(streaming);
  return [
    { kind: 'note-beginning' },
    ...when(makesRoom, { kind: 'mark-copying' }, { kind: 'remove-old-copy' }),
    { kind: 'receive' },
    ...when(!makesRoom, { kind: 'mark-copying' }),
    { kind: 'move-into-place' },
    { kind: 'link-tablespaces' },
    { kind: 'clean-settings' },
    { kind: 'flush' },
    { kind: 'await-stop' },
  ];
}
