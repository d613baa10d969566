import { type Objection, when } from '../../../steps/objections.ts';
import type { BackupFacts } from '../facts.ts';
import type { SourceFacts } from './facts.ts';
import { findUnplaced } from './origin.ts';

const otherSource = 'Name a running hot standby of this primary in basebackup_source:, or leave the key out.';

/** The objections to reading the files from that standby. */
export function sourceObjections(facts: BackupFacts, source: SourceFacts): readonly Objection[] {
  const { primary, position, place } = facts;
  const { host, server, state } = source;
  const { controlRedoColumn, version } = primary.capabilities;
  if (controlRedoColumn === undefined) {
    return [
      {
        message: `a base backup of PostgreSQL ${version.major} cannot be read from a standby`,
        hint: 'That needs 9.6 or later. Leave basebackup_source: out.',
      },
    ];
  }
  const object = (message: string, hint = otherSource) => ({ message, hint });
  const [there, here] = [state?.timeline, position?.timeline];
  return [
    ...when(
      server.systemIdentifier !== primary.systemIdentifier,
      object(
        `${host} is of another cluster (${server.systemIdentifier}) than the primary (${primary.systemIdentifier})`,
      ),
    ),
    ...when(
      !server.settings.inRecovery,
      object(`${host} is not in recovery: it is not a standby, or not any more`),
    ),
    ...when(
      state?.isPaused === true,
      object(`replay is paused on ${host}`, 'Resume it there, or leave basebackup_source: out.'),
    ),
    ...when(there !== undefined && here !== undefined && there !== here, {
      message: `${host} is on timeline ${there ?? ''}, and the primary on ${here ?? ''}`,
      hint: 'Wait until that standby has followed the primary, or leave basebackup_source: out.',
    }),
    ...findUnplaced(place.targets, primary, server).map(({ name, reason }) =>
      object(`tablespace "${name}" ${reason} on ${host}`),
    ),
    ...source.overlaps.map(({ ours, theirs }) =>
      object(`"${ours}" overlaps with "${theirs}" of ${host}`, 'This standby needs directories of its own.'),
    ),
  ];
}
