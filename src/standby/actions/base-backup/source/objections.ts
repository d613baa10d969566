import type { Objection } from '../../../steps/objections.ts';
import type { BackupFacts } from '../facts.ts';
import type { SourceFacts } from './facts.ts';
import { findUnplaced } from './origin.ts';

const otherSource = 'Name a running hot standby of this primary in basebackup_source:, or leave the key out.';

/** The objections to reading the files from that standby. */
export function sourceObjections(facts: BackupFacts, source: SourceFacts): Objection[] {
  const { primary, position, place } = facts;
  const { host, server, state } = source;
  if (primary.capabilities.controlRedoColumn === undefined) {
    return [
      {
        message: `a base backup of PostgreSQL ${primary.capabilities.version.major} cannot be read from a standby`,
        hint: 'That needs 9.6 or later. Leave basebackup_source: out.',
      },
    ];
  }
  const object = (message: string, hint = otherSource): Objection => ({ message, hint });
  const objections: Objection[] = [];
  if (server.systemIdentifier !== primary.systemIdentifier) {
    objections.push(
      object(
        `${host} is of another cluster (${server.systemIdentifier}) than the primary (${primary.systemIdentifier})`,
      ),
    );
  }
  if (!server.settings.inRecovery)
    objections.push(object(`${host} is not in recovery: it is no standby, or no more`));
  if (state?.isPaused === true)
    objections.push(
      object(`replay is paused on ${host}`, 'Resume it there, or leave basebackup_source: out.'),
    );
  if (state !== undefined && position !== undefined && state.timeline !== position.timeline) {
    objections.push(
      object(
        `${host} is on timeline ${state.timeline}, and the primary on ${position.timeline}`,
        'Wait until that standby has followed the primary, or leave basebackup_source: out.',
      ),
    );
  }
  for (const { name, reason } of findUnplaced(place.targets, primary, server))
    objections.push(object(`tablespace "${name}" ${reason} on ${host}`));
  for (const { ours, theirs } of source.overlaps)
    objections.push(
      object(`"${ours}" overlaps with "${theirs}" of ${host}`, 'This standby needs directories of its own.'),
    );
  return objections;
}
