/** Facts that the operator must know before a switchover, and that prevent nothing. Pure. */
import { judgeArchiving } from '../../../../config/archive-command.ts';
import { quoted } from '../../../../system/printable.ts';
import type { Slot } from '../../../server/slots.ts';
import { when } from '../../../steps/objections.ts';
import type { BeforeFacts, PrimaryFacts, SwitchoverFacts } from './facts.ts';
import { synchronousRemarks } from './synchronous.ts';

export interface Remark {
  readonly message: string;
  /** The way to change it, as one or more sentences. */
  readonly hint: string;
}

function list(slots: readonly Slot[]): string {
  return slots.map(({ name, kind }) => `${name} (${kind})`).join(', ');
}

/** The statement that drops these slots. */
function dropSql(slots: readonly Slot[]): string {
  return `SELECT ${slots.map(({ name }) => `pg_drop_replication_slot('${name}')`).join(', ')}`;
}

/** Logical slots whose position a promotion of this host would lose. */
function lostSlots({ primary, slotsHere }: Pick<BeforeFacts, 'primary' | 'slotsHere'>): readonly Slot[] {
  const copies = slotsHere.filter(({ kind, isCopy, keepsWal }) => kind === 'logical' && isCopy && keepsWal);
  return primary.slots.filter(
    ({ name, kind }) => kind === 'logical' && !copies.some((copy) => copy.name === name),
  );
}

function lostRemarks(before: BeforeFacts, copies: boolean): readonly Remark[] {
  const lost = lostSlots(before);
  const names = lost.map(({ name }) => name).join(', ');
  const unmarked = lost.filter(({ isForFailover }) => !isForFailover).map(({ name }) => name);
  const mark =
    unmarked.length === 0
      ? ''
      : `ALTER SUBSCRIPTION … SET (failover = true) for those of ${unmarked.join(', ')}, `;
  return when(lost.length > 0, {
    message: copies
      ? `these logical replication slots of the primary have no synchronised copy here, and their subscribers lose their place: ${names}`
      : `these logical replication slots of the primary do not come along, and their subscribers lose their place: ${names}`,
    hint: copies
      ? `To keep their place: ${mark}sync_replication_slots = on here, and wait until pg_replication_slots here shows each of them as synced, and not as temporary.`
      : 'Stop what the subscribers replicate before the switchover and let them catch up; make the slots on this host after it: SELECT pg_create_logical_replication_slot(NAME, PLUGIN).',
  });
}

/** Slots that keep WAL on a server that is, or will be, a standby: nobody advances them there. */
export function remainingSlots(
  { slots, syncsSlots }: Pick<PrimaryFacts, 'slots' | 'syncsSlots'>,
  host: string,
  tense: 'will be' | 'is',
): readonly Remark[] {
  const keeping = slots.filter(({ keepsWal }) => keepsWal);
  // A standby's server refuses to drop them; it advances them, or drops them itself, if it synchronises slots.
  const copies = syncsSlots === true ? [] : keeping.filter(({ isCopy }) => isCopy);
  const others = keeping.filter(({ isCopy }) => !isCopy);
  const after = tense === 'is' ? '' : 'after the switchover, ';
  return [
    ...when(others.length > 0, {
      message: `${host} ${tense} a standby, and these replication slots there keep WAL in pg_wal without a limit unless a client still reads from them: ${list(others)}`,
      hint: `Drop those that nobody uses there, ${after}on ${host}: ${dropSql(others)}`,
    }),
    ...when(copies.length > 0, {
      message: `${host} ${tense} a standby, and these replication slots there, copies from an earlier primary, keep WAL in pg_wal without a limit: ${list(copies)}`,
      hint: `Have them synchronised, on ${host}: ALTER SYSTEM SET sync_replication_slots = on, then SELECT pg_reload_conf()`,
    }),
  ];
}

const rewindNeeds = {
  wal_log_hints: 'wal_log_hints is off and there are no data checksums',
  full_page_writes: 'full_page_writes is off',
} as const;

/** If this host's server crashes as the primary, its way back is pg_rewind or a new base backup. */
function rewindRemarks({ settings, hasChecksums }: BeforeFacts): readonly Remark[] {
  const isOff = (name: keyof typeof rewindNeeds) =>
    settings.get(name) === 'off' && (name !== 'wal_log_hints' || hasChecksums === false);
  const lacking = (['wal_log_hints', 'full_page_writes'] as const).filter(isOff);
  const commands = lacking.map((name) => `ALTER SYSTEM SET ${name} = on`).join('; ');
  return when(lacking.length > 0, {
    message: `if this host's server crashes as the primary, pg_rewind cannot bring it back, and --rejoin copies it anew: ${lacking.map((name) => rewindNeeds[name]).join('; ')}`,
    hint: `To change that, here: ${commands}; then restart the server`,
  });
}

/** Whether a streaming standby alone gets WAL must be known before. */
function archivingRemarks({ archiving }: BeforeFacts): readonly Remark[] {
  if (archiving.kind === 'unknown') return [];
  const verdict = judgeArchiving(archiving.archiving);
  return verdict.kind === 'unknown'
    ? [
        {
          message: `after the promotion, ${quoted(verdict.reason)}; without it, no WAL comes to the archives of the standbys`,
          hint: 'If it does not: make a script that does, or let archive_command be cmd_archiver -C FILE -F %p',
        },
      ]
    : [];
}

export function listRemarks({ before, failover, peer }: SwitchoverFacts): readonly Remark[] {
  if (before === undefined) return [];
  const { syncsSlots, hasPgRewind } = failover.directory.capabilities;
  return [
    ...lostRemarks(before, syncsSlots),
    ...remainingSlots(before.primary, peer.host, 'will be'),
    ...archivingRemarks(before),
    ...synchronousRemarks(before),
    ...(hasPgRewind ? rewindRemarks(before) : []),
  ];
}
