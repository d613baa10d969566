import { formatLsn } from '../../postgres/lsn.ts';
import { formatUtc } from '../../postgres/timestamp.ts';
import type { Commits } from '../archive/last-commit.ts';
import type { RewindAbility } from './rewind-ability.ts';

/** How a former primary becomes a standby, the cheapest sound way. */
export type Way =
  | { readonly kind: 'none' }
  | {
      readonly kind: 'rewind';
      readonly able: Extract<RewindAbility, { kind: 'able' }>;
      /** Why its data cannot stay as they are. */
      readonly because: string;
    }
  | { readonly kind: 'base-backup'; readonly because: string; readonly reasons: readonly string[] };

/**
 * @param notContained why the new primary's history does not contain all WAL of this server
 * @param lacking why this server could not replay what that history has besides: neither as it is nor rewound
 */
export function chooseWay(
  notContained: string | undefined,
  lacking: string | undefined,
  ability: () => RewindAbility,
): Way {
  if (notContained === undefined)
    return lacking === undefined
      ? { kind: 'none' }
      : { kind: 'base-backup', because: lacking, reasons: ['it would need the same WAL'] };
  const rewind = ability();
  if (rewind.kind === 'able' && lacking === undefined)
    return { kind: 'rewind', able: rewind, because: notContained };
  const unable = rewind.kind === 'able' ? [] : rewind.reasons;
  const reasons = lacking === undefined ? unable : [...unable, lacking];
  return { kind: 'base-backup', because: notContained, reasons };
}

export function describeWay(way: Way, host: string): string {
  switch (way.kind) {
    case 'none':
      return `Way: nothing is copied, because the history of ${host} contains all WAL of this server`;
    case 'rewind':
      return `Way: pg_rewind from ${host}, because ${way.because}`;
    case 'base-backup':
      return `Way: a base backup of ${host} (-B), because ${way.because}; no pg_rewind: ${way.reasons.join('; ')}`;
  }
}

/** WAL that the new primary's history does not contain. */
export interface OnlyHere {
  readonly fork: bigint;
  readonly end: bigint;
  readonly commits: Commits | undefined;
}

export function describeOnlyHere({ fork, end, commits }: OnlyHere): string {
  const bytes = `${end - fork} bytes of WAL after LSN ${formatLsn(fork)}`;
  if (commits === undefined) return `Only here: ${bytes}; how many transactions is not determined`;
  const last = commits.last === undefined ? '' : `, the last at ${formatUtc(commits.last)}`;
  return `Only here: ${bytes}, with ${commits.count} committed transactions${last}`;
}
