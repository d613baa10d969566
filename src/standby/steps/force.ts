import { usageError } from '../../errors.ts';

/** The objections that `--force=NAME` overrules, by name, in the words of the documentation. */
export const forceNames = {
  'primary-alive': '-F999 although the primary is alive',
  'primary-unasked': '-F999 although this host could not ask the primary',
  fence: '-F999 although action_fence has failed',
  archive: '-F999 although the archive cannot be read',
  replay: '-F999 although WAL of the archive cannot be replayed, or was not',
  'sibling-ahead': '-F999 although another standby has WAL that cannot be fetched',
  'sibling-unasked': '--switchover although another standby cannot be asked, or could not follow',
  'sibling-promoted': '-F999 although another standby was promoted, or is being promoted',
  'switchover-begun': '-F999 although a switchover to another standby is not finished',
  target: '-F999 past the target of a recovery that has not reached it',
  login: '-F999 although the server on this host rejects our login',
  gap: '-F999 to a target that may lie behind a gap in the WAL',
  crashed: '-B and -I over a server that was not shut down',
  'other-cluster': '-B and -I over another cluster',
  'new-archive':
    '-I where WAL was received already, although archivedir has no sentinel: perhaps it is not mounted',
  'new-pgdata':
    '-I although pgdata does not exist and looks like a misspelt name of the data directory beside it',
  'foreign-data': "-B and -I over a tablespace, or linked WAL, that may be another cluster's",
  'unfinished-failover': '-B over a promoted server whose failover was not finished',
  production: '-A stop of a server in production that bears no record of ours: it may be the primary',
  'archive-command':
    '-B although PostgreSQL on the primary cannot run the cmd_archiver of its archive_command',
  'left-timeline': '-B from an old primary, whose timeline was left by a promotion elsewhere',
  room: '-B and --switchover although there is not enough room',
} as const;

export type ForceName = keyof typeof forceNames;

/** The set of objections that are overruled. */
export type Force =
  | { readonly kind: 'none' }
  | { readonly kind: 'all' }
  | { readonly kind: 'named'; readonly names: readonly ForceName[] }
  | Answered;

/** The answers of an action that takes the steps of another one, and has no `--force` itself: hints must not offer that. */
export interface Answered {
  readonly kind: 'answered';
  readonly names: readonly ForceName[];
  readonly by: '--rejoin' | '--drill' | '--patroni-replica';
  /** How the operator overrules an objection, as a sentence; undefined if nobody can, or need. */
  readonly otherwise?: (name: ForceName) => string;
}

export const noForce: Force = { kind: 'none' };
export const fullForce: Force = { kind: 'all' };

export function overrules(force: Force, name: ForceName): boolean {
  switch (force.kind) {
    case 'none':
      return false;
    case 'all':
      return true;
    case 'named':
    case 'answered':
      return force.names.includes(name);
  }
}

function isForceName(text: string): text is ForceName {
  return Object.hasOwn(forceNames, text);
}

/** The value of `--force`: undefined without the flag, true without a list. */
export function parseForce(value: string | true | undefined): Force {
  if (value === undefined) return noForce;
  if (value === true) return fullForce;
  const names = value.split(',').map((name) => name.trim());
  const unknown = names.filter((name) => !isForceName(name));
  if (unknown.length === 0) return { kind: 'named', names: names.filter(isForceName) };
  throw usageError(
    `unknown name in --force: ${unknown.map((name) => `"${name}"`).join(', ')}`,
    `It takes names with commas between them, of these: ${Object.keys(forceNames).join(', ')}. Without a list it overrules all.`,
  );
}
